#pragma once
// The regular expressions that published tokenizers split text with, as hand-written matchers.

#include <cstddef>
#include <optional>
#include <string_view>

#include "text/unicode.h"

namespace elenchus {

/// A pattern whose matcher is written out. Each agrees with its regular expression on every text.
enum class KnownPattern {
  gpt2,
  llama3,            ///< numbers in groups of at most three
  qwen2,             ///< as llama3, each digit alone
  qwen35,            ///< as qwen2, marks counting as letters
  deepseek,          ///< DeepSeek V3, the third of its splits
  chinese_japanese,  ///< [一-龥぀-ゟ゠-ヿ]+
  number,            ///< \p{N}
  numbers,           ///< \p{N}+
  three_numbers,     ///< \p{N}{1,3}
  word_or_symbols,   ///< \w+|[^\w\s]+
};

/// The regular expression of a pattern, as tokenizer.json writes it. InternalError for
/// word_or_symbols.
std::string_view regex_of(KnownPattern pattern);
/// The pattern whose regular expression is exactly this.
std::optional<KnownPattern> find_known_pattern(std::string_view regex);

/// Where the match that begins at byte `at` < text.size() ends; nothing if none begins there.
/// `text` is valid UTF-8, its end the end of what is searched.
std::optional<std::size_t> match_known_pattern(KnownPattern pattern, const CharClassTable& classes,
                                               std::string_view text, std::size_t at);

}  // namespace elenchus
