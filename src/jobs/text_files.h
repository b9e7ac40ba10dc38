#pragma once
// The text side of a model: tokenizer, chat template and special tokens, wherever its files keep
// them.

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/data_config.h"
#include "data/render.h"
#include "io/model_folder.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace elenchus {

struct TextFiles {
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;
  std::string bos_token, eos_token;  ///< as text; empty where the model has none
  std::optional<TokenId> bos, eos;
  std::optional<TokenId> leading_bos;  ///< what the tokenizer itself puts at the start of a text
  std::vector<TokenId> stop_ids;       ///< eos and the ends of a turn, ascending
  /// What an adapter folder gets: file name -> bytes. tokenizer.json, tokenizer_config.json,
  /// chat_template.jinja and what else the model's folder has.
  std::map<std::string, std::string> files;
};

/// Reads them from an opened model. `chat_template_path` is a Jinja file to use in place of the
/// model's own. InputError: a file that is missing or not what it should be.
TextFiles load_text(const ModelFiles& model,
                    const std::optional<std::filesystem::path>& chat_template_path = {});

/// The same for a model's path; no weights are needed.
TextFiles load_text(const std::filesystem::path& model);

/// How rows are rendered with these files. `text` outlives the rules.
RenderRules render_rules(const TextFiles& text, const DataConfig& data, std::int64_t now_seconds);

}  // namespace elenchus
