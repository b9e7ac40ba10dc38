#pragma once
// What holds for any bytes given to the safetensors reader.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "io/safetensors.h"

namespace elenchus {

/// Bytes are refused with an InputError, or accepted; then the tensors cover the data without gaps,
/// all of them can be read, and a file written from them reads the same.
inline void check_safetensors_reader(const std::uint8_t* bytes, std::size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(bytes);
  const auto open = [&]() -> std::unique_ptr<SafetensorsFile> {
    try {
      return std::make_unique<SafetensorsFile>(
          memory_bytes(std::vector<std::byte>(begin, begin + size), "fuzz"));
    } catch (const InputError&) {
      return nullptr;
    }
  };
  const auto file = open();
  if (!file) return;
  std::uint64_t end = file->entries().empty() ? size : file->entries().front().offset;
  std::vector<std::vector<std::byte>> data;
  SafetensorsWriter writer;
  writer.set_metadata(file->metadata());
  for (const TensorEntry& entry : file->entries()) {
    expect(entry.offset == end, "a gap between tensors");
    end += entry.bytes;
    data.emplace_back(entry.bytes);
    file->read_bytes(entry, data.back());
    std::vector<float> values(std::size_t(entry.elements()));
    file->read_f32(entry, 0, values);
    writer.add(entry.name, entry.type, entry.shape, data.back());
  }
  expect(end == size, "data that belongs to no tensor");
  std::vector<std::byte> again;
  writer.write([&](std::span<const std::byte> piece) {
    again.insert(again.end(), piece.begin(), piece.end());
  });
  expect(again.size() == writer.size(), "the size foretold is another one");
  const SafetensorsFile second(memory_bytes(std::move(again), "fuzz"));
  expect(second.entries().size() == file->entries().size(), "tensors were lost");
}

}  // namespace elenchus
