#include "text/byte_alphabet.h"

#include "text/unicode.h"

namespace elenchus {

ByteAlphabet::ByteAlphabet() {
  byte_of_.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    const char32_t code = prints ? char32_t(byte) : next++;
    append_utf8(spelling_[std::size_t(byte)], code);
    byte_of_[code] = std::int16_t(byte);
  }
}

std::string ByteAlphabet::spell(std::string_view bytes) const {
  std::string out;
  for (const char byte : bytes) out += spelling(static_cast<std::uint8_t>(byte));
  return out;
}

std::optional<std::string> ByteAlphabet::bytes_of(std::string_view token) const {
  std::string out;
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Char c = utf8_char(token, at);
    if (c.code >= byte_of_.size() || byte_of_[c.code] < 0) return {};
    out += char(byte_of_[c.code]);
    at += c.length;
  }
  return out;
}

}  // namespace elenchus
