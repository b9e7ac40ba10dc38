#pragma once
// Byte-pair encoding: joining neighbours, the best-ranked pair first.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/character_joins.h"
#include "text/known_words.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace elenchus {

/// Two tokens that become one. Lower ranks go first; among equals the leftmost place.
struct BpeMerge {
  TokenId left, right, result;
  std::uint32_t rank;
};

struct BpeOptions {
  bool byte_level = false;  ///< pieces are bytes, spelled by ByteAlphabet in the vocabulary
  bool byte_fallback =
      false;  ///< characters that are no token become the tokens <0x00> to <0xFF> of their bytes
  bool ignore_merges = false;  ///< a piece that is a token is that token, whatever the merges say
  bool unknown_cuts = false;   ///< byte_level: nothing merges across a byte that is no token
  bool fuse_unknown = false;   ///< neighbouring unknown characters are one unknown token
  std::optional<TokenId> unknown;  ///< for characters that are no token; without it they vanish
};

/// The model of a tokenizer. Safe to use from several threads.
class Bpe {
  static constexpr std::uint32_t kNoRank = ~std::uint32_t{0};
  struct Merged {
    std::uint32_t rank = kNoRank;
    TokenId result = TokenTable::kNone;
  };

 public:
  /// `vocabulary` outlives this. `reserved` are ids that text never becomes (control tokens).
  Bpe(const Vocabulary& vocabulary, const std::vector<BpeMerge>& merges, const BpeOptions& options,
      const std::vector<TokenId>& reserved);

  /// What is remembered from piece to piece; not for several threads at once.
  class Session {
   public:
    explicit Session(const Bpe& bpe);
    /// The tokens of one piece (valid UTF-8, not empty). Valid until the next call. O(n log n).
    const std::vector<PieceToken>& encode(std::string_view piece);

    /// Whether a long piece has left it with more memory than is worth keeping.
    bool is_large() const {
      return units_.capacity() > (std::size_t{1} << 16) || out_.capacity() > (std::size_t{1} << 20);
    }

   private:
    friend class Bpe;
    static constexpr std::size_t kWordsAtOnce = 128;
    struct Symbol {
      TokenId id;
      std::uint32_t begin;
      std::int32_t previous, next;  // -1: none
    };
    /// A stretch that nothing merges across.
    struct Word {
      std::uint32_t begin, end;  // in its piece
      std::uint64_t hash;
      const KnownWords::Word* known;
      std::size_t first_unit, units;  // in units_, of a word that is not known
      std::size_t changed;            // the unit that the last merge made
    };
    void encode_part(std::string_view piece, std::uint32_t shift);
    void encode_cut(std::string_view piece, std::uint32_t shift);
    void merge_short(std::vector<Word*>& words);
    std::span<PieceToken> merge_long(std::span<PieceToken> tokens);
    void encode_words(std::string_view piece, std::span<Word> words, std::uint32_t shift);

    const Bpe& bpe_;
    KnownWords known_;
    std::vector<PieceToken> out_;
    std::vector<PieceToken> units_;  // of the words that are not known, one word after the other
    std::vector<Merged> with_next_;  // by unit
    std::vector<Word*> short_;
    std::vector<Symbol> symbols_;
    std::vector<std::uint64_t> sorted_, heap_;  // candidates: rank << 32 | place
  };

 private:
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};
  /// A cache line of pairs; free places are at its end.
  struct alignas(64) Pairs {
    std::array<std::uint64_t, 4> pair = {kNoPair, kNoPair, kNoPair, kNoPair};
    std::array<Merged, 4> merged;
  };

  void add_merges(const std::vector<BpeMerge>& merges);
  void add_words(const std::vector<TokenId>& reserved);
  void add_characters(const std::vector<TokenId>& reserved);
  bool spells_everything() const;
  void find_joins(const std::vector<BpeMerge>& merges);
  Merged merged(TokenId left, TokenId right) const;
  TokenId char_id(std::string_view character) const;
  std::size_t place_of(std::uint64_t pair) const;
  void prefetch_merged(TokenId left, TokenId right) const;
  void split_into_units(std::string_view word, std::vector<PieceToken>& out) const;

  const Vocabulary& vocabulary_;
  BpeOptions options_;
  std::vector<Pairs> pairs_;       // by hash; a power of two, at most three quarters full
  TokenTable words_;               // ignore_merges: pieces that are one token, as in text
  std::vector<TokenId> char_ids_;  // not byte_level: of each character below U+10000
  TokenTable far_characters_;      // not byte_level: the others
  // byte_level: of each byte; else of <0x..>; kNone where there is none
  std::array<TokenId, 256> byte_ids_;
  CharacterJoins joins_;       // empty where text cannot be cut
  bool misses_bytes_ = false;  // unknown_cuts has bytes to cut at
};

}  // namespace elenchus
