#pragma once
// A tokenizer put together from its parts.

#include <memory>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace elenchus {

/// What a tokenizer file says, checked: every id below refers to a token of `vocabulary`.
struct TokenizerParts {
  Vocabulary vocabulary;  // added tokens, too
  std::vector<BpeMerge> merges;
  BpeOptions bpe;
  std::vector<AddedToken> added;
  std::vector<TokenId> reserved;  // ids that merging must not give: control tokens and tokens that
                                  // are only added; sorted
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Decoder decoder;
  UnicodeVersion unicode = UnicodeVersion::v16;  // whose character classes it splits by
  std::vector<TokenId> begin_ids, end_ids;       // what add_special_tokens puts around a text
};

/// InputError as tokenizer_from_json.
TokenizerParts read_tokenizer_json(const Json& tokenizer_json, const std::string& source);

/// Merges that give what joining by the scores of the results gives (SentencePiece): for every cut
/// of a token into two tokens, ranked by the token's score. Tokens of `reserved` take no part.
std::vector<BpeMerge> merges_from_scores(const Vocabulary& vocabulary,
                                         const std::vector<float>& scores,
                                         const std::vector<TokenId>& reserved);

std::unique_ptr<Tokenizer> make_tokenizer(TokenizerParts parts);

}  // namespace elenchus
