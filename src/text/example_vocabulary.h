#pragma once
// Small vocabularies for tests.

#include <string>

#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace elenchus {

/// A byte-level vocabulary as GGUF has it: control tokens 0 to 2, the 256 bytes, a user-defined
/// token and a few merges.
inline GgufVocabulary example_byte_level_vocabulary(std::string pre) {
  GgufVocabulary v;
  v.model = "gpt2";
  v.pre = std::move(pre);
  v.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>"};
  v.token_types = {3, 3, 3, 4};
  const ByteAlphabet alphabet;
  for (int byte = 0; byte < 256; ++byte)
    v.tokens.emplace_back(alphabet.spelling(std::uint8_t(byte)));
  v.merges = {"a a",   "aa aa",  "aaaa aaaa", "u s", "us us", "Ġ Ġ",  "ĠĠ ĠĠ", "Ċ Ċ", "h e", "l l",
              "he ll", "hell o", "Ġ hello",   "1 2", "ã ģ",   "ãģ Ĥ", "< |",   "i m", "| >"};
  for (const std::string& merge : v.merges) {
    const std::size_t blank = merge.find(' ');
    v.tokens.push_back(merge.substr(0, blank) + merge.substr(blank + 1));
  }
  v.token_types.resize(v.tokens.size(), 1);
  v.bos = 1;
  v.eos = 2;
  return v;
}

/// A SentencePiece vocabulary as GGUF has it: <unk>, <s>, </s>, the byte tokens, and pieces with
/// falling scores.
inline GgufVocabulary example_sentencepiece_vocabulary() {
  GgufVocabulary v;
  v.model = "llama";
  v.tokens = {"<unk>", "<s>", "</s>"};
  v.token_types = {2, 3, 3};
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte) {
    v.tokens.push_back(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">");
    v.token_types.push_back(6);
  }
  v.scores.resize(v.tokens.size(), 0);
  float score = 0;
  for (const char* piece : {"▁▁", "▁h", "el", "aa", "aaaa", "lo", "ello", "▁hello", "<s", "▁",  "h",
                            "e",  "l",  "o",  "a",  "<",    "s",  ">",    "/",      "あ", "あa"}) {
    v.tokens.emplace_back(piece);
    v.token_types.push_back(1);
    v.scores.push_back(score -= 1);
  }
  v.unknown = 0;
  v.bos = 1;
  v.eos = 2;
  return v;
}

}  // namespace elenchus
