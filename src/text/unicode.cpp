#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "text/unicode_additions.h"

namespace elenchus {

namespace {

constexpr char32_t kCharacters = 0x110000;

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

std::uint8_t char_classes(char32_t code, UnicodeVersion version) {
  const unsigned space = is_unicode_space(code) ? kSpace : 0;
  const auto added = added_character(code);
  if (added && added->in_16 && version == UnicodeVersion::v15_1) return 0;
  const std::string_view category =
      added ? added->category : utf8proc_category_string(utf8proc_int32_t(code));
  switch (category[0]) {
    case 'L':
      return kLetter | kWordChar;
    case 'M':
      return kMark | kWordChar;
    case 'N':
      return std::uint8_t(kNumber | (category == "No" ? 0 : kWordChar));
    case 'P':
      return std::uint8_t(kPunctuation | (category == "Pc" ? kWordChar : 0));
    case 'S':
      return std::uint8_t(kSymbol | (is_alphabetic_symbol(code) ? kWordChar : 0));
    default:
      return std::uint8_t(space | (is_join_control(code) ? kWordChar : 0));
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
