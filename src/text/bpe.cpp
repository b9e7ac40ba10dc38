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

constexpr std::size_t kShortWord = 32;     // symbols up to which the quadratic loop is faster
constexpr std::size_t kLongestKnown = 64;  // bytes
constexpr std::size_t kKnownTokens = 1u << 14, kKnownWords = 1u << 14;

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
  if (spells_everything()) find_joins(allowed);
  misses_bytes_ = options.byte_level && options.unknown_cuts &&
                  std::ranges::find(byte_ids_, TokenTable::kNone) != byte_ids_.end();
}

void Bpe::add_merges(const std::vector<BpeMerge>& merges) {
  pairs_.resize(std::bit_ceil(merges.size() * 4 / 3 + 2));
  for (const BpeMerge& merge : merges) {
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    std::size_t at = mix64(pair) & (pairs_.size() - 1);
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
  for (std::size_t at = mix64(pair) & (pairs_.size() - 1); pairs_[at].pair != kNoPair;
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

Bpe::Session::Session(const Bpe& bpe)
    : bpe_(bpe), known_tokens_(kKnownTokens), known_words_(kKnownWords) {}

/// The token that merging makes of the whole word, or kNone: it is no token, or another way of
/// merging comes first.
TokenId Bpe::Session::find_token(std::string_view word, std::uint64_t hash) {
  const TokenId id = bpe_.words_.find(word, hash);
  if (id == TokenTable::kNone) return id;
  std::atomic<Canonical>& canonical = bpe_.canonical_[std::size_t(id)];
  Canonical state = canonical.load(std::memory_order_relaxed);
  if (state == Canonical::unknown) {
    bpe_.merge(word, word_, *this);
    state = word_.size() == 1 && word_[0].id == id ? Canonical::yes : Canonical::no;
    canonical.store(state, std::memory_order_relaxed);
  }
  return state == Canonical::yes ? id : TokenTable::kNone;
}

/// A stretch that nothing merges across, looked up before it is merged. Adds to out_.
void Bpe::Session::encode_word(std::string_view word, std::uint32_t shift) {
  const std::uint64_t hash = hash_bytes(word);
  const bool is_short = word.size() <= ShortText::kLongest;
  const ShortText text = is_short ? short_text(word) : ShortText();
  KnownToken& known_token = known_tokens_[hash >> 40 & (kKnownTokens - 1)];
  if (is_short && known_token.bytes == word.size() && known_token.text == text)
    return out_.push_back({known_token.id, shift});
  if (const TokenId id = find_token(word, hash); id != TokenTable::kNone) {
    if (is_short) known_token = {text, word.size(), id};
    return out_.push_back({id, shift});
  }
  const auto add = [&](const std::vector<PieceToken>& tokens) {
    for (const PieceToken& token : tokens) out_.push_back({token.id, token.begin + shift});
  };
  if (word.size() > kLongestKnown) {
    bpe_.merge(word, word_, *this);
    return add(word_);
  }
  KnownWord& known = known_words_[hash >> 40 & (kKnownWords - 1)];
  if (known.text != word) {
    bpe_.merge(word, known.tokens, *this);
    known.text = word;
  }
  add(known.tokens);
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
  if (bpe_.joins_.empty() || (bpe_.options_.byte_level && is_ascii(piece)))
    encode_word(piece, shift);
  else
    encode_cut(piece, shift);
}

/// Cuts where nothing joins and encodes the parts. Adds to out_.
void Bpe::Session::encode_cut(std::string_view piece, std::uint32_t shift) {
  std::size_t begin = 0;
  char32_t before = utf8_char(piece, 0).code;
  for (std::size_t at = utf8_length(piece[0]); at < piece.size();) {
    const Utf8Char c = utf8_char(piece, at);
    if (!bpe_.joins_.may_join(piece, at, before, c.code)) {
      encode_word(piece.substr(begin, at - begin), shift + std::uint32_t(begin));
      begin = at;
    }
    before = c.code;
    at += c.length;
  }
  encode_word(piece.substr(begin), shift + std::uint32_t(begin));
}

}  // namespace elenchus
