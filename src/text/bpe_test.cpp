#include "text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "text/byte_alphabet.h"
#include "text/unicode.h"

namespace elenchus {
namespace {

/// The definition: the best-ranked pair, leftmost among equals, again and again.
std::vector<std::string> merged_plainly(std::vector<std::string> parts,
                                        const Vocabulary& vocabulary,
                                        const std::vector<BpeMerge>& merges) {
  while (true) {
    const BpeMerge* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i)
      for (const BpeMerge& merge : merges)
        if (vocabulary.text(merge.left) == parts[i] &&
            vocabulary.text(merge.right) == parts[i + 1] && (!best || merge.rank < best->rank))
          best = &merge, place = i;
    if (!best) return parts;
    parts[place] += parts[place + 1];
    parts.erase(parts.begin() + std::ptrdiff_t(place) + 1);
  }
}

struct RandomModel {
  Vocabulary vocabulary;
  std::vector<BpeMerge> merges;
};

/// Merges of random pairs over a small alphabet; with `ties`, several share a rank.
RandomModel random_model(std::uint32_t seed, bool ties) {
  const RandomKey random{.seed = 9, .use = RandomUse::test, .step = seed, .site = 0};
  RandomModel model;
  std::uint64_t draw = 0;
  for (const char* unit : {"a", "b", "c", "é", "\u2581"})
    model.vocabulary.add(unit, model.vocabulary.size(), "test");
  for (std::uint32_t rank = 0; rank < 40; ++rank) {
    const auto pick = [&] {
      return TokenId(random.below(draw++, std::uint32_t(model.vocabulary.size())));
    };
    const TokenId left = pick(), right = pick();
    const std::string text =
        std::string(model.vocabulary.text(left)) + std::string(model.vocabulary.text(right));
    if (text.size() > 20) continue;
    TokenId result = model.vocabulary.find(text);
    if (result != TokenTable::kNone && !ties) continue;
    if (result == TokenTable::kNone) {
      result = model.vocabulary.size();
      model.vocabulary.add(text, result, "test");
    }
    const bool known =
        std::any_of(model.merges.begin(), model.merges.end(),
                    [&](const BpeMerge& m) { return m.left == left && m.right == right; });
    if (!known) model.merges.push_back({left, right, result, ties ? std::uint32_t(result) : rank});
  }
  return model;
}

std::vector<std::string> texts_of(const std::vector<PieceToken>& tokens,
                                  const Vocabulary& vocabulary) {
  std::vector<std::string> out;
  for (const PieceToken& token : tokens) out.emplace_back(vocabulary.text(token.id));
  return out;
}

void expect_as_defined(std::uint32_t seed, bool ties, bool fallback) {
  RandomModel model = random_model(seed, ties);
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (fallback)  // lets the model cut text where nothing joins
    for (std::size_t byte = 0; byte < 256; ++byte)
      model.vocabulary.add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">",
                           model.vocabulary.size(), "test");
  const Bpe bpe(model.vocabulary, model.merges, {.byte_fallback = fallback, .unknown = {}}, {});
  Bpe::Session session(bpe);
  const RandomKey random{.seed = 10, .use = RandomUse::test, .step = seed, .site = 0};
  for (std::uint64_t draw = 0; draw < 4000;) {
    std::vector<std::string> parts;
    std::string piece;
    for (std::uint32_t left = 1 + random.below(draw++, 90); left > 0; --left) {
      parts.emplace_back(model.vocabulary.text(TokenId(random.below(draw++, 5))));
      piece += parts.back();
    }
    const auto& tokens = session.encode(piece);
    ASSERT_EQ(texts_of(tokens, model.vocabulary),
              merged_plainly(parts, model.vocabulary, model.merges))
        << piece;
    std::size_t at = 0;
    for (const PieceToken& token : tokens) {
      EXPECT_EQ(token.begin, at);
      at += model.vocabulary.text(token.id).size();
    }
  }
}

TEST(Bpe, MergesAsTheDefinitionSays) {
  for (std::uint32_t seed = 0; seed < 12; ++seed) expect_as_defined(seed, false, false);
}

TEST(Bpe, TakesTheLeftmostOfEqualRanks) {
  for (std::uint32_t seed = 20; seed < 26; ++seed) expect_as_defined(seed, true, false);
}

TEST(Bpe, CutsTextOnlyWhereNothingJoins) {
  for (std::uint32_t seed = 40; seed < 48; ++seed) expect_as_defined(seed, false, true);
}

TEST(Bpe, CutsByteLevelTextBetweenCharactersOnlyWhereNothingJoins) {
  // Bytes of two scripts; merges of random pairs, tokens that begin or end inside a character too.
  const ByteAlphabet alphabet;
  const std::vector<std::string> characters = {"あ", "い", "漢", "é", "a", "🙂"};
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    const RandomKey random{.seed = 11, .use = RandomUse::test, .step = seed, .site = 0};
    std::uint64_t draw = 0;
    Vocabulary vocabulary;
    for (int byte = 0; byte < 256; ++byte)
      vocabulary.add(alphabet.spelling(std::uint8_t(byte)), byte, "test");
    std::string sample;
    for (int i = 0; i < 80; ++i)
      sample += characters[random.below(draw++, std::uint32_t(characters.size()))];
    std::vector<BpeMerge> merges;
    for (std::uint32_t rank = 0; rank < 60; ++rank) {
      const auto at = random.below(draw++, std::uint32_t(sample.size() - 8));
      const auto length = 2 + random.below(draw++, 6), cut = 1 + random.below(draw++, length - 1);
      const std::string left = alphabet.spell(sample.substr(at, cut)),
                        right = alphabet.spell(sample.substr(at + cut, length - cut));
      for (const std::string& text : {left, right, left + right})
        if (vocabulary.find(text) == TokenTable::kNone)
          vocabulary.add(text, vocabulary.size(), "test");
      const BpeMerge merge = {vocabulary.find(left), vocabulary.find(right),
                              vocabulary.find(left + right), rank};
      const bool known = std::any_of(merges.begin(), merges.end(), [&](const BpeMerge& m) {
        return m.left == merge.left && m.right == merge.right;
      });
      if (!known) merges.push_back(merge);
    }
    const Bpe bpe(vocabulary, merges, {.byte_level = true, .unknown = {}}, {});
    Bpe::Session session(bpe);
    std::vector<std::string> parts;
    for (const char byte : sample)
      parts.emplace_back(alphabet.spelling(static_cast<std::uint8_t>(byte)));
    EXPECT_EQ(texts_of(session.encode(sample), vocabulary),
              merged_plainly(parts, vocabulary, merges));
  }
}

TEST(Bpe, ByteWithoutATokenCutsWhereTold) {
  const ByteAlphabet alphabet;
  Vocabulary vocabulary;
  for (const char* token : {"a", "b", "ab"}) vocabulary.add(token, vocabulary.size(), "test");
  const std::vector<BpeMerge> merges = {{0, 1, 2, 0}};
  for (const bool cuts : {false, true}) {
    const Bpe bpe(vocabulary, merges, {.byte_level = true, .unknown_cuts = cuts, .unknown = {}},
                  {});
    Bpe::Session session(bpe);
    EXPECT_EQ(
        texts_of(session.encode("axbab"), vocabulary),
        cuts ? (std::vector<std::string>{"a", "b", "ab"}) : (std::vector<std::string>{"ab", "ab"}));
  }
}

TEST(Bpe, NeverGivesReservedTokens) {
  Vocabulary vocabulary;
  for (const char* token : {"<", "s", ">", "<s", "<s>"})
    vocabulary.add(token, vocabulary.size(), "test");
  const std::vector<BpeMerge> merges = {{0, 1, 3, 0}, {3, 2, 4, 1}};
  for (const bool ignore_merges : {false, true}) {
    const Bpe bpe(vocabulary, merges, {.ignore_merges = ignore_merges, .unknown = {}}, {4});
    Bpe::Session session(bpe);
    EXPECT_EQ(texts_of(session.encode("<s>"), vocabulary), (std::vector<std::string>{"<s", ">"}));
  }
}

TEST(Bpe, UnknownCharactersFuseFallBackOrVanish) {
  Vocabulary vocabulary;
  for (const char* token : {"?", "a", "<0xC3>", "<0xA9>"})
    vocabulary.add(token, vocabulary.size(), "test");
  const auto ids = [&](const BpeOptions& options, std::string_view piece) {
    const Bpe bpe(vocabulary, {}, options, {});
    Bpe::Session session(bpe);
    std::vector<TokenId> out;
    for (const PieceToken& token : session.encode(piece)) out.push_back(token.id);
    return out;
  };
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(ids({.unknown = {}}, "xaxx"), (Ids{1}));
  EXPECT_EQ(ids({.unknown = 0}, "xaxx"), (Ids{0, 1, 0, 0}));
  EXPECT_EQ(ids({.fuse_unknown = true, .unknown = 0}, "xaxx"), (Ids{0, 1, 0}));
  EXPECT_EQ(ids({.byte_fallback = true, .unknown = 0}, "aéx"), (Ids{1, 2, 3, 0}));
}

TEST(Bpe, SaysTheSameOfWordsThatItKnows) {
  for (std::uint32_t seed = 60; seed < 64; ++seed) {
    const RandomModel model = random_model(seed, false);
    const Bpe bpe(model.vocabulary, model.merges, {.unknown = {}}, {});
    Bpe::Session session(bpe);
    const RandomKey random{.seed = 12, .use = RandomUse::test, .step = seed, .site = 0};
    std::uint64_t draw = 0;
    std::vector<std::string> pieces;
    // Of many short words again and again, and of words longer than are kept.
    for (int i = 0; i < 300; ++i) {
      std::string& piece = pieces.emplace_back();
      const auto letters = std::uint32_t(i % 3 == 0 ? 100 : 6);
      for (std::uint32_t left = 1 + random.below(draw++, letters); left > 0; --left)
        piece += model.vocabulary.text(TokenId(random.below(draw++, 5)));
    }
    for (int round = 0; round < 2; ++round)
      for (const std::string& piece : pieces) {
        const auto alone = texts_of(Bpe::Session(bpe).encode(piece), model.vocabulary);
        ASSERT_EQ(texts_of(session.encode(piece), model.vocabulary), alone) << piece;
      }
  }
}

std::vector<TokenId> ids_of(const KnownWords& words, const std::string& text) {
  std::vector<TokenId> ids;
  if (const KnownWords::Word* word = words.find(text, hash_bytes(text)))
    for (const PieceToken& token : words.tokens_of(*word)) ids.push_back(token.id);
  return ids;
}

TEST(KnownWords, FindsWhatItKeeps) {
  KnownWords words;
  const auto text_of = [](int i) {
    return std::string(std::size_t(i % 40), '-') + std::to_string(i);
  };
  const auto tokens_of = [](int i) {
    std::vector<PieceToken> tokens;
    for (int k = 0; k < i % 4; ++k) tokens.push_back({i + k, std::uint32_t(k)});
    return tokens;
  };
  int kept = 0;
  for (int i = 0; i < 200000; ++i) {
    const std::string text = text_of(i);
    words.make_room(1);
    ASSERT_EQ(words.find(text, hash_bytes(text)), nullptr);
    words.add(text, hash_bytes(text), tokens_of(i));
    // A little of what was added before, unless all was forgotten since.
    for (const int k : {i, i - i / 8}) {
      std::vector<TokenId> wanted;
      for (const PieceToken& token : tokens_of(k)) wanted.push_back(token.id);
      const bool is_there = words.find(text_of(k), hash_bytes(text_of(k))) != nullptr;
      kept += is_there ? 1 : 0;
      if (is_there) {
        ASSERT_EQ(ids_of(words, text_of(k)), wanted);
      }
    }
  }
  EXPECT_GT(kept, 300000);
}

TEST(KnownWords, KeepsFewWordsOfOneHash) {
  KnownWords words;
  words.make_room(1000);
  int kept = 0;
  for (int i = 0; i < 1000; ++i) {
    words.add(std::to_string(i), 7, std::vector<PieceToken>{{i, 0}});
    kept += words.find(std::to_string(i), 7) != nullptr ? 1 : 0;
  }
  EXPECT_EQ(kept, 16);
}

TEST(TokenTable, FindsWhatWasInserted) {
  TokenTable table;
  for (TokenId id = 0; id < 5000; ++id) ASSERT_TRUE(table.insert(std::to_string(id * 7), id));
  EXPECT_FALSE(table.insert("7", 9));
  for (TokenId id = 0; id < 5000; ++id) ASSERT_EQ(table.find(std::to_string(id * 7)), id);
  EXPECT_EQ(table.find("8"), TokenTable::kNone);
  EXPECT_EQ(table.find(""), TokenTable::kNone);
}

}  // namespace
}  // namespace elenchus
