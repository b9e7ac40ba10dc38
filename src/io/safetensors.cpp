#include "io/safetensors.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace elenchus {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::int64_t kMaxInteger = (std::int64_t{1} << 48) - 1;
constexpr std::size_t kMaxRank = 8;

std::int64_t checked_integer(const Json& json, const std::string& what) {
  const std::int64_t value = json.as_integer(what);
  if (value < 0 || value > kMaxInteger)
    throw InputError(cat(what, ": found ", value, ", expected 0 to ", kMaxInteger));
  return value;
}

StoredType parse_type(const std::string& name, const std::string& what) {
  for (const StoredType type : kSafetensorsTypes)
    if (name_of(type) == name) return type;
  throw InputError(cat(what, ".dtype: found '", printable(name),
                       "', expected F32, F16, BF16 or another type of the safetensors format"));
}

/// Reads one member of the header. Offsets are still relative to the end of the header.
TensorEntry parse_entry(const std::string& name, const Json& json, const std::string& source) {
  const std::string what = cat(source, ": tensor '", printable(name, 200), "'");
  TensorEntry entry;
  entry.name = name;
  entry.type = parse_type(json.at("dtype", what).as_string(what + ".dtype"), what);
  const Json::Array& shape = json.at("shape", what).as_array(what + ".shape");
  if (shape.size() > kMaxRank)
    throw InputError(
        cat(what, ".shape: found ", shape.size(), " extents, expected at most ", kMaxRank));
  std::int64_t bytes = info_of(entry.type).block_bytes;
  for (const Json& extent : shape) {
    entry.shape.push_back(checked_integer(extent, what + ".shape"));
    if (__builtin_mul_overflow(bytes, entry.shape.back(), &bytes))
      throw InputError(what + ".shape: found extents whose product exceeds 2^63");
  }
  const Json::Array& offsets = json.at("data_offsets", what).as_array(what + ".data_offsets");
  if (offsets.size() != 2)
    throw InputError(cat(what, ".data_offsets: found ", offsets.size(), " numbers, expected 2"));
  const std::int64_t begin = checked_integer(offsets[0], what + ".data_offsets");
  const std::int64_t end = checked_integer(offsets[1], what + ".data_offsets");
  if (end < begin || end - begin != bytes)
    throw InputError(cat(what, ".data_offsets: found [", begin, ", ", end, "], expected ", bytes,
                         " bytes for ", name_of(entry.type), " ", entry.shape_text()));
  entry.offset = std::uint64_t(begin);
  entry.bytes = std::uint64_t(bytes);
  return entry;
}

/// The tensors must lie one after the other from the end of the header to the end of the file.
void check_layout(std::vector<TensorEntry>& entries, std::uint64_t data_bytes,
                  const std::string& source) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  std::uint64_t end = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.offset != end)
      throw InputError(cat(source, ": tensor '", printable(entry.name, 200),
                           "': found its data at byte ", entry.offset, ", expected ", end,
                           ", where the tensor before it ends"));
    end += entry.bytes;
  }
  if (end != data_bytes)
    throw InputError(cat(source, ": found ", data_bytes, " bytes of tensor data, expected ", end,
                         "; the file may have been copied in part"));
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : SafetensorsFile(open_bytes(path)) {}

SafetensorsFile::SafetensorsFile(std::unique_ptr<ByteSource> bytes) : bytes_(std::move(bytes)) {
  read_header();
}

void SafetensorsFile::read_header() {
  const std::string source = description();
  if (bytes_->size() < 8)
    throw InputError(cat(source, ": found ", bytes_->size(),
                         " bytes, expected a safetensors file with a header length of 8 bytes"));
  std::uint64_t length = 0;
  bytes_->read(0, std::as_writable_bytes(std::span(&length, 1)));
  const std::uint64_t most = std::min(kMaxHeaderBytes, bytes_->size() - 8);
  if (length > most)
    throw InputError(
        cat(source, ": found a header length of ", length, " at byte 0, expected at most ", most));
  std::string text(length, '\0');
  bytes_->read(8, std::as_writable_bytes(std::span(text)));
  if (!text.starts_with('{'))
    throw InputError(cat(source, ": found '", printable(text.substr(0, 1)),
                         "' at byte 8, expected '{', the start of the header"));
  if (const auto bad = find_invalid_utf8(text))
    throw InputError(cat(source, ": found invalid UTF-8 in the header at byte ", 8 + *bad));
  const Json header = Json::parse(text, source + " (header)", {.depth = 4});
  for (const auto& [name, value] : header.as_object(source)) {
    if (name != "__metadata__") {
      entries_.push_back(parse_entry(name, value, source));
      continue;
    }
    for (const auto& [key, item] : value.as_object(source + ": __metadata__"))
      metadata_[key] = item.as_string(cat(source, ": __metadata__.", printable(key)));
  }
  check_layout(entries_, bytes_->size() - 8 - length, source);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    entries_[i].offset += 8 + length;
    by_name_.emplace(entries_[i].name, i);
  }
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

void SafetensorsFile::read_bytes(const TensorEntry& entry, std::uint64_t first_byte,
                                 std::span<std::byte> out) const {
  expect(first_byte <= entry.bytes && out.size() <= entry.bytes - first_byte,
         "read_bytes: beyond the tensor");
  bytes_->read(entry.offset + first_byte, out);
}

}  // namespace elenchus
