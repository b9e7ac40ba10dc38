#pragma once
// A tokenizer for tests: every byte is a token, and so is each of a few special words.

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"

namespace elenchus {

/// Ids 0 to 255 are bytes, 256 and up the special words, in their order.
class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<std::string> special) : special_(std::move(special)) {
    for (int byte = 0; byte < 256; ++byte) bytes_.emplace_back(1, char(byte));
  }
  Encoding encode(std::string_view text, const EncodeOptions& options = {}) const override {
    Encoding out;
    for (std::size_t at = 0; at < text.size();) {
      const TokenId id = token_at(text, at, options.plain);
      out.ids.push_back(id);
      out.offsets.push_back(at);
      at += token_of(id).size();
    }
    return out;
  }
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::string out;
    for (const TokenId id : ids)
      if (!skip_special || !is_special(id)) out += piece_bytes(id);
    return out;
  }
  std::string piece_bytes(TokenId id) const override { return std::string(token_of(id)); }
  std::int64_t vocabulary_size() const override { return 256 + std::int64_t(special_.size()); }
  std::optional<TokenId> id_of(std::string_view token) const override {
    for (std::size_t i = 0; i < special_.size(); ++i)
      if (special_[i] == token) return TokenId(256 + i);
    return token.size() == 1 ? std::optional(TokenId(static_cast<unsigned char>(token[0])))
                             : std::nullopt;
  }
  std::string_view token_of(TokenId id) const override {
    return id < 256 ? bytes_.at(std::size_t(id)) : special_.at(std::size_t(id - 256));
  }
  bool is_special(TokenId id) const override { return id >= 256; }

 private:
  TokenId token_at(std::string_view text, std::size_t at, std::span<const TextRange> plain) const {
    for (std::size_t i = 0; i < special_.size(); ++i) {
      const std::size_t end = at + special_[i].size();
      const bool allowed = std::ranges::none_of(
          plain, [&](TextRange range) { return range.begin < end && at < range.end; });
      if (allowed && text.substr(at).starts_with(special_[i])) return TokenId(256 + i);
    }
    return TokenId(static_cast<unsigned char>(text[at]));
  }

  std::vector<std::string> special_;
  std::vector<std::string> bytes_;
};

}  // namespace elenchus
