#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "io/safetensors.h"

namespace elenchus {
namespace {

std::size_t order_of(StoredType type) {
  const auto* found = std::find(std::begin(kSafetensorsTypes), std::end(kSafetensorsTypes), type);
  expect(found != std::end(kSafetensorsTypes), "safetensors cannot hold this type");
  return std::size_t(std::end(kSafetensorsTypes) - found);
}

/// JSON without spaces, as the Python library writes it.
std::string list_text(const auto& numbers) {
  std::string text = "[";
  for (std::size_t i = 0; i < std::size(numbers); ++i) text += cat(i > 0 ? "," : "", numbers[i]);
  return text + "]";
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::string text = "\"__metadata__\":{";
  for (const auto& [key, value] : metadata)
    text += cat(text.back() == '{' ? "" : ",", Json(key).dump(), ":", Json(value).dump());
  return text + "}";
}

}  // namespace

void SafetensorsWriter::add(std::string name, StoredType type, std::vector<std::int64_t> shape,
                            Producer produce) {
  expect(name != "__metadata__", "no tensor may be named __metadata__");
  TensorEntry entry{name, type, std::move(shape), 0, 0, 0};
  entry.bytes = std::uint64_t(entry.elements() * info_of(type).block_bytes);
  const bool added =
      items_.try_emplace(std::move(name), Item{std::move(entry), std::move(produce)}).second;
  expect(added, "SafetensorsWriter: the same name twice");
}

void SafetensorsWriter::add(std::string name, StoredType type, std::vector<std::int64_t> shape,
                            std::span<const std::byte> bytes) {
  add(std::move(name), type, std::move(shape), [bytes](const ByteSink& sink) { sink(bytes); });
}

std::vector<const SafetensorsWriter::Item*> SafetensorsWriter::ordered() const {
  std::vector<const Item*> order;
  for (const auto& [name, item] : items_) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return order_of(a->entry.type) < order_of(b->entry.type);
  });
  return order;
}

std::string SafetensorsWriter::header() const {
  std::string text = "{";
  if (!metadata_.empty()) text += metadata_text(metadata_);
  std::uint64_t offset = 0;
  for (const Item* item : ordered()) {
    const TensorEntry& entry = item->entry;
    const std::uint64_t range[] = {offset, offset + entry.bytes};
    text += cat(text.size() > 1 ? "," : "", Json(entry.name).dump(), ":{\"dtype\":\"",
                name_of(entry.type), "\",\"shape\":", list_text(entry.shape),
                ",\"data_offsets\":", list_text(range), "}");
    offset += entry.bytes;
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data is aligned
  return text;
}

std::uint64_t SafetensorsWriter::size() const {
  std::uint64_t size = 8 + header().size();
  for (const auto& [name, item] : items_) size += item.entry.bytes;
  return size;
}

void SafetensorsWriter::write(const ByteSink& sink) const {
  const std::string text = header();
  const std::uint64_t length = text.size();
  sink(std::as_bytes(std::span(&length, 1)));
  sink(std::as_bytes(std::span(text)));
  for (const Item* item : ordered()) {
    std::uint64_t produced = 0;
    item->produce([&](std::span<const std::byte> bytes) {
      produced += bytes.size();
      expect(produced <= item->entry.bytes, "SafetensorsWriter: more bytes than the tensor has");
      sink(bytes);
    });
    expect(produced == item->entry.bytes, "SafetensorsWriter: fewer bytes than the tensor has");
  }
}

void write_safetensors(const std::filesystem::path& path, const SafetensorsWriter& writer) {
  write_file_atomically(path, writer.size(), [&](const ByteSink& sink) { writer.write(sink); });
}

}  // namespace elenchus
