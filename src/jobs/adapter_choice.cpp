#include "jobs/adapter_choice.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "io/peft_adapter.h"

namespace elenchus {

std::optional<LoraConfig> adapter_choice(const std::optional<std::filesystem::path>& folder) {
  if (!folder) return {};
  const AdapterConfig config = read_adapter_config(*folder);
  const std::string source = (*folder / kAdapterConfigFile).string();
  const auto refuse = [&](std::string_view what) {
    throw InputError(cat(source, ": ", what, ", which this build does not compute"));
  };
  constexpr std::string_view kWhole[] = {"embed_tokens", "lm_head", "score", "classifier"};
  for (const std::string& module : config.modules_to_save) {
    const std::string_view name = std::string_view(module).substr(module.rfind('.') + 1);
    if (std::ranges::find(kWhole, name) == std::end(kWhole))
      refuse(cat("modules_to_save has \"", printable(module), "\""));
  }
  LoraConfig lora;
  lora.modules_to_save = config.modules_to_save;
  lora.ensure_weight_tying = config.ensure_weight_tying;
  for (const std::int64_t layer : config.layers_to_transform)
    lora.layers_to_transform.push_back(int(layer));
  lora.layers_pattern = config.layers_pattern;
  lora.r = int(config.r);
  lora.lora_alpha = config.lora_alpha;
  lora.use_rslora = config.use_rslora;
  lora.use_dora = config.use_dora;
  lora.bias = config.bias == "all"         ? LoraBias::all
              : config.bias == "lora_only" ? LoraBias::lora_only
                                           : LoraBias::none;
  for (const auto& [name, rank] : config.rank_pattern) lora.rank_pattern[name] = int(rank);
  lora.alpha_pattern = config.alpha_pattern;
  lora.exclude_modules = config.exclude_modules;
  if (!config.exclude_pattern.empty()) lora.exclude_modules = {config.exclude_pattern};
  lora.target_modules = config.target_modules;
  if (!config.target_pattern.empty()) lora.target_modules = {config.target_pattern};
  return lora;
}

}  // namespace elenchus
