#include "jobs/text_files.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestFile = 1u << 28;

/// Tokens that end a turn in the templates of published models.
constexpr std::string_view kTurnEnds[] = {
    "<end_of_turn>",         "<|im_end|>", "<|eot_id|>",     "<|eom_id|>", "<|end|>", "<|eot|>",
    "<|END_OF_TURN_TOKEN|>", "<|return|>", "<|end_of_turn|>"};

std::string shown(const fs::path& path) { return printable(path.native(), 512); }

Json read_json(const fs::path& path) {
  Json json = Json::parse(read_text_file(path, kLargestFile), shown(path));
  if (!json.is_object()) {
    throw InputError(cat(shown(path), ": found ", json.kind_name(), ", expected an object"));
  }
  return json;
}

/// A special token as configurations write it: text, or an object with its text as `content`.
std::string token_text(const Json& config, std::string_view key) {
  const Json* token = config.find(key);
  if (token && token->is_object()) token = token->find("content");
  return token && token->is_string() ? token->as_string(key) : std::string();
}

/// eos_token_id of a configuration: an id, a list of ids, or nothing.
void add_eos_ids(const Json& config, std::string_view source, const Tokenizer& tokenizer,
                 std::set<TokenId>& ids) {
  const Json* const value = config.find("eos_token_id");
  if (!value || value->is_null()) return;
  const std::string what = cat(source, ": eos_token_id");
  const Json::Array list = value->is_array() ? value->as_array(what) : Json::Array{*value};
  for (const Json& item : list) {
    const std::int64_t id = item.as_integer(what);
    if (id < 0 || id >= tokenizer.vocabulary_size()) {
      throw InputError(cat(what, ": found ", id, ", expected an id below ",
                           tokenizer.vocabulary_size(), ", the size of the vocabulary"));
    }
    ids.insert(static_cast<TokenId>(id));
  }
}

/// The template of tokenizer_config.json: one, or a list of named ones of which "default" counts.
std::optional<std::string> configured_template(const Json& config, const std::string& source) {
  const Json* const value = config.find("chat_template");
  if (!value || value->is_null()) return {};
  if (value->is_string()) return value->as_string(source);
  for (const Json& named : value->as_array(cat(source, ": chat_template"))) {
    if (token_text(named, "name") == "default") {
      return named.at("template", source).as_string(cat(source, ": chat_template"));
    }
  }
  return {};
}

/// tokenizer_config.json with the chat template in it. The other bytes stay as they are: numbers in
/// these files do not all survive reading and writing.
std::string with_template(const std::string& config_text, Json config, const std::string& source) {
  const Json* const present = config.find("chat_template");
  if (present && present->is_string() && present->as_string("") == source) return config_text;
  const std::size_t end = config_text.find_last_of('}');
  if (present || end == std::string::npos) {
    config.set("chat_template", source);
    return config.dump(2) + "\n";
  }
  std::size_t last = config_text.find_last_not_of(" \t\r\n", end - 1);
  const bool empty = config.as_object("").empty();
  return cat(config_text.substr(0, last + 1), empty ? "" : ",",
             "\n  \"chat_template\": ", Json(source).dump(), "\n}\n");
}

/// What a model's files say, before it is put together.
struct Sources {
  std::optional<std::string> template_source;
  std::string config_text = "{}";  // tokenizer_config.json
  Json config = Json::Object{};
  std::set<TokenId> stop_ids;
};

/// A model folder's own text files, byte for byte.
Sources read_folder(const ModelFiles& model, TextFiles& text) {
  if (!model.tokenizer_json) {
    throw InputError(
        cat(shown(model.path), ": found no tokenizer.json",
            model.tokenizer_model
                ? ", only tokenizer.model; write one with "
                  "AutoTokenizer.from_pretrained(...).save_pretrained(...) of transformers"
                : ", expected one in a model folder"));
  }
  Sources sources;
  const auto copy = [&](const std::optional<fs::path>& path) {
    if (path) text.files[path->filename().string()] = read_text_file(*path, kLargestFile);
  };
  copy(model.tokenizer_json);
  copy(model.special_tokens_map_json);
  copy(model.added_tokens_json);
  copy(model.tokenizer_model);
  const std::string& tokenizer_text = text.files.at(model.tokenizer_json->filename().string());
  const std::string tokenizer_name = shown(*model.tokenizer_json);
  text.tokenizer = tokenizer_from_json(Json::parse(tokenizer_text, tokenizer_name), tokenizer_name);
  if (model.tokenizer_config_json) {
    sources.config_text = read_text_file(*model.tokenizer_config_json, kLargestFile);
    sources.config = read_json(*model.tokenizer_config_json);
    sources.template_source =
        configured_template(sources.config, shown(*model.tokenizer_config_json));
  }
  if (model.chat_template_jinja) {
    sources.template_source = read_text_file(*model.chat_template_jinja, kLargestFile);
  }
  text.bos_token = token_text(sources.config, "bos_token");
  text.eos_token = token_text(sources.config, "eos_token");
  if (model.special_tokens_map_json) {
    const Json map = read_json(*model.special_tokens_map_json);
    if (text.bos_token.empty()) text.bos_token = token_text(map, "bos_token");
    if (text.eos_token.empty()) text.eos_token = token_text(map, "eos_token");
  }
  add_eos_ids(model.config, shown(model.path / "config.json"), *text.tokenizer, sources.stop_ids);
  if (model.generation_config_json) {
    add_eos_ids(read_json(*model.generation_config_json), shown(*model.generation_config_json),
                *text.tokenizer, sources.stop_ids);
  }
  return sources;
}

std::optional<std::int64_t> optional_id(const GgufFile& file, std::string_view key) {
  const auto value = file.get_u64(key);
  if (!value) return {};
  return static_cast<std::int64_t>(std::min<std::uint64_t>(*value, INT64_MAX));
}

GgufVocabulary read_vocabulary(const GgufFile& file) {
  GgufVocabulary vocabulary;
  const auto* const tokens = file.get_string_array("tokenizer.ggml.tokens");
  const auto model = file.get_string("tokenizer.ggml.model");
  if (!tokens || !model) {
    throw InputError(cat(file.description(), ": key ",
                         tokens ? "tokenizer.ggml.model" : "tokenizer.ggml.tokens",
                         " is missing, expected a model with its tokenizer"));
  }
  vocabulary.model = *model;
  vocabulary.model_name = file.get_string("general.name").value_or("");
  vocabulary.pre = file.get_string("tokenizer.ggml.pre").value_or("");
  vocabulary.tokens = *tokens;
  if (const auto* merges = file.get_string_array("tokenizer.ggml.merges")) {
    vocabulary.merges = *merges;
  }
  if (const auto* scores = file.get_f32_array("tokenizer.ggml.scores")) {
    vocabulary.scores = *scores;
  }
  vocabulary.token_types =
      file.get_i32_array("tokenizer.ggml.token_type").value_or(std::vector<std::int32_t>());
  vocabulary.bos = optional_id(file, "tokenizer.ggml.bos_token_id");
  vocabulary.eos = optional_id(file, "tokenizer.ggml.eos_token_id");
  vocabulary.unknown = optional_id(file, "tokenizer.ggml.unknown_token_id");
  vocabulary.padding = optional_id(file, "tokenizer.ggml.padding_token_id");
  vocabulary.add_bos = file.get_bool("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = file.get_bool("tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = file.get_bool("tokenizer.ggml.add_space_prefix");
  return vocabulary;
}

/// tokenizer_config.json for a tokenizer that came from a GGUF file.
Json config_for(const GgufVocabulary& vocabulary, const Tokenizer& tokenizer) {
  Json config = Json::Object{};
  const auto set_token = [&](std::string_view key, const std::optional<std::int64_t>& id) {
    if (id && *id < tokenizer.vocabulary_size()) {
      config.set(key, tokenizer.token_of(static_cast<TokenId>(*id)));
    }
  };
  set_token("bos_token", vocabulary.bos);
  config.set("clean_up_tokenization_spaces", false);
  set_token("eos_token", vocabulary.eos);
  set_token("pad_token", vocabulary.padding);
  config.set("tokenizer_class", "PreTrainedTokenizerFast");
  set_token("unk_token", vocabulary.unknown);
  return config;
}

/// The text files that say what a GGUF file's metadata says.
Sources read_gguf(const GgufFile& file, TextFiles& text) {
  const GgufVocabulary vocabulary = read_vocabulary(file);
  Sources sources;
  text.tokenizer = tokenizer_from_gguf(vocabulary, file.description());
  text.files["tokenizer.json"] = tokenizer_json_from_gguf(vocabulary).dump() + "\n";
  sources.config = config_for(vocabulary, *text.tokenizer);
  sources.config_text = sources.config.dump(2) + "\n";
  if (const auto source = file.get_string("tokenizer.chat_template")) {
    sources.template_source = std::string(*source);
  }
  text.bos_token = token_text(sources.config, "bos_token");
  text.eos_token = token_text(sources.config, "eos_token");
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const auto id = optional_id(file, key);
    if (id && *id < text.tokenizer->vocabulary_size()) {
      sources.stop_ids.insert(static_cast<TokenId>(*id));
    }
  }
  return sources;
}

void find_special_ids(TextFiles& text, std::set<TokenId> stop_ids) {
  const Tokenizer& tokenizer = *text.tokenizer;
  if (!text.bos_token.empty()) text.bos = tokenizer.id_of(text.bos_token);
  if (!text.eos_token.empty()) text.eos = tokenizer.id_of(text.eos_token);
  const std::vector<TokenId> ends = tokenizer.encode("", {.add_special_tokens = true}).ids;
  if (!ends.empty() && text.bos && ends[0] == *text.bos) text.leading_bos = text.bos;
  if (text.eos) stop_ids.insert(*text.eos);
  for (const std::string_view token : kTurnEnds) {
    const auto id = tokenizer.id_of(token);
    const bool used =
        text.chat_template && text.chat_template->source().find(token) != std::string::npos;
    if (id && used && tokenizer.is_special(*id)) stop_ids.insert(*id);
  }
  text.stop_ids.assign(stop_ids.begin(), stop_ids.end());
}

}  // namespace

TextFiles load_text(const ModelFiles& model, const std::optional<fs::path>& chat_template_path) {
  TextFiles text;
  Sources sources = model.gguf ? read_gguf(*model.gguf, text) : read_folder(model, text);
  if (chat_template_path) {
    sources.template_source = read_text_file(*chat_template_path, kLargestFile);
  }
  if (sources.template_source) {
    text.files["chat_template.jinja"] = *sources.template_source;
    sources.config_text =
        with_template(sources.config_text, std::move(sources.config), *sources.template_source);
    try {
      text.chat_template.emplace(*sources.template_source, text.bos_token, text.eos_token);
    } catch (const InputError& error) {
      const fs::path& file = chat_template_path ? *chat_template_path : model.path;
      throw InputError(cat(printable(file.native(), 512), ": ", error.what()));
    }
  }
  text.files["tokenizer_config.json"] = std::move(sources.config_text);
  find_special_ids(text, std::move(sources.stop_ids));
  return text;
}

TextFiles load_text(const fs::path& model) { return load_text(open_model_files(model)); }

RenderRules render_rules(const TextFiles& text, const DataConfig& data, std::int64_t now_seconds) {
  return {.tokenizer = *text.tokenizer,
          .chat_template = text.chat_template ? &*text.chat_template : nullptr,
          .eos = text.eos,
          .bos = text.leading_bos,
          .named_bos = text.bos,
          .end_of_turn = text.stop_ids,
          .assistant_only_loss = data.assistant_only_loss,
          .mask_history = data.mask_history,
          .system_role = data.system_role,
          .now_seconds = now_seconds};
}

}  // namespace elenchus
