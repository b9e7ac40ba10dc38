#pragma once
// Where text can be cut because no merge reaches across.

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/unicode.h"
#include "text/vocabulary.h"

namespace elenchus {

/// Pairs of neighbouring characters that some merge may put into one token; between all others
/// merging goes on as if the text ended there. Hashed bits: the answer may be yes too often, never
/// no. Tokens of byte-level vocabularies may begin or end inside a character; of such a character
/// only the byte at the cut counts.
class CharacterJoins {
 public:
  /// None; every answer is yes.
  CharacterJoins() = default;
  /// Room for so many merges.
  explicit CharacterJoins(std::size_t merges);
  bool empty() const { return bits_.empty(); }
  /// A merge of two tokens that are these bytes of text.
  void add(std::string_view left, std::string_view right);
  /// Whether the character that ends before byte `at` of valid UTF-8 may be joined with the one that
  /// begins there; 0 < at < size. `before` and `after` are the two.
  bool may_join(std::string_view text, std::size_t at, char32_t before, char32_t after) const {
    if (!has_parts_) return has(before, after);
    const char32_t last = part(text[at - 1]), first = part(text[at]);
    return has(before, after) | has(before, first) | has(last, after) | has(last, first);
  }

 private:
  /// Stands for all characters with this byte at the cut.
  static char32_t part(char byte) { return 0x80000000u | static_cast<unsigned char>(byte); }
  std::uint64_t bit_of(char32_t left, char32_t right) const {
    return mix64(std::uint64_t(left) << 32 | right) & (bits_.size() * 64 - 1);
  }
  bool has(char32_t left, char32_t right) const {
    const std::uint64_t bit = bit_of(left, right);
    return bits_[bit / 64] >> (bit % 64) & 1;
  }

  std::vector<std::uint64_t> bits_;  // a power of two of them
  bool has_parts_ = false;           // some token begins or ends inside a character
};

}  // namespace elenchus
