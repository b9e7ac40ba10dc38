#pragma once
// Text to token ids and back, as the model's own tooling does it.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace elenchus {

using TokenId = std::int32_t;

/// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0, end = 0;
};

struct EncodeOptions {
  /// Adds what the tokenizer puts at a text's ends (BOS, EOS: tokenizer.json's post-processor).
  bool add_special_tokens = false;
  /// Where special tokens written in the text stay text: sorted, disjoint. A special token counts
  /// only if none of its bytes lies in such a range. (User content must not be able to forge
  /// control tokens.)
  std::span<const TextRange> plain = {};
};

/// Ids, and for each the byte of the input where its text begins (added ends have the position of
/// the end they are at).
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::size_t> offsets;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// InputError if `text` is not valid UTF-8. Never recurses on the length of the input;
  /// O(n log n).
  virtual Encoding encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  /// The text of the ids. `skip_special` leaves special tokens out. Ids from vocabulary_size() on
  /// have no text: models with padded embeddings know more ids than their tokenizer. InputError: a
  /// negative id.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special) const = 0;
  /// The bytes that one id adds to a text that is under way (no clean-up at the text's start;
  /// special tokens as they are written), none from vocabulary_size() on. Pieces of a character are
  /// given as they are. InputError: a negative id.
  virtual std::string piece_bytes(TokenId id) const = 0;
  /// Largest id + 1.
  virtual std::int64_t vocabulary_size() const = 0;
  /// The id of an entry of the vocabulary or an added token, written exactly so.
  virtual std::optional<TokenId> id_of(std::string_view token) const = 0;
  /// As the vocabulary writes it; empty for an id without a token. InputError: an id out of range.
  virtual std::string_view token_of(TokenId id) const = 0;
  virtual bool is_special(TokenId id) const = 0;
};

/// From tokenizer.json's content. `source` names the file in messages. InputError: a part that is
/// unknown or inconsistent, by name.
std::unique_ptr<Tokenizer> tokenizer_from_json(const Json& tokenizer_json, std::string_view source);

/// What a GGUF file says of its tokenizer ("tokenizer.ggml.*"), in plain values.
struct GgufVocabulary {
  std::string model;       ///< "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE)
  std::string model_name;  ///< general.name
  std::string pre;         ///< "smollm", "llama-bpe", "qwen2", "default", ...; empty for "llama"
  std::vector<std::string> tokens;
  std::vector<std::string> merges;  ///< "left right"; byte-level BPE
  std::vector<float> scores;        ///< SentencePiece; may be empty
  /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; may be empty.
  std::vector<std::int32_t> token_types;
  std::optional<std::int64_t> bos, eos, unknown, padding;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};
/// Gives llama.cpp's ids. InputError: a part that is unknown or inconsistent, by name.
std::unique_ptr<Tokenizer> tokenizer_from_gguf(const GgufVocabulary& vocabulary,
                                               std::string_view source);

/// The tokenizer.json that holds the same tokenizer as nearly as that format can, for an adapter
/// folder that other software loads. For one read from tokenizer.json the adapter folder gets a copy of that file instead.
Json tokenizer_json_from_gguf(const GgufVocabulary& vocabulary);

/// Joins pieces into whole characters: bytes that may still become a character are held back.
class TextStream {
 public:
  /// The characters completed by these bytes, possibly none. Bytes that can no longer become
  /// one give U+FFFD.
  std::string push(std::string_view bytes);
  /// What is left at the end, as U+FFFD.
  std::string finish();

 private:
  std::string held_;
};

}  // namespace elenchus
