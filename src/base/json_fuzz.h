#pragma once
// What holds for any bytes given to the JSON reader.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace elenchus {

/// Bytes are refused with an InputError, or accepted; then writing and reading again changes
/// nothing.
inline void check_json_reader(const std::uint8_t* bytes, std::size_t size) {
  Json json;
  try {
    json = Json::parse({reinterpret_cast<const char*>(bytes), size}, "fuzz");
  } catch (const InputError&) {
    return;
  }
  expect(Json::parse(json.dump(), "fuzz") == json, "the value read back is another one");
  expect(Json::parse(json.dump(2), "fuzz") == json, "the indented value read back is another one");
}

}  // namespace elenchus
