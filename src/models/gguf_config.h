#pragma once

#include "base/json.h"
#include "io/gguf.h"
#include "models/architecture.h"

namespace elenchus {

/// A GGUF file's metadata under config.json's names, so that an architecture reads both alike.
/// InputError: a key that every model must have is missing.
Json config_from_gguf(const GgufFile& file, const Architecture& architecture);

}  // namespace elenchus
