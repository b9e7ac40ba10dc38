#pragma once
// The printable character that stands for each byte in byte-level vocabularies (GPT-2's).

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace elenchus {

/// Bytes that print as themselves in Latin-1 (33-126, 161-172, 174-255) are that character; the
/// other 68, in order, are U+0100, U+0101, ...
class ByteAlphabet {
 public:
  ByteAlphabet();
  /// The character, as UTF-8.
  std::string_view spelling(std::uint8_t byte) const { return spelling_[byte]; }
  /// Any bytes in the alphabet.
  std::string spell(std::string_view bytes) const;
  /// The bytes a token stands for; nothing if it has a character that stands for none.
  std::optional<std::string> bytes_of(std::string_view token) const;

 private:
  std::array<std::string, 256> spelling_;
  std::array<std::int16_t, 0x144> byte_of_;  // by character; -1: none
};

}  // namespace elenchus
