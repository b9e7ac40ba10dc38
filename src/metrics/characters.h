#pragma once
// The characters of UTF-8 text that a model wrote: damaged text is read all the same.

#include <cstddef>
#include <string_view>
#include <utility>

namespace elenchus {

/// The character at a byte, and its length; U+FFFD and 1 where the text is damaged.
std::pair<char32_t, std::size_t> character_at(std::string_view text, std::size_t at);
/// Where the character begins that ends before byte `at` > 0.
std::size_t character_before(std::string_view text, std::size_t at);
/// White space of Unicode.
bool is_space(char32_t code);
/// The first byte from `at` on that is no white space, or the text's size.
std::size_t first_not_space(std::string_view text, std::size_t at);
std::string_view without_spaces_at_end(std::string_view text);

}  // namespace elenchus
