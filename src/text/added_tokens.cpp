#include "text/added_tokens.h"

namespace elenchus {

bool AddedToken::is_control() const {
  const std::string_view text = content;
  return special || (text.starts_with("<|") && text.ends_with("|>")) ||
         (text.starts_with("<｜") && text.ends_with("｜>"));
}

AddedTokenFinder::AddedTokenFinder(std::vector<const AddedToken*> tokens,
                                   const std::vector<std::string>& patterns)
    : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < patterns.size(); ++i) insert(patterns[i], std::int32_t(i));
}

void AddedTokenFinder::insert(std::string_view pattern, std::int32_t token) {
  if (pattern.empty()) return;
  if (nodes_.empty()) nodes_.push_back(-1);
  begins_[static_cast<unsigned char>(pattern[0])] = true;
  std::int32_t node = 0;
  for (const char byte : pattern) {
    const std::uint64_t edge = std::uint64_t(node) << 8 | static_cast<unsigned char>(byte);
    const auto [entry, is_new] = children_.emplace(edge, std::int32_t(nodes_.size()));
    if (is_new) nodes_.push_back(-1);
    node = entry->second;
  }
  // Of two tokens with one spelling (after normalisation) the first counts.
  if (nodes_[std::size_t(node)] < 0) nodes_[std::size_t(node)] = token;
}

std::int32_t AddedTokenFinder::child(std::int32_t node, char byte) const {
  const auto entry = children_.find(std::uint64_t(node) << 8 | static_cast<unsigned char>(byte));
  return entry == children_.end() ? -1 : entry->second;
}

bool AddedTokenFinder::widen(std::string_view text, const CharClassTable& classes,
                             std::size_t covered, Match& match) const {
  auto& [begin, end] = match.range;
  const auto is_any = [&](std::size_t at, int bits) {
    return (classes[utf8_char(text, at).code] & bits) != 0;
  };
  if (match.token->single_word && ((begin > 0 && is_any(utf8_before(text, begin), kWordChar)) ||
                                   (end < text.size() && is_any(end, kWordChar))))
    return false;
  const auto is_stripped = [&](std::size_t at) {
    const bool is_ascii = static_cast<unsigned char>(text[at]) < 0x80;
    return is_any(at, kSpace) && (is_ascii || !match.token->strips_ascii);
  };
  while (match.token->lstrip && begin > covered && is_stripped(utf8_before(text, begin)))
    begin = utf8_before(text, begin);
  while (match.token->rstrip && end < text.size() && is_stripped(end))
    end += utf8_length(text[end]);
  return true;
}

}  // namespace elenchus
