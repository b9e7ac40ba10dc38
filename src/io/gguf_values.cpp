#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "io/gguf.h"

namespace elenchus {
namespace {

std::string_view kind_of(const GgufValue& value) {
  // In the order of GgufValue.
  constexpr std::string_view kNames[] = {
      "a boolean", "an integer",          "an integer",          "a number",
      "a string",  "an array of strings", "an array of numbers", "an array of integers"};
  return kNames[value.index()];
}

[[noreturn]] void wrong(const GgufFile& file, std::string_view key, std::string_view expected,
                        std::string_view found) {
  throw InputError(cat(file.description(), ": key '", printable(key), "': found ", found,
                       ", expected ", expected));
}

}  // namespace

const GgufValue* GgufFile::value_of(std::string_view key) const {
  const auto found = key_index_.find(key);
  return found == key_index_.end() ? nullptr : &metadata_[found->second].second;
}

template <class T>
const T* GgufFile::typed(std::string_view key, std::string_view kind) const {
  const GgufValue* value = value_of(key);
  if (value == nullptr) return nullptr;
  if (const T* typed = std::get_if<T>(value)) return typed;
  wrong(*this, key, kind, kind_of(*value));
}

std::optional<std::string_view> GgufFile::get_string(std::string_view key) const {
  const auto* text = typed<std::string>(key, "a string");
  return text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
}

std::optional<std::uint64_t> GgufFile::get_u64(std::string_view key) const {
  const GgufValue* value = value_of(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<std::uint64_t>(value)) return *number;
  const auto* number = typed<std::int64_t>(key, "an integer");
  if (*number < 0) wrong(*this, key, "an integer from 0 on", std::to_string(*number));
  return std::uint64_t(*number);
}

std::optional<float> GgufFile::get_f32(std::string_view key) const {
  const auto* number = typed<double>(key, "a number");
  return number == nullptr ? std::nullopt : std::optional<float>(float(*number));
}

std::optional<bool> GgufFile::get_bool(std::string_view key) const {
  const auto* truth = typed<bool>(key, "a boolean");
  return truth == nullptr ? std::nullopt : std::optional<bool>(*truth);
}

const std::vector<std::string>* GgufFile::get_string_array(std::string_view key) const {
  return typed<std::vector<std::string>>(key, "an array of strings");
}

const std::vector<float>* GgufFile::get_f32_array(std::string_view key) const {
  return typed<std::vector<float>>(key, "an array of numbers");
}

std::optional<std::vector<std::int32_t>> GgufFile::get_i32_array(std::string_view key) const {
  const auto* wide = typed<std::vector<std::int64_t>>(key, "an array of integers");
  if (wide == nullptr) return std::nullopt;
  std::vector<std::int32_t> narrow;
  narrow.reserve(wide->size());
  for (const std::int64_t value : *wide) {
    if (value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max())
      wrong(*this, key, "integers of 32 bits", std::to_string(value));
    narrow.push_back(std::int32_t(value));
  }
  return narrow;
}

}  // namespace elenchus
