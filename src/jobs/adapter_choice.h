#pragma once

#include <filesystem>
#include <optional>

#include "models/model_config.h"

namespace elenchus {

/// The adapter settings of a PEFT folder, as a model with it is built; none without a folder.
/// InputError: no adapter there, or one with settings that this build does not compute.
std::optional<LoraConfig> adapter_choice(const std::optional<std::filesystem::path>& folder);

}  // namespace elenchus
