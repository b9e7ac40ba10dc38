#pragma once
// Named tensors in a file, of whatever number format, read as f32 or as their bytes.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elenchus {

/// The number formats of safetensors and GGUF files. The q formats are ggml's: blocks of elements
/// that share scales.
enum class StoredType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  q8_k,
};

/// How a format lies in a file: `block_elements` neighbours of a row take `block_bytes` bytes.
struct StoredTypeInfo {
  std::string_view name;  ///< as safetensors and gguf write it: "F32", "Q4_K"
  std::int64_t block_elements = 1;
  std::int64_t block_bytes = 0;
};
const StoredTypeInfo& info_of(StoredType type);
inline std::string_view name_of(StoredType type) { return info_of(type).name; }
/// Whether elements are stored alone, without block scales.
inline bool is_plain(StoredType type) { return info_of(type).block_elements == 1; }

/// One tensor of a file.
struct TensorEntry {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<std::int64_t> shape;  ///< row-major, slowest first; empty for a scalar
  std::uint64_t offset = 0;         ///< of its first byte in its file
  std::uint64_t bytes = 0;
  std::uint32_t file = 0;  ///< which file of a sharded model

  /// The product of the extents; 1 for a scalar.
  std::int64_t elements() const;
  /// "[2, 3]"
  std::string shape_text() const;
};

/// `elements` numbers of `type` as f32. `bytes` holds exactly these; block formats need whole
/// blocks. InternalError if the sizes do not fit together.
void convert_to_f32(StoredType type, std::span<const std::byte> bytes, std::span<float> out);

/// A set of named tensors that can be read in any order, from several threads at once.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// What is read, for messages: a path.
  virtual std::string description() const = 0;
  /// All tensors, by rising offset (file by file).
  virtual std::span<const TensorEntry> entries() const = 0;
  /// The tensor of that name, or null.
  virtual const TensorEntry* find(std::string_view name) const = 0;
  /// The bytes of a tensor from `first_byte` on. InternalError if they are not all its own;
  /// InputError if the file has changed.
  virtual void read_bytes(const TensorEntry& entry, std::uint64_t first_byte,
                          std::span<std::byte> out) const = 0;

  /// All bytes of a tensor; `out` has exactly as many.
  void read_bytes(const TensorEntry& entry, std::span<std::byte> out) const;
  /// Elements from `first_element` on, converted or dequantised. First element and count are
  /// multiples of the format's block.
  void read_f32(const TensorEntry& entry, std::int64_t first_element, std::span<float> out) const;
  /// The tensor of that name. InputError that names the file if there is none.
  const TensorEntry& at(std::string_view name) const;
};

}  // namespace elenchus
