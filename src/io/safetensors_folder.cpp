#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "io/safetensors.h"

namespace elenchus {
namespace {

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr std::size_t kMaxShards = 10'000;

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

/// A name that cannot lead out of the folder.
bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 255 && name.find("..") == name.npos && name != "." &&
         std::all_of(name.begin(), name.end(), plain);
}

}  // namespace

bool has_safetensors(const std::filesystem::path& folder) {
  return is_there(folder / kSingleFile) || is_there(folder / kIndexFile);
}

SafetensorsFolder::SafetensorsFolder(const std::filesystem::path& folder) : folder_(folder) {
  if (is_there(folder / kSingleFile)) {
    files_.push_back(std::make_unique<SafetensorsFile>(folder / kSingleFile));
    entries_.assign(files_[0]->entries().begin(), files_[0]->entries().end());
  } else if (is_there(folder / kIndexFile)) {
    open_shards(folder / kIndexFile);
  } else {
    throw InputError(cat(description(), ": found no weights, expected ", kSingleFile, " or ",
                         kIndexFile, " in the folder"));
  }
  index_names();
}

void SafetensorsFolder::open_shards(const std::filesystem::path& index_path) {
  const std::string source = printable(index_path.native(), 512);
  const Json index = Json::parse(read_text_file(index_path, 100'000'000), source, {.depth = 8});
  const Json::Object& map = index.at("weight_map", source).as_object(source + ": weight_map");
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map) {
    const std::string& name =
        shard.as_string(cat(source, ": weight_map['", printable(tensor), "']"));
    if (!is_plain_name(name))
      throw InputError(cat(source, ": weight_map['", printable(tensor), "']: found the file name '",
                           printable(name), "', expected a plain name in the same folder"));
    shards.insert(name);
  }
  if (shards.size() > kMaxShards)
    throw InputError(
        cat(source, ": found ", shards.size(), " files, expected at most ", kMaxShards));

  std::unordered_map<std::string_view, const std::string*> shard_of;
  for (const auto& [tensor, shard] : map) shard_of.emplace(tensor, &shard.as_string(source));
  for (const std::string& shard : shards) {
    const auto file = std::uint32_t(files_.size());
    files_.push_back(std::make_unique<SafetensorsFile>(folder_ / shard));
    for (const TensorEntry& entry : files_.back()->entries()) {
      const auto named = shard_of.find(entry.name);
      if (named == shard_of.end() || *named->second != shard)
        throw InputError(cat(files_.back()->description(), ": found the tensor '",
                             printable(entry.name, 200), "', which ", kIndexFile, " places ",
                             named == shard_of.end() ? "in no file" : "in another file"));
      entries_.push_back(entry);
      entries_.back().file = file;
    }
  }
  if (entries_.size() == map.size()) return;
  for (const auto& [tensor, shard] : map) {
    const auto has = [&](const auto& file) { return file->find(tensor) != nullptr; };
    if (std::none_of(files_.begin(), files_.end(), has))
      throw InputError(cat(source, ": weight_map names the tensor '", printable(tensor, 200),
                           "', which is not in ", printable(shard.as_string(source))));
  }
}

void SafetensorsFolder::index_names() {
  for (std::size_t i = 0; i < entries_.size(); ++i) by_name_.emplace(entries_[i].name, i);
}

std::string SafetensorsFolder::description() const { return printable(folder_.native(), 512); }

const TensorEntry* SafetensorsFolder::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

void SafetensorsFolder::read_bytes(const TensorEntry& entry, std::uint64_t first_byte,
                                   std::span<std::byte> out) const {
  expect(entry.file < files_.size(), "read_bytes: the tensor of another source");
  files_[entry.file]->read_bytes(entry, first_byte, out);
}

}  // namespace elenchus
