#pragma once

#include <string>
#include <string_view>

#include "models/loader.h"

namespace elenchus {

/// The shape of a published model, by its short name ("llama3-8b"): what its config.json says.
/// UserError: not one of bench_model_names().
ModelIdentity bench_model(std::string_view name);
/// "gemma2-2b, gemma2-9b, llama3-8b, ..."
std::string bench_model_names();

}  // namespace elenchus
