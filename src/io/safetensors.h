#pragma once
// The safetensors format: 8 bytes of header length, a JSON header, then the tensors without gaps.
// https://github.com/huggingface/safetensors#format

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "io/byte_source.h"
#include "io/tensor_source.h"

namespace elenchus {

/// Every type the format names, in its own order: the Python library writes the tensors of the last
/// type first.
inline constexpr StoredType kSafetensorsTypes[] = {
    StoredType::boolean, StoredType::u8,  StoredType::i8,  StoredType::f8_e5m2, StoredType::f8_e4m3,
    StoredType::i16,     StoredType::u16, StoredType::f16, StoredType::bf16,    StoredType::i32,
    StoredType::u32,     StoredType::f32, StoredType::f64, StoredType::i64,     StoredType::u64,
};

/// One safetensors file, its header checked whole before anything else is read.
class SafetensorsFile : public TensorSource {
 public:
  /// InputError with the byte or the tensor that is wrong.
  explicit SafetensorsFile(const std::filesystem::path& path);
  explicit SafetensorsFile(std::unique_ptr<ByteSource> bytes);

  std::string description() const override { return bytes_->description(); }
  std::span<const TensorEntry> entries() const override { return entries_; }
  const TensorEntry* find(std::string_view name) const override;
  using TensorSource::read_bytes;
  void read_bytes(const TensorEntry& entry, std::uint64_t first_byte,
                  std::span<std::byte> out) const override;
  /// The header's "__metadata__".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void read_header();

  std::unique_ptr<ByteSource> bytes_;
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

/// The weights of a Hugging Face folder: model.safetensors, or the shards that
/// model.safetensors.index.json names.
class SafetensorsFolder : public TensorSource {
 public:
  /// InputError: no weights there, a shard name that is no plain file name, a tensor that is
  /// missing, in another shard, or there twice.
  explicit SafetensorsFolder(const std::filesystem::path& folder);

  std::string description() const override;
  std::span<const TensorEntry> entries() const override { return entries_; }
  const TensorEntry* find(std::string_view name) const override;
  using TensorSource::read_bytes;
  void read_bytes(const TensorEntry& entry, std::uint64_t first_byte,
                  std::span<std::byte> out) const override;

 private:
  void open_shards(const std::filesystem::path& index_path);
  void index_names();

  std::filesystem::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

/// Whether the folder holds weights that SafetensorsFolder reads.
bool has_safetensors(const std::filesystem::path& folder);

/// Collects tensors and writes them as one file, each streamed in its turn. The bytes are the same
/// as the Python library's: wide types first, then by name.
class SafetensorsWriter {
 public:
  /// Writes a tensor's bytes to the sink, in order, in pieces of any size.
  using Producer = std::function<void(const ByteSink&)>;

  /// The header's metadata; {"format": "pt"} unless set.
  void set_metadata(std::map<std::string, std::string> metadata) {
    metadata_ = std::move(metadata);
  }
  /// Adds a tensor whose bytes outlive the writer. InternalError: a name twice, or a size that is
  /// not the shape's.
  void add(std::string name, StoredType type, std::vector<std::int64_t> shape,
           std::span<const std::byte> bytes);
  /// Adds a tensor whose bytes `produce` makes when it is written.
  void add(std::string name, StoredType type, std::vector<std::int64_t> shape, Producer produce);
  /// An f32 tensor whose elements outlive the writer.
  void add_f32(std::string name, std::vector<std::int64_t> shape, std::span<const float> elements) {
    add(std::move(name), StoredType::f32, std::move(shape), std::as_bytes(elements));
  }
  /// The size of the file.
  std::uint64_t size() const;
  /// The whole file, front to back. InternalError if a producer writes more or less than its
  /// tensor.
  void write(const ByteSink& sink) const;

 private:
  struct Item {
    TensorEntry entry;
    Producer produce;
  };
  std::vector<const Item*> ordered() const;
  std::string header() const;

  std::map<std::string, Item> items_;
  std::map<std::string, std::string> metadata_{{"format", "pt"}};
};

/// Writes the file at its final name in one step. DeviceError as write_file_atomically.
void write_safetensors(const std::filesystem::path& path, const SafetensorsWriter& writer);

}  // namespace elenchus
