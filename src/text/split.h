#pragma once
// Cutting text where a pattern matches: what `Split` and its kin in tokenizer.json do.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/pattern_scanner.h"
#include "text/tokenizer.h"
#include "text/tokenizer_regex.h"
#include "text/unicode.h"

namespace elenchus {

/// A stretch of a text, and whether it is a match or lies between two.
struct Stretch {
  TextRange range;
  bool matched;
};

/// A literal string, a class of single characters, a known pattern or a regular expression.
class SplitPattern {
 public:
  /// Single characters, each a match of its own.
  using Characters = bool (*)(char32_t code, std::uint8_t classes);

  explicit SplitPattern(std::string literal) : kind_(std::move(literal)) {}
  explicit SplitPattern(Characters characters) : kind_(characters) {}
  explicit SplitPattern(KnownPattern pattern) : kind_(pattern) {}
  explicit SplitPattern(TokenizerRegex regex) : kind_(std::move(regex)) {}
  /// {"String": ...} or {"Regex": ...}; `what` names the place. A regular expression known by heart
  /// gets its scanner.
  static SplitPattern from_json(const Json& pattern, const std::string& what);
  /// What matched is between matches from here on, and the other way round.
  void invert() { inverted_ = !inverted_; }

  /// All of `text` as stretches, in order, adjacent; matches from left to right. Empty ones show
  /// where an empty match was. Adds to `out`.
  void find(std::string_view text, const CharClassTable& classes, std::vector<Stretch>& out) const;

 private:
  std::variant<std::string, Characters, KnownPattern, TokenizerRegex> kind_;
  bool inverted_ = false;
};

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext" or "Contiguous". InputError
/// otherwise.
SplitBehavior split_behavior_from_json(const Json& name, const std::string& what);

/// The pieces that these stretches give, without empty ones, each moved by `shift` bytes. Adds to
/// `out`.
void append_pieces(const std::vector<Stretch>& stretches, SplitBehavior behavior, std::size_t shift,
                   std::vector<TextRange>& out);

}  // namespace elenchus
