#pragma once
// LoRA adapters on disk, as PEFT reads and writes them: adapter_config.json and
// adapter_model.safetensors.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "io/safetensors.h"

namespace elenchus {

inline constexpr std::string_view kAdapterConfigFile = "adapter_config.json";
inline constexpr std::string_view kAdapterWeightsFile = "adapter_model.safetensors";

/// adapter_config.json, under PEFT's names.
struct AdapterConfig {
  std::string task_type = "CAUSAL_LM";  ///< or SEQ_CLS; empty for none
  std::string base_model_name_or_path;
  std::optional<std::string> revision;
  std::int64_t r = 8;
  double lora_alpha = 8;
  double lora_dropout = 0;
  std::string bias = "none";                 ///< none | all | lora_only
  std::vector<std::string> target_modules;   ///< names; empty if target_pattern is set
  std::string target_pattern;                ///< a regular expression, or "all-linear"
  std::vector<std::string> exclude_modules;  ///< names; empty if exclude_pattern is set
  std::string exclude_pattern;               ///< a regular expression
  std::vector<std::string> modules_to_save;
  bool ensure_weight_tying = false;
  std::vector<std::int64_t> layers_to_transform;
  std::vector<std::string> layers_pattern;
  bool use_rslora = false;
  bool use_dora = false;
  std::map<std::string, std::int64_t> rank_pattern;  ///< r of modules whose name matches the key
  std::map<std::string, double>
      alpha_pattern;  ///< lora_alpha of modules whose name matches the key

  bool operator==(const AdapterConfig&) const = default;
};

/// Reads and checks FOLDER/adapter_config.json. InputError: missing, another kind of adapter, a
/// value out of range, or a setting that changes what the adapter computes and is not supported.
AdapterConfig read_adapter_config(const std::filesystem::path& folder);

/// The same from a JSON value; `source` names it in messages.
AdapterConfig parse_adapter_config(const Json& json, std::string_view source);

/// The text of adapter_config.json: two spaces a level, keys sorted, a final newline.
std::string adapter_config_json(const AdapterConfig& config);

/// The text of README.md, the model card: front matter (base_model, library_name: peft) and one
/// paragraph.
std::string adapter_model_card(const AdapterConfig& config);

/// Opens FOLDER/adapter_model.safetensors. InputError if it is missing or malformed.
SafetensorsFile open_adapter_weights(const std::filesystem::path& folder);

/// The name of a tensor in adapter_model.safetensors: "base_model.model." + `module` + "." +
/// `part`, where part is "lora_A.weight", "lora_B.weight", "weight" or "bias" and module e.g.
/// "model.layers.0.self_attn.q_proj".
std::string peft_tensor_name(std::string_view module, std::string_view part);

}  // namespace elenchus
