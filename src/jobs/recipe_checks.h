#pragma once
// Whether the values of a recipe make sense, before anything is started.

#include "base/config_node.h"
#include "jobs/recipe.h"

namespace elenchus {

/// UserError for the first value that is out of range or does not go with another one, with its
/// place in `tree` (the canonical recipe), its key, what was found and what was expected.
void check_recipe(const Recipe& recipe, const ConfigNode& tree);

}  // namespace elenchus
