#pragma once
// Words that were merged once, and what they gave.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace elenchus {

/// A token, and where in its piece it begins.
struct PieceToken {
  TokenId id = TokenTable::kNone;
  std::uint32_t begin = 0;
};

/// A table of words and their tokens. It grows with what it is given, so that a short text touches
/// little memory; when it is as large as is useful it starts again from nothing. No text makes it
/// slow: a word is looked for in a few places only, and not kept where these are taken.
class KnownWords {
 public:
  static constexpr std::size_t kLongest = 64;  ///< bytes of a word that is kept
  /// A place in the table, for one word.
  struct Word {
    ShortText text;    // of a longer word, `low` is where it begins in texts_
    PieceToken token;  // of several tokens, `begin` is where they begin in tokens_
    std::uint32_t hash = 0;
    std::uint16_t bytes = 0, token_count = 0;  // bytes 0: free
  };

  KnownWords() : words_(kFewestPlaces) {}
  /// Room for so many more words: until they are added no Word moves. May forget all.
  void make_room(std::size_t words) {
    if ((count_ + words) * 2 > words_.size()) enlarge(words);
  }
  /// The word with this text and hash_bytes(), or null.
  const Word* find(std::string_view text, std::uint64_t hash) const;
  /// Adds a word that is not there, of at most kLongest bytes, if it has a place. Needs room.
  void add(std::string_view text, std::uint64_t hash, std::span<const PieceToken> tokens);
  /// Valid until the next add().
  std::span<const PieceToken> tokens_of(const Word& word) const {
    return {word.token_count == 1 ? &word.token : tokens_.data() + word.token.begin,
            word.token_count};
  }
  /// Fetches what find() looks at first.
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&words_[place(hash, 0)]); }

 private:
  static constexpr std::size_t kFewestPlaces = 1 << 12, kMostPlaces = 1 << 17;
  static constexpr std::size_t kTries = 16;  // places where a word may be
  std::size_t place(std::uint64_t hash, std::size_t attempt) const {
    return (hash + attempt) & (words_.size() - 1);
  }
  Word* free_place(std::uint64_t hash);
  void enlarge(std::size_t words);

  std::vector<Word> words_;  // a power of two, at most half full
  std::size_t count_ = 0;
  std::string texts_;               // of words longer than ShortText
  std::vector<PieceToken> tokens_;  // of words of several
};

}  // namespace elenchus
