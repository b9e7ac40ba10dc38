#pragma once
// Byte-pair encoding: joining neighbours, the best-ranked pair first.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/character_joins.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace elenchus {

/// Two tokens that become one. Lower ranks go first; among equals the leftmost place.
struct BpeMerge {
  TokenId left, right, result;
  std::uint32_t rank;
};

/// A token, and where in its piece it begins.
struct PieceToken {
  TokenId id;
  std::uint32_t begin;
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
    bool is_large() const { return symbols_.capacity() > (std::size_t{1} << 16); }

   private:
    friend class Bpe;
    struct Symbol {
      TokenId id;
      std::uint32_t begin;
      std::int32_t previous, next;  // -1: none
    };
    /// A short word that is one token.
    struct KnownToken {
      ShortText text;
      std::size_t bytes = 0;  // 0: none
      TokenId id = TokenTable::kNone;
    };
    /// A word of several tokens.
    struct KnownWord {
      std::string text;
      std::vector<PieceToken> tokens;
    };
    void encode_part(std::string_view piece, std::uint32_t shift);
    void encode_cut(std::string_view piece, std::uint32_t shift);
    void encode_word(std::string_view word, std::uint32_t shift);
    TokenId find_token(std::string_view word, std::uint64_t hash);

    const Bpe& bpe_;
    std::vector<PieceToken> out_;
    std::vector<PieceToken> word_;
    std::vector<Symbol> symbols_;
    std::vector<std::uint64_t> sorted_, heap_;  // candidates: rank << 32 | place
    // By hash, the last one met; powers of two.
    std::vector<KnownToken> known_tokens_;
    std::vector<KnownWord> known_words_;
  };

 private:
  struct Merged {
    std::uint32_t rank = kNoRank;
    TokenId result = TokenTable::kNone;
  };
  struct PairSlot {
    std::uint64_t pair = kNoPair;
    Merged merged;
  };
  static constexpr std::uint32_t kNoRank = ~std::uint32_t{0};
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};
  enum class Canonical : std::uint8_t { unknown, yes, no };

  void add_merges(const std::vector<BpeMerge>& merges);
  void add_words(const std::vector<TokenId>& reserved);
  void add_characters();
  bool spells_everything() const;
  void find_joins(const std::vector<BpeMerge>& merges);
  Merged merged(TokenId left, TokenId right) const;
  TokenId char_id(std::string_view character) const;
  void split_into_units(std::string_view word, std::vector<PieceToken>& out) const;
  void merge_short(std::vector<PieceToken>& tokens) const;
  void merge_long(std::vector<PieceToken>& tokens, Session& session) const;
  void merge(std::string_view word, std::vector<PieceToken>& out, Session& session) const;

  const Vocabulary& vocabulary_;
  BpeOptions options_;
  std::vector<PairSlot> pairs_;    // a power of two, at most three quarters full
  TokenTable words_;               // pieces that are one token, as they stand in text
  std::vector<TokenId> char_ids_;  // not byte_level: of each character below U+10000
  // byte_level: of each byte; else of <0x..>; kNone where there is none
  std::array<TokenId, 256> byte_ids_;
  CharacterJoins joins_;       // empty where text cannot be cut
  bool misses_bytes_ = false;  // unknown_cuts has bytes to cut at
  // Whether merging a token's own text gives that token; found out when it is first met.
  std::unique_ptr<std::atomic<Canonical>[]> canonical_;
};

}  // namespace elenchus
