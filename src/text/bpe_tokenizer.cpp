#include "text/bpe_tokenizer.h"

#include <algorithm>
#include <mutex>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

namespace {

constexpr std::size_t kLongestText = 1u << 30;

/// Whether no byte of `range` lies in the sorted, disjoint ranges `plain`.
bool lies_outside(std::span<const TextRange> plain, TextRange range) {
  const auto after = std::partition_point(plain.begin(), plain.end(),
                                          [&](const TextRange& p) { return p.end <= range.begin; });
  return after == plain.end() || after->begin >= range.end;
}

std::vector<const AddedToken*> tokens_that(const std::vector<AddedToken>& added,
                                           bool AddedToken::*is, bool value) {
  std::vector<const AddedToken*> out;
  for (const AddedToken& token : added)
    if (token.*is == value) out.push_back(&token);
  return out;
}

/// Sessions that no call uses: what one call has met, the next need not work out again.
class SessionPool {
 public:
  /// A session for one call.
  class Lease {
   public:
    Lease(SessionPool& pool, const Bpe& bpe) : pool_(pool), session_(pool.take(bpe)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      if (!session_->is_large()) pool_.give_back(std::move(session_));
    }
    Bpe::Session& operator*() const { return *session_; }

   private:
    SessionPool& pool_;
    std::unique_ptr<Bpe::Session> session_;
  };

 private:
  std::unique_ptr<Bpe::Session> take(const Bpe& bpe) {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Bpe::Session>(bpe);
    std::unique_ptr<Bpe::Session> session = std::move(idle_.back());
    idle_.pop_back();
    return session;
  }
  void give_back(std::unique_ptr<Bpe::Session> session) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(session));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Bpe::Session>> idle_;
};

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(TokenizerParts parts);
  Encoding encode(std::string_view text, const EncodeOptions& options) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::string piece_bytes(TokenId id) const override;
  std::int64_t vocabulary_size() const override { return parts_.vocabulary.size(); }
  std::optional<TokenId> id_of(std::string_view token) const override;
  std::string_view token_of(TokenId id) const override;
  bool is_special(TokenId id) const override {
    return id >= 0 && id < parts_.vocabulary.size() && special_[std::size_t(id)];
  }

 private:
  AddedTokenFinder finder(bool normalized) const;
  void encode_text(AlignedText text, const EncodeOptions& options, Bpe::Session& session,
                   Encoding& out) const;
  void encode_pieces(AlignedText text, Bpe::Session& session, Encoding& out) const;

  const TokenizerParts parts_;
  const CharClassTable classes_;
  const Bpe bpe_;
  const AddedTokenFinder raw_finder_;
  const AddedTokenFinder normalized_finder_;
  std::vector<bool> special_;  // by id
  mutable SessionPool sessions_;
};

BpeTokenizer::BpeTokenizer(TokenizerParts parts)
    : parts_(std::move(parts)),
      classes_(parts_.unicode),
      bpe_(parts_.vocabulary, parts_.merges, parts_.bpe, parts_.reserved),
      raw_finder_(finder(false)),
      normalized_finder_(finder(true)),
      special_(std::size_t(parts_.vocabulary.size())) {
  for (const AddedToken& token : parts_.added)
    if (token.special) special_[std::size_t(token.id)] = true;
}

AddedTokenFinder BpeTokenizer::finder(bool normalized) const {
  std::vector<const AddedToken*> tokens =
      tokens_that(parts_.added, &AddedToken::normalized, normalized);
  std::vector<std::string> patterns;
  for (const AddedToken* token : tokens)
    patterns.push_back(normalized ? parts_.normalizer.apply({token->content, 0}, classes_).text()
                                  : token->content);
  return {std::move(tokens), patterns};
}

Encoding BpeTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kLongestText)
    throw InputError(cat("text of ", text.size(), " bytes; at most ", kLongestText,
                         " can be tokenized at once"));
  if (const auto bad = find_invalid_utf8(text))
    throw InputError(cat("text is not valid UTF-8 at byte ", *bad, "; save it as UTF-8"));
  Encoding out;
  out.ids.reserve(text.size() / 4 + 8);
  out.offsets.reserve(text.size() / 4 + 8);
  const auto add = [&](TokenId id, std::size_t offset) {
    out.ids.push_back(id);
    out.offsets.push_back(offset);
  };
  if (options.add_special_tokens)
    for (const TokenId id : parts_.begin_ids) add(id, 0);
  const SessionPool::Lease session(sessions_, bpe_);
  const auto may_hold = [&](TextRange range) { return lies_outside(options.plain, range); };
  for (const auto& [range, token] : raw_finder_.find(text, classes_, may_hold)) {
    if (token)
      add(token->id, range.begin);
    else
      encode_text({text.substr(range.begin, range.end - range.begin), range.begin}, options,
                  *session, out);
  }
  if (options.add_special_tokens)
    for (const TokenId id : parts_.end_ids) add(id, text.size());
  return out;
}

void BpeTokenizer::encode_text(AlignedText text, const EncodeOptions& options,
                               Bpe::Session& session, Encoding& out) const {
  text = parts_.normalizer.apply(std::move(text), classes_);
  if (normalized_finder_.empty()) return encode_pieces(std::move(text), session, out);
  const auto may_hold = [&](TextRange range) {
    // The last byte's origin, not the end's: a normal form may have joined what follows.
    return lies_outside(options.plain, {text.origin(range.begin), text.origin(range.end - 1) + 1});
  };
  for (const auto& [range, token] : normalized_finder_.find(text.text(), classes_, may_hold)) {
    if (token) {
      out.ids.push_back(token->id);
      out.offsets.push_back(text.origin(range.begin));
    } else {
      encode_pieces(text.part(range), session, out);
    }
  }
}

void BpeTokenizer::encode_pieces(AlignedText text, Bpe::Session& session, Encoding& out) const {
  const PieceList list = parts_.pre_tokenizer.apply(std::move(text), classes_);
  const std::string_view bytes = list.text.text();
  for (const TextRange piece : list.pieces) {
    for (const PieceToken& token :
         session.encode(bytes.substr(piece.begin, piece.end - piece.begin))) {
      out.ids.push_back(token.id);
      out.offsets.push_back(list.text.origin(piece.begin + token.begin));
    }
  }
}

std::string BpeTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    if (id >= vocabulary_size()) continue;
    const std::string_view token = token_of(id);
    if (!token.empty() && !(skip_special && is_special(id))) tokens.emplace_back(token);
  }
  return parts_.decoder.decode(std::move(tokens), classes_);
}

std::string BpeTokenizer::piece_bytes(TokenId id) const {
  if (id >= vocabulary_size()) return {};
  const std::string_view token = token_of(id);
  return is_special(id) ? std::string(token) : parts_.decoder.piece_bytes(token, classes_);
}

std::optional<TokenId> BpeTokenizer::id_of(std::string_view token) const {
  const TokenId id = parts_.vocabulary.find(token);
  return id == TokenTable::kNone ? std::nullopt : std::optional(id);
}

std::string_view BpeTokenizer::token_of(TokenId id) const {
  if (id < 0 || id >= parts_.vocabulary.size())
    throw InputError(cat("token id ", id, " is not in the vocabulary; expected 0 to ",
                         parts_.vocabulary.size() - 1));
  return parts_.vocabulary.text(id);
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(TokenizerParts parts) {
  return std::make_unique<BpeTokenizer>(std::move(parts));
}

}  // namespace elenchus
