#pragma once
// How PEFT names the modules of a model: by list, by regular expression, by pattern.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"

namespace elenchus {

/// Whether an entry of a list names a module: by its whole name, or its end after a dot.
bool names_module(std::string_view entry, std::string_view module);

/// target_modules or exclude_modules. A list of names, each a module's whole name or its end after
/// a dot; or one entry with the characters of a regular expression, which matches whole names.
class ModuleList {
 public:
  /// UserError that names `key`: the regular expression is none. `entries` outlives this.
  ModuleList(const std::vector<std::string>& entries, std::string_view key);
  bool matches(std::string_view module);
  /// The first entry that has matched nothing so far; null if there is none.
  const std::string* unused() const;
  bool is_pattern() const { return regex_.has_value(); }

 private:
  const std::vector<std::string>& entries_;
  std::optional<RecipeRegex> regex_;
  std::set<std::string> used_;
};

/// A key of rank_pattern or alpha_pattern: a regular expression that matches a module's whole name,
/// or its end after a dot.
class ModulePattern {
 public:
  /// UserError that names `key`: not a regular expression.
  ModulePattern(const std::string& pattern, std::string_view key);
  bool matches(std::string_view module) const { return regex_.matches(module); }

 private:
  RecipeRegex regex_;
};

}  // namespace elenchus
