#pragma once
// Regular expressions from recipes, with limits so that none can run away.

#include <memory>
#include <string_view>

namespace elenchus {

class RecipeRegex {
 public:
  /// Perl syntax over UTF-8. UserError: `what` names the key; the message has the position and the
  /// reason.
  RecipeRegex(std::string_view pattern, std::string_view what);
  RecipeRegex(RecipeRegex&&) noexcept;
  RecipeRegex& operator=(RecipeRegex&&) noexcept;
  ~RecipeRegex();
  /// Whether the whole text matches.
  bool matches(std::string_view text) const;
  /// Whether some part of the text matches.
  bool found_in(std::string_view text) const;

 private:
  struct Compiled;
  bool run(std::string_view text, bool whole) const;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace elenchus
