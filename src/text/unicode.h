#pragma once
// Characters of UTF-8 text, and what Unicode says of them.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace elenchus {

/// One character and the bytes it takes.
struct Utf8Char {
  char32_t code;
  std::size_t length;
};

/// The character that begins at byte `at` of valid UTF-8.
inline Utf8Char utf8_char(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return char32_t(static_cast<unsigned char>(text[at + i]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4};
}

/// Bytes of the character whose first byte this is, in valid UTF-8.
inline std::size_t utf8_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// Whether all of it is below U+0080.
bool is_ascii(std::string_view text);

/// Where the character before byte `at` begins, in valid UTF-8; `at` > 0.
inline std::size_t utf8_before(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

void append_utf8(std::string& out, char32_t code);

/// What bytes that may be anything begin with.
struct Utf8Prefix {
  enum class Kind { whole, malformed, cut_off } kind;
  std::size_t length;  ///< of the character, or of the bytes that one U+FFFD stands for
};
/// The longest beginning of `bytes` (not empty) that is a character or could have become one.
/// `cut_off`: all of `bytes` is the beginning of a character.
Utf8Prefix read_utf8_prefix(std::string_view bytes);

/// Any bytes as valid UTF-8: each malformed stretch (Unicode 15.0, 3.9, "maximal subparts") gives
/// one U+FFFD.
std::string with_replacement_characters(std::string_view bytes);

/// Sets of characters that tokenizers split by, as bits.
enum CharClass : std::uint8_t {
  kLetter = 1,       ///< \p{L}
  kMark = 2,         ///< \p{M}
  kNumber = 4,       ///< \p{N}
  kPunctuation = 8,  ///< \p{P}
  kSymbol = 16,      ///< \p{S}
  kSpace = 32,       ///< \s, the property White_Space
  kWordChar = 64,    ///< \w (UTS #18, annex C)
};

enum class UnicodeVersion { v15_1, v16 };

/// The classes of one character, computed.
std::uint8_t char_classes(char32_t code, UnicodeVersion version = UnicodeVersion::v16);
/// The White_Space property.
bool is_unicode_space(char32_t code);

/// A byte of bits for every character, as a table of distinct pages of 256.
class CharTable {
 public:
  /// Calls `bits_of` for every character that is assigned (Unicode 16) and some that are not; the
  /// others have no bits.
  explicit CharTable(const std::function<std::uint8_t(char32_t)>& bits_of);
  std::uint8_t operator[](char32_t code) const {
    return pages_[std::size_t(page_of_[code >> 8]) << 8 | (code & 0xFF)];
  }

 private:
  std::vector<std::uint16_t> page_of_;
  std::vector<std::uint8_t> pages_;
};

/// char_classes() of every character.
class CharClassTable : public CharTable {
 public:
  explicit CharClassTable(UnicodeVersion version = UnicodeVersion::v16)
      : CharTable([version](char32_t code) { return char_classes(code, version); }) {}
};

}  // namespace elenchus
