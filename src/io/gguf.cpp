#include "io/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "io/gguf_reader.h"

namespace elenchus {
namespace {

constexpr std::uint64_t kMaxKeys = 65'536;
constexpr std::uint64_t kMaxTensors = 1'000'000;
constexpr std::uint64_t kSmallestKey =
    14;  // name length, name of one byte, type, value of one byte
constexpr std::uint64_t kSmallestTensor = 25;  // name length, name, rank, type, offset
constexpr std::uint64_t kMaxAlignment = 1 << 20;
constexpr std::uint32_t kMaxRank = 4;
constexpr std::uint64_t kMaxRead = std::numeric_limits<std::int64_t>::max();

std::optional<StoredType> stored_type(std::uint32_t number) {
  switch (number) {
    case 0:
      return StoredType::f32;
    case 1:
      return StoredType::f16;
    case 2:
      return StoredType::q4_0;
    case 3:
      return StoredType::q4_1;
    case 6:
      return StoredType::q5_0;
    case 7:
      return StoredType::q5_1;
    case 8:
      return StoredType::q8_0;
    case 10:
      return StoredType::q2_k;
    case 11:
      return StoredType::q3_k;
    case 12:
      return StoredType::q4_k;
    case 13:
      return StoredType::q5_k;
    case 14:
      return StoredType::q6_k;
    case 15:
      return StoredType::q8_k;
    case 24:
      return StoredType::i8;
    case 25:
      return StoredType::i16;
    case 26:
      return StoredType::i32;
    case 27:
      return StoredType::i64;
    case 28:
      return StoredType::f64;
    case 30:
      return StoredType::bf16;
    default:
      return std::nullopt;
  }
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : GgufFile(open_bytes(path)) {}

GgufFile::GgufFile(std::unique_ptr<ByteSource> bytes) : bytes_(std::move(bytes)) { read_header(); }

void GgufFile::read_header() {
  GgufReader reader(*bytes_);
  const auto magic = reader.number<std::array<char, 4>>();
  if (std::string_view(magic.data(), 4) != "GGUF")
    reader.fail_at(0, cat("found '", printable({magic.data(), 4}), "', expected 'GGUF'"));
  version_ = reader.number<std::uint32_t>();
  if (version_ != 2 && version_ != 3)
    reader.fail_at(4, cat("found version ", version_, ", expected 2 or 3, little-endian"));
  const auto tensors = reader.number<std::uint64_t>();
  const auto keys = reader.number<std::uint64_t>();
  const std::uint64_t most_keys = std::min(kMaxKeys, reader.left() / kSmallestKey);
  if (keys > most_keys)
    reader.fail_at(16, cat("found ", keys, " metadata keys, expected at most ", most_keys));
  const std::uint64_t most_tensors = std::min(kMaxTensors, reader.left() / kSmallestTensor);
  if (tensors > most_tensors)
    reader.fail_at(8, cat("found ", tensors, " tensors, expected at most ", most_tensors));
  read_metadata(reader, keys);
  read_tensors(reader, tensors);
  place_tensors(reader.position());
}

void GgufFile::read_metadata(GgufReader& reader, std::uint64_t count) {
  metadata_.reserve(count);  // by_name keys point into it
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t at = reader.position();
    metadata_.emplace_back(reader.name(), false);
    if (!key_index_.emplace(metadata_.back().first, i).second)
      reader.fail_at(at,
                     cat("found the key '", printable(metadata_.back().first), "' a second time"));
    metadata_.back().second = reader.value();
  }
}

void GgufFile::read_tensors(GgufReader& reader, std::uint64_t count) {
  entries_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t at = reader.position();
    TensorEntry& entry = entries_.emplace_back();
    entry.name = reader.name();
    const std::string what = cat("tensor '", printable(entry.name, 200), "': ");
    if (!by_name_.emplace(entry.name, i).second) reader.fail_at(at, what + "found a second time");
    const auto rank = reader.number<std::uint32_t>();
    if (rank > kMaxRank)
      reader.fail(cat(what, "found ", rank, " extents, expected at most ", kMaxRank));
    for (std::uint32_t axis = 0; axis < rank; ++axis) {
      const auto extent = reader.number<std::uint64_t>();
      if (extent > kMaxRead)
        reader.fail(cat(what, "found the extent ", extent, ", expected below 2^63"));
      entry.shape.insert(entry.shape.begin(), std::int64_t(extent));
    }
    const auto number_of_type = reader.number<std::uint32_t>();
    const auto type = stored_type(number_of_type);
    if (!type)
      reader.fail(
          cat(what, "found the number format ", number_of_type,
              ", expected F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or one of Q2_K to Q8_K; "
              "convert the model to one of them"));
    entry.type = *type;
    entry.offset = reader.number<std::uint64_t>();
    const StoredTypeInfo& info = info_of(entry.type);
    const std::int64_t row = entry.shape.empty() ? 1 : entry.shape.back();
    if (row % info.block_elements != 0)
      reader.fail(cat(what, "found rows of ", row, " elements, expected a multiple of ",
                      info.block_elements, " for ", info.name));
    // An extent of 0 must not hide that the product of the others wraps.
    std::int64_t elements = 1, bytes = 0;
    for (const std::int64_t extent : entry.shape)
      if (__builtin_mul_overflow(elements, std::max<std::int64_t>(extent, 1), &elements))
        reader.fail(what + "found extents whose product exceeds 2^63");
    elements = entry.elements();
    if (__builtin_mul_overflow(elements / info.block_elements, info.block_bytes, &bytes))
      reader.fail(what + "found a size that exceeds 2^63 bytes");
    entry.bytes = std::uint64_t(bytes);
  }
}

void GgufFile::place_tensors(std::uint64_t header_end) {
  const auto fail = [&](const std::string& what) {
    throw InputError(cat(bytes_->description(), ": ", what));
  };
  const std::uint64_t alignment = get_u64("general.alignment").value_or(32);
  if (!std::has_single_bit(alignment) || alignment > kMaxAlignment)
    fail(cat("general.alignment: found ", alignment, ", expected a power of two up to ",
             kMaxAlignment));
  // header_end is at most the size of a file, so this cannot wrap.
  const std::uint64_t data = (header_end + alignment - 1) / alignment * alignment;
  for (TensorEntry& entry : entries_) {
    const std::string what = cat("tensor '", printable(entry.name, 200), "': ");
    if (entry.offset % alignment != 0)
      fail(cat(what, "found the offset ", entry.offset, ", expected a multiple of ", alignment));
    std::uint64_t end = 0;
    if (__builtin_add_overflow(entry.offset, data, &entry.offset) ||
        __builtin_add_overflow(entry.offset, entry.bytes, &end) || end > bytes_->size())
      fail(cat(what, "found ", entry.bytes, " bytes of data that end beyond the file of ",
               bytes_->size(), " bytes; the file may have been copied in part"));
  }
  std::sort(entries_.begin(), entries_.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  by_name_.clear();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    by_name_.emplace(entries_[i].name, i);
    if (i > 0 && entries_[i - 1].offset + entries_[i - 1].bytes > entries_[i].offset)
      fail(cat("tensors '", printable(entries_[i - 1].name, 200), "' and '",
               printable(entries_[i].name, 200), "': found data in common"));
  }
}

const TensorEntry* GgufFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

void GgufFile::read_bytes(const TensorEntry& entry, std::uint64_t first_byte,
                          std::span<std::byte> out) const {
  expect(first_byte <= entry.bytes && out.size() <= entry.bytes - first_byte,
         "read_bytes: beyond the tensor");
  bytes_->read(entry.offset + first_byte, out);
}

}  // namespace elenchus
