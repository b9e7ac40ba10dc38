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

constexpr std::size_t kShortWord = 32;      // symbols up to which the quadratic loop is faster
constexpr std::size_t kLongestCached = 64;  // bytes
constexpr std::size_t kJoinBits = 1u << 23;

std::uint64_t pair_of(TokenId left, TokenId right) {
  return std::uint64_t(std::uint32_t(left)) << 32 | std::uint32_t(right);
}

std::uint64_t mix(std::uint64_t value) {
  value *= 0x9E3779B97F4A7C15u;
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93u;
  return value ^ value >> 32;
}

std::string byte_token(int byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[std::size_t(byte >> 4)], kDigits[std::size_t(byte & 15)], '>'};
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, const std::vector<BpeMerge>& merges,
         const BpeOptions& options, const std::vector<TokenId>& reserved)
    : vocabulary_(vocabulary),
      options_(options),
      canonical_(std::make_unique<std::atomic<Canonical>[]>(std::size_t(vocabulary.size()))) {
  const ByteAlphabet alphabet;
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_[std::size_t(byte)] = vocabulary.find(
        options.byte_level ? std::string(alphabet.spelling(std::uint8_t(byte))) : byte_token(byte));
  std::vector<BpeMerge> allowed = merges;
  std::erase_if(allowed, [&](const BpeMerge& merge) {
    return std::binary_search(reserved.begin(), reserved.end(), merge.result);
  });
  add_merges(allowed);
  add_words(reserved);
  if (!options.byte_level) add_characters();
  const bool has_all_bytes =
      std::find(byte_ids_.begin(), byte_ids_.end(), TokenTable::kNone) == byte_ids_.end();
  if (!options.byte_level && options.byte_fallback && has_all_bytes && !options.ignore_merges)
    find_boundaries(allowed);
}

void Bpe::add_merges(const std::vector<BpeMerge>& merges) {
  pairs_.resize(std::bit_ceil(merges.size() * 2 + 2));
  for (const BpeMerge& merge : merges) {
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    std::size_t at = mix(pair) & (pairs_.size() - 1);
    while (pairs_[at].pair != kNoPair && pairs_[at].pair != pair)
      at = (at + 1) & (pairs_.size() - 1);
    pairs_[at] = {pair, {merge.rank, merge.result}};
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

void Bpe::add_characters() {
  char_ids_.assign(0x10000, TokenTable::kNone);
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const std::string_view text = words_.text(i);
    const Utf8Char first = utf8_char(text, 0);
    if (first.length == text.size() && first.code < char_ids_.size())
      char_ids_[first.code] = words_.find(text);
  }
}

void Bpe::find_boundaries(const std::vector<BpeMerge>& merges) {
  std::vector<bool> opaque(std::size_t(vocabulary_.size()));
  for (const TokenId id : byte_ids_) opaque[std::size_t(id)] = true;
  if (options_.unknown) opaque[std::size_t(*options_.unknown)] = true;
  joins_.assign(kJoinBits / 64, 0);
  for (const BpeMerge& merge : merges) {
    // Tokens that stand for other text than their own: where they meet cannot be told from the
    // characters.
    if (opaque[std::size_t(merge.left)] || opaque[std::size_t(merge.right)]) {
      joins_.clear();
      return;
    }
    const std::string_view left = vocabulary_.text(merge.left);
    const char32_t before = utf8_char(left, utf8_before(left, left.size())).code;
    const char32_t after = utf8_char(vocabulary_.text(merge.right), 0).code;
    const std::uint64_t bit = mix(std::uint64_t(before) << 32 | after) % kJoinBits;
    joins_[bit / 64] |= std::uint64_t{1} << (bit % 64);
  }
}

bool Bpe::may_join(char32_t left, char32_t right) const {
  const std::uint64_t bit = mix(std::uint64_t(left) << 32 | right) % kJoinBits;
  return joins_[bit / 64] >> (bit % 64) & 1;
}

Bpe::Merged Bpe::merged(TokenId left, TokenId right) const {
  const std::uint64_t pair = pair_of(left, right);
  for (std::size_t at = mix(pair) & (pairs_.size() - 1); pairs_[at].pair != kNoPair;
       at = (at + 1) & (pairs_.size() - 1))
    if (pairs_[at].pair == pair) return pairs_[at].merged;
  return {};
}

TokenId Bpe::char_id(std::string_view character) const {
  const char32_t code = utf8_char(character, 0).code;
  return code < char_ids_.size() ? char_ids_[code] : words_.find(character);
}

/// The single characters (bytes) that merging starts from.
void Bpe::split_into_units(std::string_view word, std::vector<PieceToken>& out) const {
  out.clear();
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

/// Quadratic, without memory of its own.
void Bpe::merge_short(std::vector<PieceToken>& tokens) const {
  std::array<Merged, kShortWord> with_next;
  const auto look = [&](std::size_t i) {
    with_next[i] = i + 1 < tokens.size() ? merged(tokens[i].id, tokens[i + 1].id) : Merged();
  };
  for (std::size_t i = 0; i < tokens.size(); ++i) look(i);
  while (tokens.size() > 1) {
    const auto best =
        std::min_element(with_next.begin(), with_next.begin() + std::ptrdiff_t(tokens.size()),
                         [](const Merged& a, const Merged& b) { return a.rank < b.rank; });
    if (best->rank == kNoRank) return;
    const auto at = std::size_t(best - with_next.begin());
    tokens[at].id = best->result;
    tokens.erase(tokens.begin() + std::ptrdiff_t(at) + 1);
    std::copy(best + 2, with_next.begin() + std::ptrdiff_t(tokens.size()) + 1, best + 1);
    look(at);
    if (at > 0) look(at - 1);
  }
}

/// Candidate pairs over a linked list, best first. A candidate whose symbols have changed since is
/// told by its rank. Most candidates come from an array sorted once, which is cheaper than a heap;
/// the heap holds those that came up since and becomes the next array.
void Bpe::merge_long(std::vector<PieceToken>& tokens, Session& session) const {
  auto& symbols = session.symbols_;
  auto& sorted = session.sorted_;
  auto& heap = session.heap_;
  symbols.clear();
  sorted.clear();
  heap.clear();
  const auto count = std::int32_t(tokens.size());
  for (std::int32_t i = 0; i < count; ++i)
    symbols.push_back({tokens[std::size_t(i)].id, tokens[std::size_t(i)].begin, i - 1,
                       i + 1 < count ? i + 1 : -1});
  const auto pair_at = [&](std::int32_t i) {
    const auto& symbol = symbols[std::size_t(i)];
    return symbol.id < 0 || symbol.next < 0
               ? Merged()
               : merged(symbol.id, symbols[std::size_t(symbol.next)].id);
  };
  const auto push = [&](std::int32_t i) {
    const Merged pair = pair_at(i);
    if (pair.rank == kNoRank) return;
    heap.push_back(std::uint64_t{pair.rank} << 32 | std::uint32_t(i));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (std::int32_t i = 0; i < count; ++i) push(i);
  for (std::size_t next = 0; next < sorted.size() || !heap.empty();) {
    if (next == sorted.size()) {
      sorted.swap(heap);
      heap.clear();
      next = 0;
      if (!std::is_sorted(sorted.begin(), sorted.end())) std::sort(sorted.begin(), sorted.end());
    }
    std::uint64_t best = sorted[next];
    if (!heap.empty() && heap.front() < best) {
      best = heap.front();
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.pop_back();
    } else {
      ++next;
    }
    const auto at = std::int32_t(std::uint32_t(best));
    const Merged pair = pair_at(at);
    if (pair.rank != best >> 32) continue;
    auto& left = symbols[std::size_t(at)];
    auto& right = symbols[std::size_t(left.next)];
    left.id = pair.result;
    left.next = right.next;
    right.id = TokenTable::kNone;
    if (left.next >= 0) symbols[std::size_t(left.next)].previous = at;
    if (left.previous >= 0) push(left.previous);
    push(at);
  }
  tokens.clear();
  for (std::int32_t i = 0; i >= 0; i = symbols[std::size_t(i)].next)
    tokens.push_back({symbols[std::size_t(i)].id, symbols[std::size_t(i)].begin});
}

void Bpe::merge(std::string_view word, std::vector<PieceToken>& out, Session& session) const {
  split_into_units(word, out);
  if (out.size() <= kShortWord)
    merge_short(out);
  else
    merge_long(out, session);
}

Bpe::Session::Session(const Bpe& bpe, std::size_t text_bytes) : bpe_(bpe) {
  constexpr std::size_t kMostCached = 1u << 13;
  if (text_bytes >= 1024) cache_.resize(std::min(std::bit_ceil(text_bytes / 64), kMostCached));
}

/// A stretch that nothing merges across, looked up before it is merged. Adds to out_.
void Bpe::Session::encode_word(std::string_view word, std::uint32_t shift) {
  const TokenId id = bpe_.words_.find(word);
  if (id != TokenTable::kNone) {
    std::atomic<Canonical>& canonical = bpe_.canonical_[std::size_t(id)];
    Canonical state =
        bpe_.options_.ignore_merges ? Canonical::yes : canonical.load(std::memory_order_relaxed);
    if (state == Canonical::unknown) {
      bpe_.merge(word, word_, *this);
      state = word_.size() == 1 && word_[0].id == id ? Canonical::yes : Canonical::no;
      canonical.store(state, std::memory_order_relaxed);
    }
    if (state == Canonical::yes) return out_.push_back({id, shift});
  }
  const auto add = [&](const std::vector<PieceToken>& tokens) {
    for (const PieceToken& token : tokens) out_.push_back({token.id, token.begin + shift});
  };
  if (cache_.empty() || word.size() > kLongestCached) {
    bpe_.merge(word, word_, *this);
    return add(word_);
  }
  Known& known = cache_[hash_bytes(word) >> 40 & (cache_.size() - 1)];
  if (known.piece != word) {
    bpe_.merge(word, known.tokens, *this);
    known.piece = word;
  }
  add(known.tokens);
}

const std::vector<PieceToken>& Bpe::Session::encode(std::string_view piece) {
  expect(piece.size() < (std::size_t{1} << 31), "a piece of 2 GiB or more");
  out_.clear();
  if (bpe_.joins_.empty()) {
    encode_word(piece, 0);
    return out_;
  }
  std::size_t begin = 0;
  char32_t before = utf8_char(piece, 0).code;
  for (std::size_t at = utf8_length(piece[0]); at < piece.size();) {
    const Utf8Char c = utf8_char(piece, at);
    if (!bpe_.may_join(before, c.code)) {
      encode_word(piece.substr(begin, at - begin), std::uint32_t(begin));
      begin = at;
    }
    before = c.code;
    at += c.length;
  }
  encode_word(piece.substr(begin), std::uint32_t(begin));
  return out_;
}

}  // namespace elenchus
