#pragma once
// The GGUF format, versions 2 and 3, little-endian: metadata, tensor descriptions, then the
// tensors, aligned. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "io/byte_source.h"
#include "io/tensor_source.h"

namespace elenchus {

/// A metadata value. Numbers are widened; arrays of one kind of number or of strings stay flat.
using GgufValue =
    std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<std::string>,
                 std::vector<float>, std::vector<std::int64_t>>;

class GgufReader;

/// One GGUF file, its header checked whole before anything else is read.
class GgufFile : public TensorSource {
 public:
  /// InputError with the byte, the key or the tensor that is wrong.
  explicit GgufFile(const std::filesystem::path& path);
  explicit GgufFile(std::unique_ptr<ByteSource> bytes);

  std::string description() const override { return bytes_->description(); }
  std::span<const TensorEntry> entries() const override { return entries_; }
  const TensorEntry* find(std::string_view name) const override;
  using TensorSource::read_bytes;
  void read_bytes(const TensorEntry& entry, std::uint64_t first_byte,
                  std::span<std::byte> out) const override;

  std::uint32_t version() const { return version_; }
  /// All metadata in the order of the file.
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }

  // The value of a key; empty (null) where there is none. InputError if it is of another kind or
  // out of range.
  std::optional<std::string_view> get_string(std::string_view key) const;
  std::optional<std::uint64_t> get_u64(
      std::string_view key) const;                           ///< any integer type, not negative
  std::optional<float> get_f32(std::string_view key) const;  ///< f32 or f64
  std::optional<bool> get_bool(std::string_view key) const;
  const std::vector<std::string>* get_string_array(std::string_view key) const;
  const std::vector<float>* get_f32_array(
      std::string_view key) const;  ///< f64 elements were rounded to f32
  std::optional<std::vector<std::int32_t>> get_i32_array(
      std::string_view key) const;  ///< any integer type

 private:
  void read_header();
  void read_metadata(GgufReader& reader, std::uint64_t count);
  void read_tensors(GgufReader& reader, std::uint64_t count);
  void place_tensors(std::uint64_t header_end);
  const GgufValue* value_of(std::string_view key) const;
  template <class T>
  const T* typed(std::string_view key, std::string_view kind) const;

  std::unique_ptr<ByteSource> bytes_;
  std::uint32_t version_ = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::unordered_map<std::string_view, std::size_t> key_index_;
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

}  // namespace elenchus
