#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <map>

namespace elenchus {

namespace {

constexpr char32_t kCharacters = 0x110000;

struct ClassRange {
  char32_t first, last;
  std::uint8_t classes;
};

/// Characters that Unicode 15.1 and 16 added to the 15.0 of the library. All of the numbers are
/// decimal digits.
constexpr ClassRange kAfterUnicode15[] = {{0x897, 0x897, kMark},
                                          {0x1B4E, 0x1B4F, kPunctuation},
                                          {0x1B7F, 0x1B7F, kPunctuation},
                                          {0x1C89, 0x1C8A, kLetter},
                                          {0x2427, 0x2429, kSymbol},
                                          {0x2FFC, 0x2FFF, kSymbol},
                                          {0x31E4, 0x31E5, kSymbol},
                                          {0x31EF, 0x31EF, kSymbol},
                                          {0xA7CB, 0xA7CD, kLetter},
                                          {0xA7DA, 0xA7DC, kLetter},
                                          {0x105C0, 0x105F3, kLetter},
                                          {0x10D40, 0x10D49, kNumber},
                                          {0x10D4A, 0x10D65, kLetter},
                                          {0x10D69, 0x10D6D, kMark},
                                          {0x10D6E, 0x10D6E, kPunctuation},
                                          {0x10D6F, 0x10D85, kLetter},
                                          {0x10D8E, 0x10D8F, kSymbol},
                                          {0x10EC2, 0x10EC4, kLetter},
                                          {0x10EFC, 0x10EFC, kMark},
                                          {0x11380, 0x11389, kLetter},
                                          {0x1138B, 0x1138B, kLetter},
                                          {0x1138E, 0x1138E, kLetter},
                                          {0x11390, 0x113B5, kLetter},
                                          {0x113B7, 0x113B7, kLetter},
                                          {0x113B8, 0x113C0, kMark},
                                          {0x113C2, 0x113C2, kMark},
                                          {0x113C5, 0x113C5, kMark},
                                          {0x113C7, 0x113CA, kMark},
                                          {0x113CC, 0x113D0, kMark},
                                          {0x113D1, 0x113D1, kLetter},
                                          {0x113D2, 0x113D2, kMark},
                                          {0x113D3, 0x113D3, kLetter},
                                          {0x113D4, 0x113D5, kPunctuation},
                                          {0x113D7, 0x113D8, kPunctuation},
                                          {0x113E1, 0x113E2, kMark},
                                          {0x116D0, 0x116E3, kNumber},
                                          {0x11BC0, 0x11BE0, kLetter},
                                          {0x11BE1, 0x11BE1, kPunctuation},
                                          {0x11BF0, 0x11BF9, kNumber},
                                          {0x11F5A, 0x11F5A, kMark},
                                          {0x13460, 0x143FA, kLetter},
                                          {0x16100, 0x1611D, kLetter},
                                          {0x1611E, 0x1612F, kMark},
                                          {0x16130, 0x16139, kNumber},
                                          {0x16D40, 0x16D6C, kLetter},
                                          {0x16D6D, 0x16D6F, kPunctuation},
                                          {0x16D70, 0x16D79, kNumber},
                                          {0x18CFF, 0x18CFF, kLetter},
                                          {0x1CC00, 0x1CCEF, kSymbol},
                                          {0x1CCF0, 0x1CCF9, kNumber},
                                          {0x1CD00, 0x1CEB3, kSymbol},
                                          {0x1E5D0, 0x1E5ED, kLetter},
                                          {0x1E5EE, 0x1E5EF, kMark},
                                          {0x1E5F0, 0x1E5F0, kLetter},
                                          {0x1E5F1, 0x1E5FA, kNumber},
                                          {0x1E5FF, 0x1E5FF, kPunctuation},
                                          {0x1F8B2, 0x1F8BB, kSymbol},
                                          {0x1F8C0, 0x1F8C1, kSymbol},
                                          {0x1FA89, 0x1FA89, kSymbol},
                                          {0x1FA8F, 0x1FA8F, kSymbol},
                                          {0x1FABE, 0x1FABE, kSymbol},
                                          {0x1FAC6, 0x1FAC6, kSymbol},
                                          {0x1FADC, 0x1FADC, kSymbol},
                                          {0x1FADF, 0x1FADF, kSymbol},
                                          {0x1FAE9, 0x1FAE9, kSymbol},
                                          {0x1FBCB, 0x1FBEF, kSymbol},
                                          {0x2EBF0, 0x2EE5D, kLetter}};

/// Symbols that are Alphabetic: circled and squared Latin letters.
bool is_alphabetic_symbol(char32_t code) {
  return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
         (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
}

bool is_join_control(char32_t code) { return code == 0x200C || code == 0x200D; }

}  // namespace

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void append_utf8(std::string& out, char32_t code) {
  const auto tail = [&](int shift) { out += char(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += char(0xE0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += char(0xF0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

Utf8Prefix read_utf8_prefix(std::string_view bytes) {
  using Kind = Utf8Prefix::Kind;
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first < 0x80) return {Kind::whole, 1};
  if (first < 0xC2 || first > 0xF4) return {Kind::malformed, 1};
  const std::size_t length = utf8_length(bytes[0]);
  // The second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF.
  unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Kind::cut_off, i};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte < low || byte > high) return {Kind::malformed, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Kind::whole, length};
}

std::string with_replacement_characters(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Prefix prefix = read_utf8_prefix(bytes);
    if (prefix.kind == Utf8Prefix::Kind::whole)
      out += bytes.substr(0, prefix.length);
    else
      append_utf8(out, 0xFFFD);
    bytes.remove_prefix(prefix.length);
  }
  return out;
}

bool is_unicode_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

std::uint8_t char_classes(char32_t code) {
  const auto* added = std::partition_point(std::begin(kAfterUnicode15), std::end(kAfterUnicode15),
                                           [&](const ClassRange& r) { return r.last < code; });
  if (added != std::end(kAfterUnicode15) && added->first <= code)
    return std::uint8_t(added->classes |
                        (added->classes & (kLetter | kMark | kNumber) ? kWordChar : 0));
  unsigned bits = is_unicode_space(code) ? kSpace : 0;
  switch (utf8proc_category(utf8proc_int32_t(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return std::uint8_t(bits | kLetter | kWordChar);
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return std::uint8_t(bits | kMark | kWordChar);
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
      return std::uint8_t(bits | kNumber | kWordChar);
    case UTF8PROC_CATEGORY_NO:
      return std::uint8_t(bits | kNumber);
    case UTF8PROC_CATEGORY_PC:
      return std::uint8_t(bits | kPunctuation | kWordChar);
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return std::uint8_t(bits | kPunctuation);
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return std::uint8_t(bits | kSymbol | (is_alphabetic_symbol(code) ? kWordChar : 0));
    default:
      return std::uint8_t(bits | (is_join_control(code) ? kWordChar : 0));
  }
}

CharTable::CharTable(const std::function<std::uint8_t(char32_t)>& bits_of)
    : page_of_(kCharacters >> 8) {
  std::map<std::string, std::uint16_t> known;
  std::string page(256, '\0');
  for (char32_t base = 0; base < kCharacters; base += 256) {
    // Planes 4 to 13 are unassigned, 15 and 16 for private use: of no class.
    const bool is_empty = base >= 0x40000 && base >> 16 != 14;
    for (char32_t i = 0; i < 256; ++i) page[i] = is_empty ? 0 : char(bits_of(base + i));
    const auto [entry, is_new] = known.emplace(page, std::uint16_t(known.size()));
    if (is_new) pages_.insert(pages_.end(), page.begin(), page.end());
    page_of_[base >> 8] = entry->second;
  }
}

}  // namespace elenchus
