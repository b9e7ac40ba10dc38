#pragma once
// What holds for any bytes given to the GGUF reader.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "io/gguf.h"

namespace elenchus {

/// Bytes are refused with an InputError, or accepted; then every tensor lies in the file and can be
/// read.
inline void check_gguf_reader(const std::uint8_t* bytes, std::size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(bytes);
  const auto open = [&]() -> std::unique_ptr<GgufFile> {
    try {
      return std::make_unique<GgufFile>(
          memory_bytes(std::vector<std::byte>(begin, begin + size), "fuzz"));
    } catch (const InputError&) {
      return nullptr;
    }
  };
  const auto file = open();
  if (!file) return;
  std::uint64_t end = 0;
  for (const TensorEntry& entry : file->entries()) {
    expect(entry.offset >= end && entry.bytes <= size && entry.offset <= size - entry.bytes,
           "a tensor beyond the file or within another one");
    end = entry.offset + entry.bytes;
    expect(file->find(entry.name) == &entry, "a tensor is not found by its name");
    std::vector<float> values(std::size_t(entry.elements()));
    file->read_f32(entry, 0, values);
  }
}

}  // namespace elenchus
