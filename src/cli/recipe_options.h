#pragma once
// The arguments of every command that works by a recipe.

#include <vector>

#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {

/// RECIPE.yaml and what is put over it, before `own`, the command's own options.
inline std::vector<Option> recipe_options(RecipeSource& recipe, std::vector<Option> own = {}) {
  std::vector<Option> options = {
      {"RECIPE.yaml", "", "the recipe; its relative paths start at its own folder", &recipe.file,
       Presence::required},
      {"OVERRIDE", "",
       "section.key=value, in place of the recipe's; relative paths start at the recipe's folder",
       &recipe.overrides}};
  options.insert(options.end(), own.begin(), own.end());
  return options;
}

}  // namespace elenchus
