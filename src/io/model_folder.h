#pragma once
// What a user calls a model: a Hugging Face folder, or one GGUF file.

#include <filesystem>
#include <memory>
#include <optional>

#include "base/json.h"
#include "io/gguf.h"
#include "io/tensor_source.h"

namespace elenchus {

/// The files of a model. The weights of a folder are opened when they are first asked for, so a
/// folder with only a tokenizer is enough for what needs no more.
struct ModelFiles {
  enum class Kind { hugging_face, gguf };

  Kind kind = Kind::hugging_face;
  std::filesystem::path path;      ///< the folder, or the GGUF file
  Json config;                     ///< config.json; null for a GGUF file or where there is none
  std::unique_ptr<GgufFile> gguf;  ///< set for a GGUF file

  // Files of a Hugging Face folder, where they are there.
  std::optional<std::filesystem::path> tokenizer_json, tokenizer_config_json, tokenizer_model,
      chat_template_jinja, special_tokens_map_json, added_tokens_json, generation_config_json;

  /// The tensors. InputError if there are none, or they are not what they should be.
  const TensorSource& weights();
  /// The whole of config.json. InputError if there is none.
  const Json& required_config() const;

 private:
  std::unique_ptr<TensorSource> safetensors_;
};

/// Opens a folder or a GGUF file; a folder whose only model is one *.gguf counts as that file.
/// InputError: nothing there, or no model in it; the message says what was looked for.
ModelFiles open_model_files(const std::filesystem::path& path);

}  // namespace elenchus
