// Cases and classes of characters.
#include <utf8proc.h>

#include <algorithm>

#include "text/jinja/case_tables.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

const LongCase* find_long_case(std::int32_t c) {
  const auto* found = std::lower_bound(
      std::begin(kLongCases), std::end(kLongCases), c,
      [](const LongCase& entry, std::int32_t value) { return entry.code_point < value; });
  return found != std::end(kLongCases) && found->code_point == c ? found : nullptr;
}

bool is_cased(std::int32_t c) {
  return utf8proc_isupper(c) || utf8proc_islower(c) || utf8proc_category(c) == UTF8PROC_CATEGORY_LT;
}

// Characters that do not part a word for the final sigma rule: marks, format characters,
// apostrophes, ...
bool is_case_ignorable(std::int32_t c) {
  const utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
         category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
         category == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' || c == 0xB7 ||
         c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027;
}

// Whether the capital sigma at `at` ends a word: a cased letter before it and none after it.
bool is_final_sigma(std::string_view bytes, std::size_t at) {
  std::size_t before = at;
  bool cased = false;
  while (before > 0) {
    before = previous_code_point(bytes, before);
    const std::int32_t c = decode_code_point(bytes, before);
    if (is_case_ignorable(c)) continue;
    cased = is_cased(c);
    break;
  }
  if (!cased) return false;
  for (std::size_t after = next_code_point(bytes, at); after < bytes.size();
       after = next_code_point(bytes, after)) {
    const std::int32_t c = decode_code_point(bytes, after);
    if (!is_case_ignorable(c)) return !is_cased(c);
  }
  return true;
}

void append_upper(std::string& out, std::int32_t c) {
  if (const LongCase* found = find_long_case(c))
    out += found->upper;
  else
    append_code_point(out, utf8proc_toupper(c));
}

void append_title(std::string& out, std::int32_t c) {
  if (const LongCase* found = find_long_case(c))
    out += found->title;
  else
    append_code_point(out, utf8proc_totitle(c));
}

void append_lower(std::string& out, std::string_view bytes, std::size_t at) {
  constexpr std::int32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2, kCapitalDottedI = 0x130;
  const std::int32_t c = decode_code_point(bytes, at);
  if (c == kCapitalDottedI)
    out += "i\xCC\x87";
  else if (c == kCapitalSigma && is_final_sigma(bytes, at))
    append_code_point(out, kFinalSigma);
  else
    append_code_point(out, utf8proc_tolower(c));
}

void append_folded(std::string& out, std::int32_t c) {
  utf8proc_int32_t folded[8];
  int boundary = 0;
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
  for (utf8proc_ssize_t i = 0; i < count && i < 8; ++i) append_code_point(out, folded[i]);
}

bool is_in(std::int32_t c, CharacterClass wanted) {
  const utf8proc_category_t category = utf8proc_category(c);
  const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  const bool decimal = category == UTF8PROC_CATEGORY_ND;
  // Digits that are no decimals: superscripts, subscripts, circled and such; numbers: No and Nl.
  const bool numeric =
      decimal || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
  const bool digit = decimal || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
                     (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
                     (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C) ||
                     (c >= 0x2488 && c <= 0x2490) || c == 0x24EA || (c >= 0x24F5 && c <= 0x24FD) ||
                     (c >= 0x2776 && c <= 0x277E);
  switch (wanted) {
    case CharacterClass::alphabetic:
      return letter;
    case CharacterClass::decimal:
      return decimal;
    case CharacterClass::digit:
      return digit;
    case CharacterClass::numeric:
      return numeric;
    case CharacterClass::alphanumeric:
      return letter || numeric;
    case CharacterClass::blank:
      return is_blank(c);
    case CharacterClass::ascii:
      return c < 0x80;
    case CharacterClass::printable:
      return c == ' ' || !(category == UTF8PROC_CATEGORY_CN || category >= UTF8PROC_CATEGORY_ZS);
  }
  return false;
}

}  // namespace

std::string change_case(std::string_view bytes, Case to) {
  std::string out;
  out.reserve(bytes.size());
  bool inside_word = false, first = true;
  for (std::size_t at = 0; at < bytes.size(); at = next_code_point(bytes, at)) {
    const std::int32_t c = decode_code_point(bytes, at);
    if (to == Case::upper || (to == Case::swap && utf8proc_islower(c)))
      append_upper(out, c);
    else if (to == Case::fold)
      append_folded(out, c);
    else if (to == Case::swap && !utf8proc_isupper(c))
      append_code_point(out, c);
    else if ((to == Case::title && !inside_word) || (to == Case::capitalize && first))
      append_title(out, c);
    else
      append_lower(out, bytes, at);
    inside_word = is_cased(c);
    first = false;
  }
  return out;
}

Value change_case(const Text& text, Case to) {
  text.budget().spend(std::int64_t(text.bytes.size() / 16));
  return make_text(text.budget(), change_case(text.bytes, to), text.has_input());
}

bool all_are(const Text& text, CharacterClass wanted) {
  const bool empty_counts = wanted == CharacterClass::ascii || wanted == CharacterClass::printable;
  text.budget().spend(std::int64_t(text.bytes.size() / 16));
  for (std::size_t at = 0; at < text.bytes.size(); at = next_code_point(text.bytes, at))
    if (!is_in(decode_code_point(text.bytes, at), wanted)) return false;
  return empty_counts || !text.bytes.empty();
}

bool is_word(std::int32_t c) { return c == '_' || is_in(c, CharacterClass::alphanumeric); }

bool has_case(const Text& text, Case wanted) {
  bool found = false;
  text.budget().spend(std::int64_t(text.bytes.size() / 16));
  for (std::size_t at = 0; at < text.bytes.size(); at = next_code_point(text.bytes, at)) {
    const std::int32_t c = decode_code_point(text.bytes, at);
    if (!is_cased(c)) continue;
    if (!(wanted == Case::upper ? utf8proc_isupper(c) : utf8proc_islower(c))) return false;
    found = true;
  }
  return found;
}

bool is_title(const Text& text) {
  bool found = false, inside_word = false;
  text.budget().spend(std::int64_t(text.bytes.size() / 16));
  for (std::size_t at = 0; at < text.bytes.size(); at = next_code_point(text.bytes, at)) {
    const std::int32_t c = decode_code_point(text.bytes, at);
    const bool cased = is_cased(c);
    if (cased && inside_word != bool(utf8proc_islower(c))) return false;
    found |= cased;
    inside_word = cased;
  }
  return found;
}

}  // namespace elenchus::jinja
