#pragma once
// Tokens by id and ids by token.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace elenchus {

/// Mixes the bits of a number so that all of its result depend on all of it.
inline std::uint64_t mix64(std::uint64_t value) {
  value *= 0x9E3779B97F4A7C15u;
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93u;
  return value ^ value >> 32;
}

/// Bytes of at most kLongest as two numbers, which tell two texts of one length apart.
struct ShortText {
  static constexpr std::size_t kLongest = 16;
  std::uint64_t low = 0, high = 0;
  bool operator==(const ShortText&) const = default;
};

/// A number from the bytes there.
template <class Word>
std::uint64_t word_at(const char* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

inline ShortText short_text(std::string_view bytes) {
  const char* begin = bytes.data();
  const char* end = begin + bytes.size();
  // Two reads that overlap are cheaper than a copy of so many bytes.
  if (bytes.size() >= 8) return {word_at<std::uint64_t>(begin), word_at<std::uint64_t>(end - 8)};
  if (bytes.size() >= 4) return {word_at<std::uint32_t>(begin), word_at<std::uint32_t>(end - 4)};
  if (bytes.empty()) return {};
  const auto byte = [](char c) { return std::uint64_t(static_cast<unsigned char>(c)); };
  return {byte(begin[0]), byte(begin[bytes.size() / 2]) << 8 | byte(end[-1])};
}

/// 64 well-mixed bits of some bytes.
inline std::uint64_t hash_bytes(std::string_view bytes) {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15u;
  const auto mix = [](std::uint64_t hash, std::uint64_t word) {
    const auto product = static_cast<unsigned __int128>(hash ^ word) * kFactor;
    return std::uint64_t(product) ^ std::uint64_t(product >> 64);
  };
  std::uint64_t hash = kFactor + bytes.size();
  for (; bytes.size() > ShortText::kLongest; bytes.remove_prefix(8))
    hash = mix(hash, word_at<std::uint64_t>(bytes.data()));
  const ShortText rest = short_text(bytes);
  return mix(mix(mix(hash, rest.low), rest.high), kFactor >> 1);
}

/// Texts, each with a number >= 0, found by hashing. Texts lie in one block of memory.
class TokenTable {
 public:
  static constexpr TokenId kNone = -1;
  void reserve(std::size_t tokens, std::size_t bytes);
  /// False, changing nothing, if the text is there already.
  bool insert(std::string_view text, TokenId id);
  /// The id of this text, or kNone.
  TokenId find(std::string_view text) const { return find(text, hash_bytes(text)); }
  /// The same, its hash_bytes() known already.
  TokenId find(std::string_view text, std::uint64_t hash) const;
  /// Fetches what a find() of a text with this hash looks at first.
  void prefetch(std::uint64_t hash) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
  }
  std::size_t size() const { return entries_.size(); }
  /// The text inserted as number `entry`, in order of insertion.
  std::string_view text(std::size_t entry) const {
    return std::string_view(bytes_).substr(entries_[entry].begin, entries_[entry].length);
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // high half of the hash
    std::uint32_t begin = 0, length = 0;
    TokenId id = kNone;  // kNone: free
  };
  struct Entry {
    std::uint32_t begin, length;
  };
  void grow(std::size_t slots);
  void fill_slot(std::uint64_t hash, Entry text, TokenId id);

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // a power of two, at most two thirds full
};

/// The tokens of a model: ids are unique, holes allowed.
class Vocabulary {
 public:
  static constexpr TokenId kLimit = 1 << 24;          // ids are below
  static constexpr std::size_t kLongestToken = 1024;  // bytes
  void reserve(std::size_t tokens, std::size_t bytes) { table_.reserve(tokens, bytes); }
  /// InputError: the id is out of range or taken, the token is there already, empty or too long;
  /// `what` names the place.
  void add(std::string_view token, std::int64_t id, const std::string& what);
  TokenId find(std::string_view token) const { return table_.find(token); }
  TokenId find(std::string_view token, std::uint64_t hash) const {
    return table_.find(token, hash);
  }
  void prefetch(std::uint64_t hash) const { table_.prefetch(hash); }
  bool has(TokenId id) const { return id >= 0 && id < size() && entry_of_[std::size_t(id)] >= 0; }
  /// Empty where no token has the id.
  std::string_view text(TokenId id) const {
    return has(id) ? table_.text(std::size_t(entry_of_[std::size_t(id)])) : std::string_view();
  }
  /// Largest id + 1.
  TokenId size() const { return TokenId(entry_of_.size()); }

 private:
  TokenTable table_;
  std::vector<std::int32_t> entry_of_;  // by id; -1: none
};

}  // namespace elenchus
