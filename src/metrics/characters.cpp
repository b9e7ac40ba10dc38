#include "metrics/characters.h"

#include <utf8proc.h>

namespace elenchus {

std::pair<char32_t, std::size_t> character_at(std::string_view text, std::size_t at) {
  utf8proc_int32_t code = -1;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                       utf8proc_ssize_t(text.size() - at), &code);
  return length < 1 ? std::pair(char32_t{0xFFFD}, std::size_t{1})
                    : std::pair(char32_t(code), std::size_t(length));
}

std::size_t character_before(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool is_space(char32_t code) {
  if (code <= ' ') return code == ' ' || (code >= '\t' && code <= '\r');
  const auto category = utf8proc_category(utf8proc_int32_t(code));
  return code == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

std::size_t first_not_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const auto [code, length] = character_at(text, at);
    if (!is_space(code)) break;
    at += length;
  }
  return at;
}

std::string_view without_spaces_at_end(std::string_view text) {
  while (!text.empty()) {
    const std::size_t last = character_before(text, text.size());
    if (!is_space(character_at(text, last).first)) break;
    text = text.substr(0, last);
  }
  return text;
}

}  // namespace elenchus
