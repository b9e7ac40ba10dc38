#include "jobs/adapter_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "io/peft_adapter.h"
#include "jobs/run_setup.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

std::string shown(const fs::path& path) { return printable(path.native(), 512); }

void expect_adapter_folder(const fs::path& folder) {
  std::error_code ignored;
  const auto refuse = [&](std::string_view found) {
    throw InputError(cat(shown(folder), ": ", found, "; expected the folder of an adapter, with ",
                         kAdapterConfigFile, " and ", kAdapterWeightsFile));
  };
  if (!fs::exists(folder, ignored)) refuse("there is no such folder");
  if (!fs::is_directory(folder, ignored)) refuse("is no folder");
  for (const std::string_view file : {kAdapterConfigFile, kAdapterWeightsFile})
    if (!fs::exists(folder / file, ignored)) refuse(cat("has no ", file));
}

void expect_task(const AdapterConfig& config, const fs::path& folder, TaskType task) {
  const std::string_view wanted = task == TaskType::SEQ_CLS ? "SEQ_CLS" : "CAUSAL_LM";
  // PEFT leaves the task out where it was not told; the tensors will tell then.
  if (config.task_type.empty() || config.task_type == wanted) return;
  throw InputError(
      cat(shown(folder / kAdapterConfigFile), ": task_type: found ", printable(config.task_type),
          ", expected ", wanted, ": ",
          task == TaskType::SEQ_CLS
              ? "this adapter has no head for classes; train one with model.task_type: SEQ_CLS"
              : "this adapter is a classifier's; use a recipe with model.task_type: SEQ_CLS"));
}

/// The folder's own config.json, as a classifier's has it, or null.
Json stored_config(const fs::path& folder, std::string_view file) {
  std::error_code ignored;
  if (!fs::exists(folder / file, ignored)) return {};
  return Json::parse(read_text_file(folder / file), shown(folder / file));
}

void expect_architecture(const fs::path& folder, ModelFiles& base) {
  const Json config = stored_config(folder, "config.json");
  const Json* names = config.find("architectures");
  if (!names || !names->is_array() || names->as_array("").empty()) return;
  const Json& first = names->as_array("")[0];
  const Architecture& architecture = *identify_model(base).architecture;
  if (!first.is_string()) return;
  const std::string& name = first.as_string("");
  if (name == architecture.hf_name || name == classifier_name(architecture)) return;
  throw InputError(cat(shown(folder / "config.json"), ": architectures: found ", printable(name),
                       ", but ", shown(base.path), " is a ", architecture.hf_name,
                       "; give the model that the adapter was trained on"));
}

/// A member of the identity of the run that left the folder, by its path; null if the folder is no
/// run's of this program.
Json recorded(const fs::path& folder, std::initializer_list<const char*> path) {
  try {
    const Json state = stored_config(folder, "trainer_state.json");
    const Json* at = &state;
    for (const char* key : {"stateful_callbacks", "Elenchus", "attributes", "identity"})
      if (!(at = at->find(key))) return {};
    for (const char* key : path)
      if (!(at = at->find(key))) return {};
    return *at;
  } catch (const InputError&) {
    return {};  // the tensors do not depend on it
  }
}

/// The fingerprint of the weights that were trained on.
std::optional<std::string> recorded_fingerprint(const fs::path& folder) {
  const Json found = recorded(folder, {"base_model_fingerprint"});
  return found.is_string() ? std::optional(found.as_string("")) : std::nullopt;
}

/// "llama-3-8b" of "meta/Llama-3-8B/" or "Llama-3-8B.gguf".
std::string plain_name(fs::path path) {
  if (path.filename().empty()) path = path.parent_path();
  std::string name = path.filename().string();
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  constexpr std::string_view kGguf = ".gguf";
  if (name.ends_with(kGguf)) name.resize(name.size() - kGguf.size());
  return name;
}

}  // namespace

bool trained_in_4bit(const std::optional<fs::path>& folder) {
  const Json found = folder ? recorded(*folder, {"quantization", "load_in_4bit"}) : Json();
  return !found.is_boolean() || found.as_boolean("");
}

std::optional<LoraConfig> adapter_choice(const std::optional<fs::path>& folder,
                                         const AdapterUse& use) {
  if (!folder) return {};
  expect_adapter_folder(*folder);
  const AdapterConfig config = read_adapter_config(*folder);
  if (use.task) expect_task(config, *folder, *use.task);
  expect_architecture(*folder, use.base);
  const std::string source = shown(*folder / kAdapterConfigFile);
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
  lora.exists = true;
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

void load_adapter_folder(Stream& stream, LoadedModel& model, const fs::path& folder,
                         const ModelFiles& base) {
  load_adapter(stream, model.decoder->params(), open_adapter_weights(folder));
  if (stream.dry()) return;
  const std::string named = read_adapter_config(folder).base_model_name_or_path;
  const auto recorded = recorded_fingerprint(folder);
  if (recorded && *recorded != fingerprint_text(model))
    say(cat("warning: ", shown(folder), " was trained on other weights than those of ",
            shown(base.path), " (on ", printable(named, 512),
            ", as it was then). If both are one model, stored in two precisions, that is as it "
            "should be; if they are not, the results mean nothing"));
  else if (!recorded && !named.empty() && plain_name(named) != plain_name(base.path))
    say(cat("note: ", shown(folder), " says that it was made for ", printable(named, 512),
            "; it is used with ", shown(base.path)));
}

std::string fingerprint_text(const LoadedModel& model) {
  return fmt::format("{:016x}", model.base_fingerprint);
}

}  // namespace elenchus
