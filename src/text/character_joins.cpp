#include "text/character_joins.h"

#include <algorithm>
#include <bit>

namespace elenchus {

namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

CharacterJoins::CharacterJoins(std::size_t merges) {
  constexpr std::size_t kBitsPerMerge = 8, kFewestBits = 1 << 12, kMostBits = 1 << 22;
  bits_.resize(std::bit_ceil(std::clamp(merges * kBitsPerMerge, kFewestBits, kMostBits)) / 64);
}

void CharacterJoins::add(std::string_view left, std::string_view right) {
  if (continues(right[0])) return;  // the cut is inside a character
  const std::size_t last = utf8_before(left, left.size());
  const bool left_is_part = continues(left[last]);
  if (!left_is_part && utf8_length(left[last]) > left.size() - last) return;  // not in any text
  const bool right_is_part = utf8_length(right[0]) > right.size();
  has_parts_ = has_parts_ || left_is_part || right_is_part;
  const std::uint64_t bit = bit_of(left_is_part ? part(left.back()) : utf8_char(left, last).code,
                                   right_is_part ? part(right[0]) : utf8_char(right, 0).code);
  bits_[bit / 64] |= std::uint64_t{1} << (bit % 64);
}

}  // namespace elenchus
