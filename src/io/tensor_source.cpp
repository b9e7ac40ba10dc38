#include "io/tensor_source.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "io/ggml_blocks.h"
#include "tensor/dtype.h"

namespace elenchus {
namespace {

/// An 8-bit float as f32: `mantissa_bits` of 7 bits below the sign. E4M3 has no infinity, and NaN
/// only at all ones; E5M2 is the upper half of binary16.
float from_f8_e4m3(std::uint8_t bits) {
  const float sign = bits & 0x80 ? -1.0f : 1.0f;
  const int exponent = (bits >> 3) & 15;
  const int mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7) return std::copysign(NAN, sign);
  if (exponent == 0) return sign * std::ldexp(float(mantissa), -9);
  return sign * std::ldexp(float(8 + mantissa), exponent - 10);
}

float from_f8_e5m2(std::uint8_t bits) {
  return float(std::bit_cast<f16>(std::uint16_t(std::uint16_t{bits} << 8)));
}

template <class T>
void convert(std::span<const std::byte> bytes, std::span<float> out) {
  expect(bytes.size() == out.size() * sizeof(T), "convert_to_f32: sizes differ");
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
}

template <float (*from)(std::uint8_t)>
void convert_f8(std::span<const std::byte> bytes, std::span<float> out) {
  expect(bytes.size() == out.size(), "convert_to_f32: sizes differ");
  std::transform(bytes.begin(), bytes.end(), out.begin(),
                 [](std::byte b) { return from(std::uint8_t(b)); });
}

}  // namespace

const StoredTypeInfo& info_of(StoredType type) {
  // In the order of StoredType.
  static constexpr StoredTypeInfo kInfo[] = {
      {"F64", 1, 8},      {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},
      {"F8_E4M3", 1, 1},  {"F8_E5M2", 1, 1},  {"I64", 1, 8},      {"I32", 1, 4},
      {"I16", 1, 2},      {"I8", 1, 1},       {"U64", 1, 8},      {"U32", 1, 4},
      {"U16", 1, 2},      {"U8", 1, 1},       {"BOOL", 1, 1},     {"Q4_0", 32, 18},
      {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q8_0", 32, 34},
      {"Q2_K", 256, 84},  {"Q3_K", 256, 110}, {"Q4_K", 256, 144}, {"Q5_K", 256, 176},
      {"Q6_K", 256, 210}, {"Q8_K", 256, 292},
  };
  static_assert(std::size(kInfo) == std::size_t(StoredType::q8_k) + 1);
  return kInfo[std::size_t(type)];
}

std::int64_t TensorEntry::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

std::string TensorEntry::shape_text() const {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += cat(i > 0 ? ", " : "", shape[i]);
  return text + "]";
}

void convert_to_f32(StoredType type, std::span<const std::byte> bytes, std::span<float> out) {
  switch (type) {
    case StoredType::f64:
      return convert<double>(bytes, out);
    case StoredType::f32:
      return convert<float>(bytes, out);
    case StoredType::f16:
      return convert<f16>(bytes, out);
    case StoredType::bf16:
      return convert<bf16>(bytes, out);
    case StoredType::f8_e4m3:
      return convert_f8<from_f8_e4m3>(bytes, out);
    case StoredType::f8_e5m2:
      return convert_f8<from_f8_e5m2>(bytes, out);
    case StoredType::i64:
      return convert<std::int64_t>(bytes, out);
    case StoredType::i32:
      return convert<std::int32_t>(bytes, out);
    case StoredType::i16:
      return convert<std::int16_t>(bytes, out);
    case StoredType::i8:
      return convert<std::int8_t>(bytes, out);
    case StoredType::u64:
      return convert<std::uint64_t>(bytes, out);
    case StoredType::u32:
      return convert<std::uint32_t>(bytes, out);
    case StoredType::u16:
      return convert<std::uint16_t>(bytes, out);
    case StoredType::u8:
    case StoredType::boolean:
      return convert<std::uint8_t>(bytes, out);
    default:
      dequantize_ggml(type, bytes, out);
  }
}

void TensorSource::read_bytes(const TensorEntry& entry, std::span<std::byte> out) const {
  expect(out.size() == entry.bytes, "read_bytes: not the size of the tensor");
  read_bytes(entry, 0, out);
}

void TensorSource::read_f32(const TensorEntry& entry, std::int64_t first_element,
                            std::span<float> out) const {
  const StoredTypeInfo& info = info_of(entry.type);
  const std::int64_t count = std::int64_t(out.size());
  expect(first_element >= 0 && count <= entry.elements() - first_element,
         "read_f32: beyond the tensor");
  expect(first_element % info.block_elements == 0 && count % info.block_elements == 0,
         "read_f32: not on the bounds of blocks");
  if (entry.type == StoredType::f32)
    return read_bytes(entry, std::uint64_t(first_element) * 4, std::as_writable_bytes(out));
  // In pieces, so that reading a large tensor needs no second copy of it.
  constexpr std::int64_t kPiece = 1 << 16;
  std::vector<std::byte> bytes;
  for (std::int64_t done = 0; done < count; done += kPiece) {
    const std::int64_t piece = std::min(kPiece, count - done);
    bytes.resize(std::size_t(piece / info.block_elements * info.block_bytes));
    const std::int64_t block = (first_element + done) / info.block_elements;
    read_bytes(entry, std::uint64_t(block * info.block_bytes), bytes);
    convert_to_f32(entry.type, bytes, out.subspan(std::size_t(done), std::size_t(piece)));
  }
}

const TensorEntry& TensorSource::at(std::string_view name) const {
  if (const TensorEntry* entry = find(name)) return *entry;
  throw InputError(cat(description(), ": found ", entries().size(), " tensors, none named '",
                       printable(name, 200), "'"));
}

}  // namespace elenchus
