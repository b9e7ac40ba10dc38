#include "jobs/adapter_choice.h"

#include "base/error.h"
#include "io/peft_adapter.h"

namespace elenchus {

std::optional<LoraConfig> adapter_choice(const std::optional<std::filesystem::path>& folder) {
  if (!folder) return {};
  const AdapterConfig config = read_adapter_config(*folder);
  const std::string source = (*folder / kAdapterConfigFile).string();
  const auto refuse = [&](std::string_view what) {
    throw InputError(cat(source, ": ", what, ", which this build does not compute"));
  };
  if (config.use_dora) refuse("use_dora is true");
  if (config.bias != "none") refuse("bias is \"" + config.bias + "\"");
  if (!config.rank_pattern.empty() || !config.alpha_pattern.empty())
    refuse("rank_pattern or alpha_pattern is set");
  if (!config.modules_to_save.empty()) refuse("modules_to_save is set");
  LoraConfig lora;
  lora.r = int(config.r);
  lora.lora_alpha = config.lora_alpha;
  lora.use_rslora = config.use_rslora;
  lora.target_modules = config.target_modules;
  if (!config.target_pattern.empty()) lora.target_modules = {config.target_pattern};
  return lora;
}

}  // namespace elenchus
