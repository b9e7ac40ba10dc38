#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/unicode.h"

namespace elenchus {

namespace {

constexpr std::size_t kShortWord = 32;  // symbols up to which the quadratic loop is faster

std::uint64_t pair_of(TokenId left, TokenId right) {
  return std::uint64_t(std::uint32_t(left)) << 32 | std::uint32_t(right);
}

std::string byte_token(int byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[std::size_t(byte >> 4)], kDigits[std::size_t(byte & 15)], '>'};
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, const std::vector<BpeMerge>& merges,
         const BpeOptions& options, const std::vector<TokenId>& reserved)
    : vocabulary_(vocabulary), options_(options) {
  const ByteAlphabet alphabet;
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_[std::size_t(byte)] = vocabulary.find(
        options.byte_level ? std::string(alphabet.spelling(std::uint8_t(byte))) : byte_token(byte));
  std::vector<BpeMerge> allowed = merges;
  std::erase_if(allowed, [&](const BpeMerge& merge) {
    return std::binary_search(reserved.begin(), reserved.end(), merge.result);
  });
  add_merges(allowed);
  if (options.ignore_merges) add_words(reserved);
  if (!options.byte_level) add_characters(reserved);
  if (spells_everything()) find_joins(allowed);
  misses_bytes_ = options.byte_level && options.unknown_cuts &&
                  std::ranges::find(byte_ids_, TokenTable::kNone) != byte_ids_.end();
}

/// Where among pairs_ to look first.
std::size_t Bpe::place_of(std::uint64_t pair) const { return mix64(pair) & (pairs_.size() - 1); }

void Bpe::add_merges(const std::vector<BpeMerge>& merges) {
  pairs_.resize(std::bit_ceil(merges.size() / 3 + 1));
  for (const BpeMerge& merge : merges) {
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    for (std::size_t at = place_of(pair);; at = (at + 1) & (pairs_.size() - 1)) {
      auto& [pairs, merged] = pairs_[at];
      const auto place = std::ranges::find_if(
          pairs, [&](std::uint64_t other) { return other == kNoPair || other == pair; });
      if (place == pairs.end()) continue;
      *place = pair;
      merged[std::size_t(place - pairs.begin())] = {merge.rank, merge.result};
      break;
    }
  }
}

void Bpe::add_words(const std::vector<TokenId>& reserved) {
  const ByteAlphabet alphabet;
  words_.reserve(std::size_t(vocabulary_.size()), std::size_t(vocabulary_.size()) * 8);
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    if (!vocabulary_.has(id) || std::binary_search(reserved.begin(), reserved.end(), id)) continue;
    if (!options_.byte_level)
      words_.insert(vocabulary_.text(id), id);
    else if (const auto bytes = alphabet.bytes_of(vocabulary_.text(id)))
      words_.insert(*bytes, id);
  }
}

void Bpe::add_characters(const std::vector<TokenId>& reserved) {
  char_ids_.assign(0x10000, TokenTable::kNone);
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view text = vocabulary_.text(id);
    if (text.empty() || utf8_length(text[0]) != text.size() ||
        std::binary_search(reserved.begin(), reserved.end(), id))
      continue;
    const char32_t code = utf8_char(text, 0).code;
    if (code < char_ids_.size())
      char_ids_[code] = id;
    else
      far_characters_.insert(text, id);
  }
}

/// Whether a stretch that is merged on its own has no unknown character: each is a token or has the
/// tokens of its bytes.
bool Bpe::spells_everything() const {
  if (!options_.byte_level && !options_.byte_fallback) return false;
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const bool is_in_no_text = byte == 0xC0 || byte == 0xC1 || byte > 0xF4;
    if (byte_ids_[byte] != TokenTable::kNone || is_in_no_text) continue;
    // An ASCII character has no other byte than one.
    if (byte < 0x80 &&
        (options_.byte_level ? options_.unknown_cuts : char_ids_[byte] != TokenTable::kNone))
      continue;
    return false;
  }
  return true;
}

void Bpe::find_joins(const std::vector<BpeMerge>& merges) {
  std::vector<bool> opaque(std::size_t(vocabulary_.size()));
  if (!options_.byte_level)
    for (const TokenId id : byte_ids_)
      if (id != TokenTable::kNone) opaque[std::size_t(id)] = true;
  std::vector<std::string> spelled;  // by id
  const ByteAlphabet alphabet;
  for (TokenId id = 0; options_.byte_level && id < vocabulary_.size(); ++id)
    spelled.push_back(alphabet.bytes_of(vocabulary_.text(id)).value_or(std::string()));
  const auto text_of = [&](TokenId id) {
    return options_.byte_level ? std::string_view(spelled[std::size_t(id)]) : vocabulary_.text(id);
  };
  joins_ = CharacterJoins(merges.size());
  for (const BpeMerge& merge : merges) {
    // Tokens that stand for other text than their own: where they meet cannot be told from the
    // characters.
    if (opaque[std::size_t(merge.left)] || opaque[std::size_t(merge.right)]) {
      joins_ = {};
      return;
    }
    const std::string_view left = text_of(merge.left), right = text_of(merge.right);
    // Without text: no bytes are spelled so.
    if (!left.empty() && !right.empty()) joins_.add(left, right);
  }
}

Bpe::Merged Bpe::merged(TokenId left, TokenId right) const {
  const std::uint64_t pair = pair_of(left, right);
  for (std::size_t at = place_of(pair);; at = (at + 1) & (pairs_.size() - 1)) {
    const Pairs& line = pairs_[at];
    // All four at once: no one could foretell where a branch would go.
    unsigned hits = 0;
    for (unsigned i = 0; i < line.pair.size(); ++i) hits |= unsigned(line.pair[i] == pair) << i;
    if (hits != 0) return line.merged[unsigned(std::countr_zero(hits))];
    if (line.pair.back() == kNoPair) return {};
  }
}

void Bpe::prefetch_merged(TokenId left, TokenId right) const {
  __builtin_prefetch(&pairs_[place_of(pair_of(left, right))]);
}

TokenId Bpe::char_id(std::string_view character) const {
  const char32_t code = utf8_char(character, 0).code;
  return code < char_ids_.size() ? char_ids_[code] : far_characters_.find(character);
}

/// Adds the single characters (bytes) that merging starts from.
void Bpe::split_into_units(std::string_view word, std::vector<PieceToken>& out) const {
  std::optional<PieceToken> unknown;  // not added yet: the next unknown characters may join it
  for (std::size_t at = 0, length = 1; at < word.size(); at += length) {
    length = options_.byte_level ? 1 : utf8_length(word[at]);
    const TokenId id = options_.byte_level ? byte_ids_[static_cast<unsigned char>(word[at])]
                                           : char_id(word.substr(at, length));
    if (id != TokenTable::kNone) {
      if (unknown) out.push_back(*std::exchange(unknown, std::nullopt));
      out.push_back({id, std::uint32_t(at)});
      continue;
    }
    const auto is_token = [&](char byte) {
      return byte_ids_[static_cast<unsigned char>(byte)] != TokenTable::kNone;
    };
    const std::string_view unit = word.substr(at, length);
    if (options_.byte_fallback && !options_.byte_level &&
        std::all_of(unit.begin(), unit.end(), is_token)) {
      for (std::size_t i = 0; i < length; ++i)
        out.push_back({byte_ids_[static_cast<unsigned char>(unit[i])], std::uint32_t(at + i)});
      continue;
    }
    if (!options_.unknown || (unknown && options_.fuse_unknown)) continue;
    if (unknown) out.push_back(*unknown);
    unknown = PieceToken{*options_.unknown, std::uint32_t(at)};
  }
  if (unknown) out.push_back(*unknown);
}

/// Candidate pairs over a linked list, best first. A candidate whose symbols have changed since is
/// told by its rank. Most candidates come from an array sorted once, which is cheaper than a heap;
/// the heap holds those that came up since and becomes the next array.
std::span<PieceToken> Bpe::Session::merge_long(std::span<PieceToken> tokens) {
  symbols_.clear();
  sorted_.clear();
  heap_.clear();
  const auto count = std::int32_t(tokens.size());
  for (std::int32_t i = 0; i < count; ++i)
    symbols_.push_back({tokens[std::size_t(i)].id, tokens[std::size_t(i)].begin, i - 1,
                        i + 1 < count ? i + 1 : -1});
  const auto pair_at = [&](std::int32_t i) {
    const auto& symbol = symbols_[std::size_t(i)];
    return symbol.id < 0 || symbol.next < 0
               ? Merged()
               : bpe_.merged(symbol.id, symbols_[std::size_t(symbol.next)].id);
  };
  const auto push = [&](std::int32_t i) {
    const Merged pair = pair_at(i);
    if (pair.rank == kNoRank) return;
    heap_.push_back(std::uint64_t{pair.rank} << 32 | std::uint32_t(i));
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  };
  for (std::int32_t i = 0; i < count; ++i) push(i);
  for (std::size_t next = 0; next < sorted_.size() || !heap_.empty();) {
    if (next == sorted_.size()) {
      sorted_.swap(heap_);
      heap_.clear();
      next = 0;
      if (!std::is_sorted(sorted_.begin(), sorted_.end()))
        std::sort(sorted_.begin(), sorted_.end());
    }
    std::uint64_t best = sorted_[next];
    if (!heap_.empty() && heap_.front() < best) {
      best = heap_.front();
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
    } else {
      ++next;
    }
    const auto at = std::int32_t(std::uint32_t(best));
    const Merged pair = pair_at(at);
    if (pair.rank != best >> 32) continue;
    auto& left = symbols_[std::size_t(at)];
    auto& right = symbols_[std::size_t(left.next)];
    left.id = pair.result;
    left.next = right.next;
    right.id = TokenTable::kNone;
    if (left.next >= 0) symbols_[std::size_t(left.next)].previous = at;
    if (left.previous >= 0) push(left.previous);
    push(at);
  }
  std::size_t left = 0;
  for (std::int32_t i = 0; i >= 0; i = symbols_[std::size_t(i)].next)
    tokens[left++] = {symbols_[std::size_t(i)].id, symbols_[std::size_t(i)].begin};
  return tokens.first(left);
}

Bpe::Session::Session(const Bpe& bpe) : bpe_(bpe) {}

/// Short words of units_, quadratically, all of them in step: while one waits for the table of
/// merges, the others have their turn.
void Bpe::Session::merge_short(std::vector<Word*>& words) {
  with_next_.resize(units_.size());
  const auto look = [&](const Word& word, std::size_t i) {
    PieceToken* units = units_.data() + word.first_unit;
    with_next_[word.first_unit + i] =
        i + 1 < word.units ? bpe_.merged(units[i].id, units[i + 1].id) : Merged();
  };
  for (const Word* word : words)
    for (std::size_t i = 0; i < word->units; ++i) look(*word, i);
  while (!words.empty()) {
    std::erase_if(words, [&](Word* word) {
      PieceToken* const units = units_.data() + word->first_unit;
      Merged* const with_next = with_next_.data() + word->first_unit;
      Merged* const best =
          std::min_element(with_next, with_next + word->units,
                           [](const Merged& a, const Merged& b) { return a.rank < b.rank; });
      if (best->rank == kNoRank) return true;
      const auto at = std::size_t(best - with_next);
      word->changed = at;
      units[at].id = best->result;
      std::copy(units + at + 2, units + word->units, units + at + 1);
      std::copy(best + 2, with_next + word->units, best + 1);
      --word->units;
      if (at + 1 < word->units) bpe_.prefetch_merged(units[at].id, units[at + 1].id);
      if (at > 0) bpe_.prefetch_merged(units[at - 1].id, units[at].id);
      return false;
    });
    for (const Word* word : words) {
      look(*word, word->changed);
      if (word->changed > 0) look(*word, word->changed - 1);
    }
  }
}

/// Adds to out_. The work goes through the words several times, so that what each needs from memory
/// is under way before it is needed: most of the time of a word that is not known goes into waiting
/// for the table of merges.
void Bpe::Session::encode_words(std::string_view piece, std::span<Word> words,
                                std::uint32_t shift) {
  const auto text_of = [&](const Word& word) {
    return piece.substr(word.begin, word.end - word.begin);
  };
  known_.make_room(words.size());
  for (Word& word : words) {
    word.hash = hash_bytes(text_of(word));
    known_.prefetch(word.hash);
  }
  units_.clear();
  short_.clear();
  for (Word& word : words) {
    word.known = known_.find(text_of(word), word.hash);
    if (word.known) continue;
    word.first_unit = units_.size();
    bpe_.split_into_units(text_of(word), units_);
    word.units = units_.size() - word.first_unit;
    if (word.units < 2 || word.units > kShortWord) continue;
    short_.push_back(&word);
    for (std::size_t i = word.first_unit; i + 1 < units_.size(); ++i)
      bpe_.prefetch_merged(units_[i].id, units_[i + 1].id);
  }
  if (!short_.empty()) merge_short(short_);
  for (Word& word : words) {
    std::span<const PieceToken> tokens;
    if (word.known) {
      tokens = known_.tokens_of(*word.known);
    } else {
      const auto units = std::span(units_).subspan(word.first_unit, word.units);
      tokens = word.units > kShortWord ? merge_long(units) : units;
      if (text_of(word).size() <= KnownWords::kLongest && !known_.find(text_of(word), word.hash))
        known_.add(text_of(word), word.hash, tokens);
    }
    for (const PieceToken& token : tokens)
      out_.push_back({token.id, token.begin + word.begin + shift});
  }
}

const std::vector<PieceToken>& Bpe::Session::encode(std::string_view piece) {
  expect(piece.size() < (std::size_t{1} << 31), "a piece of 2 GiB or more");
  out_.clear();
  const BpeOptions& options = bpe_.options_;
  if (options.ignore_merges) {
    if (const TokenId id = bpe_.words_.find(piece); id != TokenTable::kNone) {
      out_.push_back({id, 0});
      return out_;
    }
  }
  if (!bpe_.misses_bytes_) {
    encode_part(piece, 0);
    return out_;
  }
  for (std::size_t begin = 0; begin < piece.size();) {
    std::size_t end = begin;
    while (end < piece.size() &&
           bpe_.byte_ids_[static_cast<unsigned char>(piece[end])] != TokenTable::kNone)
      ++end;
    if (end > begin) encode_part(piece.substr(begin, end - begin), std::uint32_t(begin));
    begin = end + 1;
  }
  return out_;
}

/// Byte-level pieces are words already unless they are of a script without blanks.
void Bpe::Session::encode_part(std::string_view piece, std::uint32_t shift) {
  if (!bpe_.joins_.empty() && !(bpe_.options_.byte_level && is_ascii(piece)))
    return encode_cut(piece, shift);
  Word whole;
  whole.begin = 0;
  whole.end = std::uint32_t(piece.size());
  encode_words(piece, {&whole, 1}, shift);
}

/// Cuts where nothing joins and encodes the parts. Adds to out_.
void Bpe::Session::encode_cut(std::string_view piece, std::uint32_t shift) {
  std::array<Word, kWordsAtOnce> words;
  std::uint32_t begin = 0;
  char32_t before = utf8_char(piece, 0).code;
  for (std::size_t at = utf8_length(piece[0]); at < piece.size();) {
    // No branch depends on where the cuts are: none could be foretold.
    std::size_t count = 0;
    for (std::size_t i = 0; i < kWordsAtOnce && at < piece.size(); ++i) {
      const Utf8Char c = utf8_char(piece, at);
      words[count].end = std::uint32_t(at);
      count += std::size_t(!bpe_.joins_.may_join(piece, at, before, c.code));
      before = c.code;
      at += c.length;
    }
    for (Word& word : std::span(words).first(count)) word.begin = std::exchange(begin, word.end);
    encode_words(piece, std::span(words).first(count), shift);
  }
  words[0].begin = begin;
  words[0].end = std::uint32_t(piece.size());
  encode_words(piece, std::span(words).first(1), shift);
}

}  // namespace elenchus
