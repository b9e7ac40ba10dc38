#pragma once
// Sets of characters as Hugging Face's `tokenizers` has them where its parts are of other Unicode
// versions than the rest: tokenizers depend on them, right or wrong. `classes` are char_classes().

#include <cstdint>

namespace elenchus {

/// What the Punctuation pre-tokenizer cuts at: ASCII symbols and \p{P} of Unicode 8.
bool is_reference_punctuation(char32_t code, std::uint8_t classes);
/// What the Digits pre-tokenizer cuts at: \p{N} of Unicode 17.
bool is_reference_digit(char32_t code, std::uint8_t classes);
/// What the StripAccents normalizer takes out: \p{M} of Unicode 9.
bool is_reference_accent(char32_t code, std::uint8_t classes);
/// The lower case of one character, of Unicode 17; I with a dot (U+0130), whose lower case is two,
/// stays.
char32_t reference_lower(char32_t code);

}  // namespace elenchus
