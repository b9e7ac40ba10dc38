#include "io/model_folder.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

std::string shown(const fs::path& path) { return printable(path.native(), 512); }

std::optional<fs::path> file_in(const fs::path& folder, std::string_view name) {
  std::error_code error;
  fs::path path = folder / name;
  return fs::exists(path, error) ? std::optional(std::move(path)) : std::nullopt;
}

std::vector<fs::path> gguf_files_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

ModelFiles open_gguf(const fs::path& path) {
  ModelFiles files;
  files.kind = ModelFiles::Kind::gguf;
  files.path = path;
  files.gguf = std::make_unique<GgufFile>(path);
  return files;
}

ModelFiles open_folder(const fs::path& folder) {
  ModelFiles files;
  files.path = folder;
  files.tokenizer_json = file_in(folder, "tokenizer.json");
  files.tokenizer_config_json = file_in(folder, "tokenizer_config.json");
  files.tokenizer_model = file_in(folder, "tokenizer.model");
  files.chat_template_jinja = file_in(folder, "chat_template.jinja");
  files.special_tokens_map_json = file_in(folder, "special_tokens_map.json");
  files.added_tokens_json = file_in(folder, "added_tokens.json");
  files.generation_config_json = file_in(folder, "generation_config.json");
  if (const auto config = file_in(folder, "config.json"))
    files.config = Json::parse(read_text_file(*config, 1 << 26), shown(*config));
  return files;
}

}  // namespace

const TensorSource& ModelFiles::weights() {
  if (gguf) return *gguf;
  if (!safetensors_) safetensors_ = std::make_unique<SafetensorsFolder>(path);
  return *safetensors_;
}

const Json& ModelFiles::required_config() const {
  if (config.is_object()) return config;
  if (config.is_null())
    throw InputError(cat(shown(path), ": found no config.json, expected one in a model folder"));
  throw InputError(
      cat(shown(path / "config.json"), ": found ", config.kind_name(), ", expected an object"));
}

ModelFiles open_model_files(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    throw InputError(cat(shown(path),
                         ": found nothing there, expected a Hugging Face folder "
                         "(config.json, tokenizer.json, model.safetensors) or a GGUF file"));
  if (!fs::is_directory(status)) return open_gguf(path);
  ModelFiles files = open_folder(path);
  if (!files.config.is_null() || files.tokenizer_json || has_safetensors(path)) return files;
  const std::vector<fs::path> ggufs = gguf_files_in(path);
  if (ggufs.size() == 1) return open_gguf(ggufs[0]);
  if (ggufs.size() > 1)
    throw InputError(cat(shown(path), ": found ", ggufs.size(),
                         " GGUF files, expected one; name the one that is meant, for example ",
                         shown(ggufs[0])));
  throw InputError(cat(shown(path),
                       ": found no model in the folder, expected config.json, tokenizer.json, "
                       "model.safetensors or one .gguf file"));
}

}  // namespace elenchus
