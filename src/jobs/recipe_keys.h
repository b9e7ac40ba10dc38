#pragma once
// The keys of a recipe as users of different tools write them, brought to one form.

#include <string>
#include <string_view>
#include <vector>

#include "base/config_node.h"
#include "base/field_visitors.h"

namespace elenchus {

/// The keys of one section.
struct RecipeSection {
  std::string name;
  std::vector<FieldInfo> fields;
};
std::vector<RecipeSection> list_recipe_sections();

/// A recipe in one form: a map of sections, each with the canonical names of its keys and values as
/// the fields take them. Keys at the root or in another section than their own are moved; keys of
/// other tools become what they mean here, or are left out where nothing depends on them; `notes`
/// says so. UserError: a key that is not known, or that asks for what cannot be done.
ConfigNode canonical_recipe(const ConfigNode& root, std::vector<std::string>& notes);

/// Puts "section.key=value" over a canonical recipe. UserError.
void apply_override(ConfigNode& recipe, std::string_view assignment,
                    std::vector<std::string>& notes);

}  // namespace elenchus
