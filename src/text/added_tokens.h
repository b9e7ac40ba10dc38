#pragma once
// Tokens that are found in text before anything else is done to it: <|im_start|> and the like.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace elenchus {

/// An entry of `added_tokens` in tokenizer.json.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;       ///< left out by decode(skip_special)
  bool single_word = false;   ///< not where a word character is its neighbour
  bool lstrip = false;        ///< takes the white space before it
  bool rstrip = false;        ///< takes the white space after it
  bool strips_ascii = false;  ///< of white space, only the ASCII characters
  bool normalized = false;    ///< looked for in the normalised text
  /// Whether user text must not be able to write it: a special token, or one spelled as control
  /// tokens are, <|...|> or <｜...｜>, that its file does not call special.
  bool is_control() const;
};

/// A found token, or text between two.
struct AddedStretch {
  TextRange range;
  const AddedToken* token;  // null: text
};

/// A set of tokens to look for. The leftmost match counts, of those that begin there the longest.
class AddedTokenFinder {
 public:
  /// `patterns[i]` is what to look for to find `tokens[i]`; tokens outlive this. Empty patterns are
  /// never found.
  AddedTokenFinder(std::vector<const AddedToken*> tokens, const std::vector<std::string>& patterns);
  bool empty() const { return nodes_.empty(); }
  /// All of `text`, in order. A control token counts only where `may_hold(range)`.
  template <class MayHold>
  std::vector<AddedStretch> find(std::string_view text, const CharClassTable& classes,
                                 MayHold may_hold) const;

 private:
  struct Match {
    TextRange range;
    const AddedToken* token = nullptr;
  };
  void insert(std::string_view pattern, std::int32_t token);
  std::int32_t child(std::int32_t node, char byte) const;
  /// The text that a token takes there, or nothing if its neighbours forbid it.
  bool widen(std::string_view text, const CharClassTable& classes, std::size_t covered,
             Match& match) const;

  std::vector<const AddedToken*> tokens_;
  std::vector<std::int32_t> nodes_;  // by node of the trie: the token that ends there, or -1
  std::unordered_map<std::uint64_t, std::int32_t> children_;  // node << 8 | byte -> node
  std::array<bool, 256> begins_{};                            // bytes that some pattern begins with
};

template <class MayHold>
std::vector<AddedStretch> AddedTokenFinder::find(std::string_view text,
                                                 const CharClassTable& classes,
                                                 MayHold may_hold) const {
  std::vector<AddedStretch> out;
  std::size_t covered = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (!begins_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    Match longest;
    std::int32_t node = 0;
    for (std::size_t i = at; i < text.size() && (node = child(node, text[i])) >= 0; ++i) {
      if (nodes_[std::size_t(node)] < 0) continue;
      const AddedToken* token = tokens_[std::size_t(nodes_[std::size_t(node)])];
      const TextRange range{at, i + 1};
      if (!token->is_control() || may_hold(range)) longest = {range, token};
    }
    if (!longest.token) {
      ++at;
      continue;
    }
    at = longest.range.end;
    if (!widen(text, classes, covered, longest)) continue;
    if (covered < longest.range.begin) out.push_back({{covered, longest.range.begin}, nullptr});
    out.push_back({longest.range, longest.token});
    covered = longest.range.end;
    at = std::max(at, covered);
  }
  if (covered < text.size()) out.push_back({{covered, text.size()}, nullptr});
  return out;
}

}  // namespace elenchus
