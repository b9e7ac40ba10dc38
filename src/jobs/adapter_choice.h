#pragma once
// Adapters in PEFT folders: their settings, and whether they belong to a model.

#include <filesystem>
#include <optional>

#include "io/model_folder.h"
#include "models/loader.h"
#include "models/model_config.h"

namespace elenchus {

/// What an adapter is to be put on.
struct AdapterUse {
  ModelFiles& base;
  std::optional<TaskType> task = {};  ///< none: the adapter's own
};

/// The adapter settings of a PEFT folder, as a model with it is built; none without a folder.
/// InputError: no adapter there, one of another task or architecture, or one with settings that
/// this build does not compute.
std::optional<LoraConfig> adapter_choice(const std::optional<std::filesystem::path>& folder,
                                         const AdapterUse& use);

/// Loads the tensors of a folder into a model that was built as its adapter_choice(). Says aloud if
/// the folder records that it was trained on other weights than the model's. That alone is no
/// error: a model in another precision has other weights and is the same model. InputError as
/// load_adapter().
void load_adapter_folder(Stream& stream, LoadedModel& model, const std::filesystem::path& folder,
                         const ModelFiles& base);

/// Whether a base for this adapter is to be kept in NF4: yes, unless the run that trained it says
/// that its own was not.
bool trained_in_4bit(const std::optional<std::filesystem::path>& folder);

/// LoadedModel::base_fingerprint as files record it: 16 hexadecimal digits.
std::string fingerprint_text(const LoadedModel& model);

}  // namespace elenchus
