#include "text/vocabulary.h"

#include <bit>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

void TokenTable::reserve(std::size_t tokens, std::size_t bytes) {
  bytes_.reserve(bytes);
  entries_.reserve(tokens);
  grow(std::bit_ceil(tokens * 3 / 2 + 2));
}

void TokenTable::fill_slot(std::uint64_t hash, Entry text, TokenId id) {
  std::size_t at = hash & (slots_.size() - 1);
  while (slots_[at].id != kNone) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {std::uint32_t(hash >> 32), text.begin, text.length, id};
}

void TokenTable::grow(std::size_t slots) {
  if (slots <= slots_.size()) return;
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    const auto text = std::string_view(bytes_).substr(slot.begin, slot.length);
    fill_slot(hash_bytes(text), {slot.begin, slot.length}, slot.id);
  }
}

bool TokenTable::insert(std::string_view text, TokenId id) {
  if (find(text) != kNone) return false;
  if (slots_.size() * 2 < (entries_.size() + 1) * 3) grow(std::bit_ceil((entries_.size() + 1) * 3));
  const Entry entry{std::uint32_t(bytes_.size()), std::uint32_t(text.size())};
  fill_slot(hash_bytes(text), entry, id);
  entries_.push_back(entry);
  bytes_ += text;
  return true;
}

TokenId TokenTable::find(std::string_view text, std::uint64_t hash) const {
  if (slots_.empty()) return kNone;
  for (std::size_t at = hash & (slots_.size() - 1); slots_[at].id != kNone;
       at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.tag == std::uint32_t(hash >> 32) &&
        std::string_view(bytes_).substr(slot.begin, slot.length) == text)
      return slot.id;
  }
  return kNone;
}

void Vocabulary::add(std::string_view token, std::int64_t id, const std::string& what) {
  const auto refuse = [&](const std::string& why) {
    throw InputError(cat(what, ": token \"", printable(token), "\" ", why));
  };
  if (id < 0 || id >= kLimit) refuse(cat("has id ", id, "; expected 0 to ", kLimit - 1));
  if (token.empty()) refuse(cat("with id ", id, " is empty"));
  if (token.size() > kLongestToken)
    refuse(cat("has ", token.size(), " bytes; at most ", kLongestToken, " are accepted"));
  if (has(TokenId(id)))
    refuse(cat("has id ", id, ", which \"", printable(text(TokenId(id))), "\" has already"));
  const auto entry = std::int32_t(table_.size());
  if (!table_.insert(token, TokenId(id))) refuse("is there twice");
  if (id >= size()) entry_of_.resize(std::size_t(id) + 1, -1);
  entry_of_[std::size_t(id)] = entry;
}

}  // namespace elenchus
