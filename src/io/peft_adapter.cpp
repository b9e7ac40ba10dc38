#include "io/peft_adapter.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

constexpr std::int64_t kMaxRank = 4096;

/// Reads members of one object; every message names the file and the key.
class Members {
 public:
  Members(const Json& json, std::string_view source) : json_(json), source_(source) {}

  std::string what(std::string_view key) const { return cat(source_, ": ", key); }
  [[noreturn]] void fail(std::string_view key, const std::string& text) const {
    throw InputError(cat(what(key), ": ", text));
  }
  /// The member, or null where it is missing or null.
  const Json* find(std::string_view key) const {
    const Json* value = json_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  std::string text(std::string_view key, std::string fallback) const {
    const Json* value = find(key);
    return value == nullptr ? fallback : value->as_string(what(key));
  }
  bool boolean(std::string_view key) const {
    const Json* value = find(key);
    return value != nullptr && value->as_boolean(what(key));
  }
  double number(std::string_view key, double fallback) const {
    const Json* value = find(key);
    return value == nullptr ? fallback : value->as_number(what(key));
  }
  std::vector<std::string> texts(std::string_view key) const {
    std::vector<std::string> result;
    if (const Json* value = find(key))
      for (const Json& item : value->as_array(what(key)))
        result.push_back(item.as_string(what(key)));
    return result;
  }
  /// A list of whole numbers from 0, or one alone.
  std::vector<std::int64_t> layers(std::string_view key) const {
    constexpr std::int64_t kMost = 1 << 20;
    std::vector<std::int64_t> result;
    const auto add = [&](const Json& value) {
      result.push_back(value.as_integer(what(key)));
      if (result.back() < 0 || result.back() > kMost)
        fail(key, cat("found ", result.back(), ", expected a block of the model"));
    };
    const Json* value = find(key);
    if (value == nullptr) return result;
    if (!value->is_array()) {
      add(*value);
      return result;
    }
    for (const Json& item : value->as_array(what(key))) add(item);
    return result;
  }
  std::int64_t rank(std::string_view key, const Json& value) const {
    const std::int64_t rank = value.as_integer(what(key));
    if (rank < 1 || rank > kMaxRank) fail(key, cat("found ", rank, ", expected 1 to ", kMaxRank));
    return rank;
  }

 private:
  const Json& json_;
  std::string_view source_;
};

bool is_empty(const Json& value) {
  return value.is_null() || (value.is_array() && value.as_array("").empty()) ||
         (value.is_object() && value.as_object("").empty());
}

/// Refuses settings that would make this adapter compute something else than LoRA does.
void refuse_unsupported(const Members& members) {
  for (const char* key : {"lora_bias", "fan_in_fan_out", "use_qalora"})
    if (members.boolean(key)) members.fail(key, "found true, expected false: it is not supported");
  for (const char* key : {"layer_replication", "trainable_token_indices", "target_parameters"}) {
    const Json* value = members.find(key);
    if (value != nullptr && !is_empty(*value))
      members.fail(key, cat("found ", value->kind_name(), ", expected null: it is not supported"));
  }
  const Json* start = members.find("init_lora_weights");
  if (start == nullptr || !start->is_string()) return;
  const std::string& name = start->as_string("");
  const std::string_view harmless[] = {"gaussian", "eva", "orthogonal"};
  if (std::find(std::begin(harmless), std::end(harmless), name) == std::end(harmless))
    members.fail("init_lora_weights", cat("found '", printable(name),
                                          "', which changes the base model's weights; convert the "
                                          "adapter to a plain LoRA with PEFT first"));
}

/// A list of names, or one text that is a pattern.
void read_names(const Members& members, std::string_view key, std::vector<std::string>& names,
                std::string& pattern) {
  const Json* value = members.find(key);
  if (value != nullptr && value->is_string())
    pattern = value->as_string("");
  else
    names = members.texts(key);
}

void read_patterns(const Members& members, AdapterConfig& config) {
  if (const Json* ranks = members.find("rank_pattern"))
    for (const auto& [name, value] : ranks->as_object(members.what("rank_pattern")))
      config.rank_pattern[name] = members.rank("rank_pattern", value);
  if (const Json* alphas = members.find("alpha_pattern"))
    for (const auto& [name, value] : alphas->as_object(members.what("alpha_pattern")))
      config.alpha_pattern[name] = value.as_number(members.what("alpha_pattern"));
}

/// A whole number as PEFT's users write it: 32, not 32.0.
Json number_json(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return Json(std::int64_t(value));
  return Json(value);
}

Json list_json(const std::vector<std::string>& texts) {
  Json::Array list(texts.begin(), texts.end());
  return Json(std::move(list));
}

std::string yaml_scalar(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '.';
  };
  const bool letter_first = !text.empty() && (text[0] == '/' || text[0] > '9');
  return letter_first && std::all_of(text.begin(), text.end(), plain) ? text : Json(text).dump();
}

}  // namespace

AdapterConfig parse_adapter_config(const Json& json, std::string_view source) {
  json.as_object(source);
  const Members members(json, source);
  const std::string& type = json.at("peft_type", source).as_string(members.what("peft_type"));
  if (type != "LORA")
    members.fail("peft_type", cat("found '", printable(type), "', expected 'LORA'"));
  refuse_unsupported(members);
  AdapterConfig config;
  config.task_type = members.text("task_type", "");
  config.base_model_name_or_path = members.text("base_model_name_or_path", "");
  if (members.find("revision") != nullptr) config.revision = members.text("revision", "");
  config.r = members.rank("r", json.at("r", source));
  config.lora_alpha = members.number("lora_alpha", config.lora_alpha);
  config.lora_dropout = members.number("lora_dropout", config.lora_dropout);
  config.bias = members.text("bias", config.bias);
  config.modules_to_save = members.texts("modules_to_save");
  config.ensure_weight_tying = members.boolean("ensure_weight_tying");
  config.layers_to_transform = members.layers("layers_to_transform");
  if (const Json* pattern = members.find("layers_pattern"); pattern && pattern->is_string())
    config.layers_pattern = {pattern->as_string("")};
  else
    config.layers_pattern = members.texts("layers_pattern");
  config.use_rslora = members.boolean("use_rslora");
  config.use_dora = members.boolean("use_dora");
  read_names(members, "target_modules", config.target_modules, config.target_pattern);
  read_names(members, "exclude_modules", config.exclude_modules, config.exclude_pattern);
  read_patterns(members, config);
  if (!(config.lora_dropout >= 0 && config.lora_dropout < 1))
    members.fail("lora_dropout", cat("found ", config.lora_dropout, ", expected 0 to less than 1"));
  if (config.bias != "none" && config.bias != "all" && config.bias != "lora_only")
    members.fail("bias",
                 cat("found '", printable(config.bias), "', expected none, all or lora_only"));
  return config;
}

AdapterConfig read_adapter_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kAdapterConfigFile;
  const std::string source = printable(path.native(), 512);
  return parse_adapter_config(Json::parse(read_text_file(path, 1 << 26), source), source);
}

std::string adapter_config_json(const AdapterConfig& config) {
  Json json = Json::Object{};
  for (const char* key :
       {"auto_mapping", "corda_config", "eva_config", "exclude_modules", "layer_replication",
        "layers_pattern", "layers_to_transform", "megatron_config", "modules_to_save", "revision",
        "target_parameters", "task_type", "trainable_token_indices"})
    json.set(key, nullptr);
  Json::Object ranks, alphas;
  for (const auto& [name, rank] : config.rank_pattern) ranks.emplace_back(name, rank);
  for (const auto& [name, alpha] : config.alpha_pattern)
    alphas.emplace_back(name, number_json(alpha));
  json.set("alpha_pattern", std::move(alphas));
  json.set("rank_pattern", std::move(ranks));
  json.set("base_model_name_or_path", config.base_model_name_or_path);
  json.set("bias", config.bias);
  json.set("fan_in_fan_out", false);
  json.set("inference_mode", true);
  json.set("init_lora_weights", true);
  json.set("loftq_config", Json::Object{});
  json.set("lora_alpha", number_json(config.lora_alpha));
  json.set("lora_bias", false);
  json.set("lora_dropout", config.lora_dropout);
  json.set("megatron_core", "megatron.core");
  json.set("peft_type", "LORA");
  json.set("qalora_group_size", 16);
  json.set("r", config.r);
  json.set("use_dora", config.use_dora);
  json.set("use_rslora", config.use_rslora);
  if (config.revision) json.set("revision", *config.revision);
  if (!config.task_type.empty()) json.set("task_type", config.task_type);
  json.set("target_modules", config.target_pattern.empty() ? list_json(config.target_modules)
                                                           : Json(config.target_pattern));
  if (!config.exclude_pattern.empty())
    json.set("exclude_modules", config.exclude_pattern);
  else if (!config.exclude_modules.empty())
    json.set("exclude_modules", list_json(config.exclude_modules));
  std::vector<std::string> whole = config.modules_to_save;
  if (config.task_type == "SEQ_CLS")
    // PEFT adds these by itself for a classifier, and looks for the trained head through them.
    for (const char* head : {"classifier", "score"})
      if (std::find(whole.begin(), whole.end(), head) == whole.end()) whole.push_back(head);
  if (!whole.empty()) json.set("modules_to_save", list_json(whole));
  // Versions of PEFT that do not know the key warn of it.
  if (config.ensure_weight_tying) json.set("ensure_weight_tying", true);
  if (!config.layers_to_transform.empty())
    json.set("layers_to_transform",
             Json::Array(config.layers_to_transform.begin(), config.layers_to_transform.end()));
  if (!config.layers_pattern.empty()) json.set("layers_pattern", list_json(config.layers_pattern));
  return json.dump_sorted(2) + "\n";
}

std::string adapter_model_card(const AdapterConfig& config) {
  const bool classifier = config.task_type == "SEQ_CLS";
  return cat("---\nbase_model: ", yaml_scalar(config.base_model_name_or_path),
             "\nlibrary_name: peft\npipeline_tag: ",
             classifier ? "text-classification" : "text-generation", "\ntags:\n- lora\n---\n\n",
             "# LoRA adapter\n\nA LoRA adapter (rank ", config.r, ", alpha ", config.lora_alpha,
             ") for the base model named above, in the format of PEFT. Load the base model, then "
             "this folder with "
             "`PeftModel.from_pretrained(model, folder)`.\n");
}

SafetensorsFile open_adapter_weights(const std::filesystem::path& folder) {
  return SafetensorsFile(folder / kAdapterWeightsFile);
}

std::string peft_tensor_name(std::string_view module, std::string_view part) {
  return cat("base_model.model.", module, ".", part);
}

}  // namespace elenchus
