#include "text/split.h"

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

namespace {

/// Collects the stretches of a text, given its matches from left to right.
class Stretches {
 public:
  Stretches(std::string_view text, std::vector<Stretch>& out) : text_(text), out_(out) {}
  void match(std::size_t begin, std::size_t end) {
    if (begin > covered_) out_.push_back({{covered_, begin}, false});
    out_.push_back({{begin, end}, true});
    covered_ = end;
  }
  void finish() {
    if (covered_ < text_.size()) out_.push_back({{covered_, text_.size()}, false});
  }

 private:
  std::string_view text_;
  std::vector<Stretch>& out_;
  std::size_t covered_ = 0;
};

void find_literal(std::string_view text, const std::string& literal, Stretches& found) {
  if (literal.empty()) return;
  for (std::size_t at = text.find(literal); at != text.npos;
       at = text.find(literal, at + literal.size()))
    found.match(at, at + literal.size());
}

void find_regex(std::string_view text, const TokenizerRegex& regex, Stretches& found) {
  TokenizerRegex::Search search(regex, text);
  std::optional<std::size_t> last_end;
  for (std::size_t at = 0; at <= text.size();) {
    const std::optional<std::size_t> end = search.match_at(at);
    const bool counts = end && (*end > at || last_end != at);
    if (counts) found.match(at, *end), last_end = *end;
    if (counts && *end > at)
      at = *end;
    else
      at += at < text.size() ? utf8_length(text[at]) : 1;
  }
}

}  // namespace

SplitPattern SplitPattern::from_json(const Json& pattern, const std::string& what) {
  if (const Json* literal = pattern.find("String"))
    return SplitPattern(literal->as_string(what + ".String"));
  if (const Json* regex = pattern.find("Regex")) {
    const std::string& text = regex->as_string(what + ".Regex");
    if (const auto known = find_known_pattern(text)) return SplitPattern(*known);
    return SplitPattern(TokenizerRegex(text, what));
  }
  throw InputError(what + ": expected {\"String\": ...} or {\"Regex\": ...}");
}

void SplitPattern::find(std::string_view text, const CharClassTable& classes,
                        std::vector<Stretch>& out) const {
  const std::size_t first = out.size();
  Stretches found(text, out);
  if (const auto* literal = std::get_if<std::string>(&kind_)) {
    find_literal(text, *literal, found);
  } else if (const auto* characters = std::get_if<Characters>(&kind_)) {
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = utf8_char(text, at);
      if ((*characters)(c.code, classes[c.code])) found.match(at, at + c.length);
      at += c.length;
    }
  } else if (const auto* known = std::get_if<KnownPattern>(&kind_)) {
    for (std::size_t at = 0; at < text.size();) {
      const auto end = match_known_pattern(*known, classes, text, at);
      if (end) found.match(at, *end);
      at = end ? *end : at + utf8_length(text[at]);
    }
  } else {
    find_regex(text, std::get<TokenizerRegex>(kind_), found);
  }
  found.finish();
  if (inverted_)
    for (std::size_t i = first; i < out.size(); ++i) out[i].matched = !out[i].matched;
}

SplitBehavior split_behavior_from_json(const Json& name, const std::string& what) {
  const std::string& text = name.as_string(what);
  if (text == "Removed") return SplitBehavior::removed;
  if (text == "Isolated") return SplitBehavior::isolated;
  if (text == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (text == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (text == "Contiguous") return SplitBehavior::contiguous;
  throw InputError(
      cat(what, ": found \"", printable(text),
          "\", expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous"));
}

void append_pieces(const std::vector<Stretch>& stretches, SplitBehavior behavior, std::size_t shift,
                   std::vector<TextRange>& out) {
  const auto add = [&](TextRange range) {
    if (range.end > range.begin) out.push_back({range.begin + shift, range.end + shift});
  };
  TextRange open;  // the piece under way
  bool previous_matched = false;
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    const auto& [range, matched] = stretches[i];
    bool joins = false;
    switch (behavior) {
      case SplitBehavior::removed:
      case SplitBehavior::isolated:
        break;
      case SplitBehavior::contiguous:
        joins = i > 0 && matched == previous_matched;
        break;
      case SplitBehavior::merged_with_previous:
        joins = i > 0 && matched && !previous_matched;
        break;
      case SplitBehavior::merged_with_next:
        joins = i > 0 && previous_matched && !matched;
        break;
    }
    if (!joins) add(std::exchange(open, range));
    open.end = range.end;
    previous_matched = matched;
    if (behavior == SplitBehavior::removed && matched) open = {range.end, range.end};
  }
  add(open);
}

}  // namespace elenchus
