#include "text/known_words.h"

#include <bit>
#include <utility>

namespace elenchus {

KnownWords::Word* KnownWords::free_place(std::uint64_t hash) {
  for (std::size_t i = 0; i < kTries; ++i)
    if (Word& word = words_[place(hash, i)]; word.bytes == 0) return &word;
  return nullptr;
}

void KnownWords::enlarge(std::size_t words) {
  const std::size_t places = std::bit_ceil((count_ + words) * 2);
  if (places > kMostPlaces) {
    *this = {};
    return;
  }
  for (const Word& word : std::exchange(words_, std::vector<Word>(places))) {
    if (word.bytes == 0) continue;
    if (Word* free = free_place(word.hash)) *free = word;
  }
}

const KnownWords::Word* KnownWords::find(std::string_view text, std::uint64_t hash) const {
  const bool is_short = text.size() <= ShortText::kLongest;
  const ShortText numbers = is_short ? short_text(text) : ShortText();
  for (std::size_t i = 0; i < kTries; ++i) {
    const Word& word = words_[place(hash, i)];
    if (word.bytes == 0) return nullptr;
    if (word.hash != std::uint32_t(hash) || word.bytes != text.size()) continue;
    if (is_short ? word.text == numbers
                 : std::string_view(texts_).substr(word.text.low, word.bytes) == text)
      return &word;
  }
  return nullptr;
}

void KnownWords::add(std::string_view text, std::uint64_t hash,
                     std::span<const PieceToken> tokens) {
  Word* const word = free_place(hash);
  if (!word) return;
  ++count_;
  word->hash = std::uint32_t(hash);
  word->bytes = std::uint16_t(text.size());
  word->token_count = std::uint16_t(tokens.size());
  if (text.size() <= ShortText::kLongest) {
    word->text = short_text(text);
  } else {
    word->text.low = texts_.size();
    texts_ += text;
  }
  if (tokens.size() == 1) {
    word->token = tokens[0];
  } else {
    word->token.begin = std::uint32_t(tokens_.size());
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  }
}

}  // namespace elenchus
