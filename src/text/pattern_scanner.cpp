#include "text/pattern_scanner.h"

#include <array>
#include <utility>

#include "base/error.h"

namespace elenchus {

namespace {

constexpr std::array kRegexes = {
    std::pair{KnownPattern::gpt2,
              std::string_view(
                  R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)")},
    std::pair{
        KnownPattern::llama3,
        std::string_view(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
                         R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)")},
    std::pair{KnownPattern::qwen2,
              std::string_view(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                               R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)")},
    std::pair{
        KnownPattern::qwen35,
        std::string_view(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
                         R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)")},
    // DeepSeek's file has the two line ends of its classes as themselves, not as escapes.
    std::pair{KnownPattern::deepseek,
              std::string_view("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                               "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
                               "\\s*[\r\n]+|\\s+(?!\\S)|\\s+")},
    std::pair{KnownPattern::chinese_japanese, std::string_view("[一-龥\u3040-ゟ゠-ヿ]+")},
    std::pair{KnownPattern::number, std::string_view(R"(\p{N})")},
    std::pair{KnownPattern::numbers, std::string_view(R"(\p{N}+)")},
    std::pair{KnownPattern::three_numbers, std::string_view(R"(\p{N}{1,3})")},
};

using MatchEnd = std::optional<std::size_t>;

bool is_line_end(char32_t code) { return code == '\r' || code == '\n'; }

/// A text being matched, and the steps that the patterns are made of.
class Matcher {
 public:
  Matcher(const CharClassTable& classes, std::string_view text) : classes_(classes), text_(text) {}

  struct Seen {
    char32_t code;
    std::size_t next;   // where the following character begins
    std::uint8_t bits;  // CharClass
    bool is_any(int classes) const { return bits & classes; }
  };
  bool ended(std::size_t at) const { return at >= text_.size(); }
  Seen see(std::size_t at) const {
    const Utf8Char c = utf8_char(text_, at);
    return {c.code, at + c.length, classes_[c.code]};
  }
  bool sees_any(std::size_t at, int classes) const { return !ended(at) && see(at).is_any(classes); }

  /// The end of the longest run of characters that `belongs` accepts.
  template <class Belongs>
  std::size_t run(std::size_t at, Belongs belongs) const {
    while (!ended(at)) {
      const Seen seen = see(at);
      if (!belongs(seen)) break;
      at = seen.next;
    }
    return at;
  }
  std::size_t run_of(std::size_t at, int classes) const {
    return run(at, [&](const Seen& seen) { return seen.is_any(classes); });
  }
  /// A run of what has none of the classes.
  std::size_t run_without(std::size_t at, int classes) const {
    return run(at, [&](const Seen& seen) { return !seen.is_any(classes); });
  }
  std::size_t run_of_line_ends(std::size_t at) const {
    return run(at, [](const Seen& seen) { return is_line_end(seen.code); });
  }
  std::size_t numbers(std::size_t at, int most) const {
    for (int i = 0; i < most && sees_any(at, kNumber); ++i) at = see(at).next;
    return at;
  }

  MatchEnd contraction(std::size_t at, bool any_case) const;
  MatchEnd line_ends_or_spaces(std::size_t at) const;
  MatchEnd spaces(std::size_t at) const;
  MatchEnd gpt2(std::size_t at) const;
  MatchEnd llama3(std::size_t at, int digits, int letters) const;
  MatchEnd deepseek(std::size_t at) const;
  MatchEnd chinese_japanese(std::size_t at) const;
  MatchEnd word_or_symbols(std::size_t at) const;

 private:
  const CharClassTable& classes_;
  std::string_view text_;
};

/// 's|'t|'re|'ve|'m|'ll|'d
MatchEnd Matcher::contraction(std::size_t at, bool any_case) const {
  if (text_[at] != '\'' || ended(at + 1)) return {};
  const auto letter = [&](std::size_t i) {
    const char c = i < text_.size() ? text_[i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? char(c + ('a' - 'A')) : c;
  };
  const char first = letter(at + 1), second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
  if (first == 'l' && second == 'l') return at + 3;
  // U+017F, the long s, is an s to a match that ignores case.
  if (any_case && see(at + 1).code == 0x17F) return see(at + 1).next;
  return {};
}

/// \s+(?!\S)|\s+
MatchEnd Matcher::spaces(std::size_t at) const {
  const std::size_t end = run_of(at, kSpace);
  if (end == at) return {};
  if (ended(end)) return end;
  const std::size_t before_last = utf8_before(text_, end);
  return before_last > at ? before_last : end;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+
MatchEnd Matcher::line_ends_or_spaces(std::size_t at) const {
  std::size_t after_last = at;
  run(at, [&](const Seen& seen) {
    if (is_line_end(seen.code)) after_last = seen.next;
    return seen.is_any(kSpace);
  });
  return after_last > at ? after_last : spaces(at);
}

MatchEnd Matcher::gpt2(std::size_t at) const {
  if (const MatchEnd end = contraction(at, false)) return end;
  const std::size_t from = text_[at] == ' ' && !ended(at + 1) ? at + 1 : at;
  const Seen first = see(from);
  if (first.is_any(kLetter)) return run_of(from, kLetter);
  if (first.is_any(kNumber)) return run_of(from, kNumber);
  if (!first.is_any(kSpace)) return run_without(from, kSpace | kLetter | kNumber);
  return spaces(at);
}

/// `digits` at most in a number; `letters` is what words are of.
MatchEnd Matcher::llama3(std::size_t at, int digits, int letters) const {
  if (const MatchEnd end = contraction(at, true)) return end;
  const Seen first = see(at);
  if (first.is_any(letters)) return run_of(at, letters);
  if (first.is_any(kNumber)) return numbers(at, digits);
  if (!is_line_end(first.code) && sees_any(first.next, letters)) return run_of(first.next, letters);
  const std::size_t from = first.code == ' ' ? first.next : at;
  const std::size_t end = run_without(from, kSpace | letters | kNumber);
  return end > from ? run_of_line_ends(end) : line_ends_or_spaces(at);
}

MatchEnd Matcher::deepseek(std::size_t at) const {
  const Seen first = see(at);
  const auto is_ascii_letter = [](const Seen& seen) {
    return (seen.code >= 'a' && seen.code <= 'z') || (seen.code >= 'A' && seen.code <= 'Z');
  };
  if (first.code < 0x80 && first.is_any(kPunctuation | kSymbol)) {
    const std::size_t end = run(first.next, is_ascii_letter);
    if (end > first.next) return end;
  }
  if (first.is_any(kLetter | kMark)) return run_of(at, kLetter | kMark);
  if (!is_line_end(first.code) && !first.is_any(kPunctuation | kSymbol) &&
      sees_any(first.next, kLetter | kMark))
    return run_of(first.next, kLetter | kMark);
  const std::size_t from = first.code == ' ' ? first.next : at;
  const std::size_t end = run_of(from, kPunctuation | kSymbol);
  return end > from ? MatchEnd(run_of_line_ends(end)) : line_ends_or_spaces(at);
}

MatchEnd Matcher::chinese_japanese(std::size_t at) const {
  return run(at, [](const Seen& seen) {
    return (seen.code >= 0x4E00 && seen.code <= 0x9FA5) ||
           (seen.code >= 0x3040 && seen.code <= 0x30FF);
  });
}

MatchEnd Matcher::word_or_symbols(std::size_t at) const {
  if (sees_any(at, kWordChar)) return run_of(at, kWordChar);
  return run_without(at, kWordChar | kSpace);
}

}  // namespace

std::string_view regex_of(KnownPattern pattern) {
  for (const auto& [known, regex] : kRegexes)
    if (known == pattern) return regex;
  throw InternalError("no tokenizer file writes this pattern as a regular expression");
}

std::optional<KnownPattern> find_known_pattern(std::string_view regex) {
  for (const auto& [known, text] : kRegexes)
    if (text == regex) return known;
  return {};
}

std::optional<std::size_t> match_known_pattern(KnownPattern pattern, const CharClassTable& classes,
                                               std::string_view text, std::size_t at) {
  const Matcher matcher(classes, text);
  const MatchEnd end = [&]() -> MatchEnd {
    switch (pattern) {
      case KnownPattern::gpt2:
        return matcher.gpt2(at);
      case KnownPattern::llama3:
        return matcher.llama3(at, 3, kLetter);
      case KnownPattern::qwen2:
        return matcher.llama3(at, 1, kLetter);
      case KnownPattern::qwen35:
        return matcher.llama3(at, 1, kLetter | kMark);
      case KnownPattern::deepseek:
        return matcher.deepseek(at);
      case KnownPattern::chinese_japanese:
        return matcher.chinese_japanese(at);
      case KnownPattern::number:
        return matcher.numbers(at, 1);
      case KnownPattern::numbers:
        return matcher.run_of(at, kNumber);
      case KnownPattern::three_numbers:
        return matcher.numbers(at, 3);
      case KnownPattern::word_or_symbols:
        return matcher.word_or_symbols(at);
    }
    return {};
  }();
  return end && *end > at ? end : MatchEnd();
}

}  // namespace elenchus
