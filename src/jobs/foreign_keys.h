#pragma once
// Keys that other training tools have and a recipe has not: what they mean here.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config_node.h"

namespace elenchus {

/// What a key of another tool does to a recipe.
struct ForeignKeyEffects {
  /// Sets a canonical key of a section, unless the recipe says the same already. UserError if it
  /// says something else.
  std::function<void(std::string_view section, std::string_view key, std::string value)> set;
  /// Tells the user once.
  std::function<void(std::string)> note;
  /// Names the key among those that have no effect.
  std::function<void()> ignore;
};

/// Applies a key of another tool; false if no tool is known to have it. UserError: its value cannot
/// be followed; the message says what to write.
bool apply_foreign_key(std::string_view key, const ConfigNode& value,
                       const ForeignKeyEffects& effects);

/// Whether apply_foreign_key knows the key.
bool is_foreign_key(std::string_view key);

/// Brings the value of a canonical key ("training.optim") from other tools' spellings to ours.
void canonicalize_value(std::string_view key, ConfigNode& value,
                        const std::function<void(std::string)>& note);

}  // namespace elenchus
