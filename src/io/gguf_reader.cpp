#include "io/gguf_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/file.h"

namespace elenchus {
namespace {

constexpr std::uint64_t kMaxNameBytes = 65'535;
constexpr std::uint64_t kMaxStringBytes = 1 << 26;
constexpr std::uint64_t kMaxArray = 1 << 25;
constexpr std::uint64_t kMaxRead = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kBuffer = 1 << 18;

}  // namespace

/// Bytes of one value in a file; for a string its length field alone. 0 for what no array may hold.
std::uint64_t GgufReader::least_bytes(ValueType type) {
  switch (type) {
    case ValueType::u8:
    case ValueType::i8:
    case ValueType::boolean:
      return 1;
    case ValueType::u16:
    case ValueType::i16:
      return 2;
    case ValueType::u32:
    case ValueType::i32:
    case ValueType::f32:
      return 4;
    case ValueType::u64:
    case ValueType::i64:
    case ValueType::f64:
    case ValueType::string:
      return 8;
    case ValueType::array:
      return 0;
  }
  return 0;
}

std::string GgufReader::string() {
  const std::uint64_t at = position();
  const auto length = number<std::uint64_t>();
  const std::uint64_t most = std::min(kMaxStringBytes, left());
  if (length > most)
    fail_at(at, cat("found a string of ", length, " bytes, expected at most ", most));
  std::string text(length, '\0');
  take(std::as_writable_bytes(std::span(text)));
  return text;
}

std::string GgufReader::name() {
  const std::uint64_t at = position();
  std::string text = string();
  if (text.empty() || text.size() > kMaxNameBytes)
    fail_at(at, cat("found a name of ", text.size(), " bytes, expected 1 to ", kMaxNameBytes));
  if (find_invalid_utf8(text)) fail_at(at, "found a name that is no valid UTF-8");
  return text;
}

void GgufReader::take(std::span<std::byte> out) {
  if (out.size() > left())
    fail(cat("found the end of the file, expected ", out.size(), " more bytes"));
  while (!out.empty()) {
    if (used_ == buffer_.size()) {
      start_ += used_;
      used_ = 0;
      buffer_.resize(std::min<std::uint64_t>(kBuffer, bytes_.size() - start_));
      bytes_.read(start_, buffer_);
    }
    const std::size_t count = std::min(out.size(), buffer_.size() - used_);
    std::memcpy(out.data(), buffer_.data() + used_, count);
    used_ += count;
    out = out.subspan(count);
  }
}

GgufReader::ValueType GgufReader::value_type() {
  const std::uint64_t at = position();
  const auto number_of_type = number<std::uint32_t>();
  if (number_of_type > std::uint32_t(ValueType::f64))
    fail_at(at, cat("found the value type ", number_of_type, ", expected 0 to 12"));
  return ValueType(number_of_type);
}

bool GgufReader::boolean() {
  const auto byte = number<std::uint8_t>();
  if (byte > 1) fail_at(position() - 1, cat("found ", int{byte}, ", expected a boolean, 0 or 1"));
  return byte == 1;
}

GgufValue GgufReader::value() {
  const ValueType type = value_type();
  return type == ValueType::array ? array() : scalar(type);
}

GgufValue GgufReader::scalar(ValueType type) {
  switch (type) {
    case ValueType::f32:
      return double(number<float>());
    case ValueType::f64:
      return number<double>();
    case ValueType::boolean:
      return boolean();
    case ValueType::string:
      return string();
    case ValueType::u64:
      return number<std::uint64_t>();
    default:
      return integer(type);
  }
}

std::int64_t GgufReader::integer(ValueType type) {
  switch (type) {
    case ValueType::u8:
      return number<std::uint8_t>();
    case ValueType::i8:
      return number<std::int8_t>();
    case ValueType::u16:
      return number<std::uint16_t>();
    case ValueType::i16:
      return number<std::int16_t>();
    case ValueType::u32:
      return number<std::uint32_t>();
    case ValueType::i32:
      return number<std::int32_t>();
    case ValueType::i64:
      return number<std::int64_t>();
    case ValueType::boolean:
      return boolean();
    case ValueType::u64: {
      const auto wide = number<std::uint64_t>();
      if (wide > kMaxRead)
        fail_at(position() - 8, cat("found ", wide, ", expected at most 2^63 - 1"));
      return std::int64_t(wide);
    }
    default:
      break;
  }
  fail("found a value that is no integer");
}

GgufValue GgufReader::array() {
  const std::uint64_t at = position();
  const ValueType type = value_type();
  if (type == ValueType::array)
    fail_at(at, "found an array of arrays, expected an array of plain values");
  const auto count = number<std::uint64_t>();
  const std::uint64_t most = std::min(kMaxArray, left() / least_bytes(type));
  if (count > most)
    fail_at(at, cat("found an array of ", count, " values, expected at most ", most));
  if (type == ValueType::string) {
    std::vector<std::string> strings;
    // A hostile count could ask for four times the bytes that are left.
    strings.reserve(std::min<std::uint64_t>(count, 1 << 20));
    for (std::uint64_t i = 0; i < count; ++i) strings.push_back(string());
    return strings;
  }
  if (type == ValueType::f32) {
    std::vector<float> numbers(count);
    take(std::as_writable_bytes(std::span(numbers)));
    return numbers;
  }
  if (type == ValueType::f64) {
    std::vector<float> numbers;
    for (std::uint64_t i = 0; i < count; ++i) numbers.push_back(float(number<double>()));
    return numbers;
  }
  std::vector<std::int64_t> integers;
  for (std::uint64_t i = 0; i < count; ++i) integers.push_back(integer(type));
  return integers;
}

}  // namespace elenchus
