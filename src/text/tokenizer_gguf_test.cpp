#include <gtest/gtest.h>

#include "base/error.h"
#include "text/example_vocabulary.h"
#include "text/tokenizer.h"

namespace elenchus {
namespace {

using Tokens = std::vector<std::string>;

Tokens tokens(const Tokenizer& tokenizer, std::string_view text,
              const EncodeOptions& options = {}) {
  Tokens out;
  for (const TokenId id : tokenizer.encode(text, options).ids)
    out.emplace_back(tokenizer.token_of(id));
  return out;
}

Tokens tokens(const GgufVocabulary& vocabulary, std::string_view text) {
  return tokens(*tokenizer_from_gguf(vocabulary, "test"), text);
}

TEST(GgufTokenizer, SplitsAsItsPreTokenizerNameSays) {
  EXPECT_EQ(tokens(example_byte_level_vocabulary("smollm"), "hello hello 12"),
            (Tokens{"hello", "Ġhello", "Ġ", "1", "2"}));
  EXPECT_EQ(tokens(example_byte_level_vocabulary("gpt-2"), " 12"), (Tokens{"Ġ", "12"}));
  EXPECT_EQ(tokens(example_byte_level_vocabulary("qwen2"), " 12\n\n"),
            (Tokens{"Ġ", "1", "2", "ĊĊ"}));
  EXPECT_EQ(tokens(example_byte_level_vocabulary("default"), "12a+a"),
            (Tokens{"12", "a", "+", "a"}));
  EXPECT_EQ(tokens(example_byte_level_vocabulary("deepseek-v3"), "あus12"),
            (Tokens{"ãģĤ", "us", "12"}));
}

TEST(GgufTokenizer, FindsControlTokensUnlessTextIsPlain) {
  const auto tokenizer = tokenizer_from_gguf(example_byte_level_vocabulary("smollm"), "test");
  const std::string text = "<|im_start|>us<think><|im_end|>";
  EXPECT_EQ(tokens(*tokenizer, text), (Tokens{"<|im_start|>", "us", "<think>", "<|im_end|>"}));
  const TextRange plain[] = {{3, 4}, {14, 15}};
  EXPECT_EQ(
      tokens(*tokenizer, text, {.add_special_tokens = false, .plain = plain}),
      (Tokens{"<|", "im", "_", "s", "t", "a", "r", "t", "|>", "us", "<think>", "<|im_end|>"}));
  const TextRange all[] = {{0, text.size()}};
  for (const TokenId id : tokenizer->encode(text, {.add_special_tokens = false, .plain = all}).ids)
    EXPECT_FALSE(tokenizer->is_special(id));
  EXPECT_TRUE(tokenizer->is_special(0));
  EXPECT_FALSE(tokenizer->is_special(3));
  EXPECT_FALSE(tokenizer->is_special(-1));
}

TEST(GgufTokenizer, AddsEndsAsTheFileSays) {
  GgufVocabulary v = example_byte_level_vocabulary("smollm");
  const auto with_ends = [&] {
    const auto tokenizer = tokenizer_from_gguf(v, "test");
    return tokens(*tokenizer, "us", {.add_special_tokens = true, .plain = {}});
  };
  EXPECT_EQ(with_ends(), (Tokens{"us"}));
  v.add_bos = v.add_eos = true;
  EXPECT_EQ(with_ends(), (Tokens{"<|im_start|>", "us", "<|im_end|>"}));
  v = example_byte_level_vocabulary("llama-bpe");
  EXPECT_EQ(with_ends(), (Tokens{"<|im_start|>", "us"}));
}

TEST(GgufTokenizer, JoinsSentencePiecesByScore) {
  const GgufVocabulary v = example_sentencepiece_vocabulary();
  EXPECT_EQ(tokens(v, "hello"), (Tokens{"▁hello"}));
  EXPECT_EQ(tokens(v, "  aaaaa"), (Tokens{"▁▁", "▁", "aaaa", "a"}));
  EXPECT_EQ(tokens(v, "あaé"), (Tokens{"▁", "あa", "<0xC3>", "<0xA9>"}));
  EXPECT_EQ(tokens(v, "a<s>h"), (Tokens{"▁", "a", "<s>", "▁h"}));
  const auto tokenizer = tokenizer_from_gguf(v, "test");
  const TextRange all[] = {{0, 4}};
  EXPECT_EQ(tokens(*tokenizer, "a<s>", {.add_special_tokens = false, .plain = all}),
            (Tokens{"▁", "a", "<s", ">"}));
  const Encoding encoding =
      tokenizer->encode(" hello é", {.add_special_tokens = true, .plain = {}});
  EXPECT_EQ(tokenizer->decode(encoding.ids, true), " hello é");
  EXPECT_EQ(tokenizer->piece_bytes(*tokenizer->id_of("▁h")), " h");
  EXPECT_EQ(tokenizer->piece_bytes(*tokenizer->id_of("<0xC3>")), "\xC3");
  EXPECT_EQ(tokenizer->piece_bytes(1), "<s>");
}

TEST(GgufTokenizer, StripsAsciiBlanksAloneAfterPhi3sTokens) {
  GgufVocabulary v = example_sentencepiece_vocabulary();
  const std::string text = "a</s> \n a</s>\u3000a<s> a";
  const Tokens kept = {"▁", "a",      "</s>",   "▁▁",     "<0x0A>", "▁",   "a",  "</s>",
                       "▁", "<0xE3>", "<0x80>", "<0x80>", "a",      "<s>", "▁▁", "a"};
  EXPECT_EQ(tokens(v, text), kept);
  v.model_name = "Phi-3-mini";
  const Tokens stripped = {"▁",      "a",      "</s>",   "▁", "a",   "</s>", "▁",
                           "<0xE3>", "<0x80>", "<0x80>", "a", "<s>", "▁▁",   "a"};
  EXPECT_EQ(tokens(v, text), stripped);
}

TEST(GgufTokenizer, WritesATokenizerJsonThatReadsTheSame) {
  for (const GgufVocabulary& v :
       {example_byte_level_vocabulary("smollm"), example_byte_level_vocabulary("llama-bpe"),
        example_byte_level_vocabulary("default"), example_sentencepiece_vocabulary()}) {
    const auto direct = tokenizer_from_gguf(v, "test");
    const Json json = Json::parse(tokenizer_json_from_gguf(v).dump(2), "tokenizer.json");
    const auto read = tokenizer_from_json(json, "tokenizer.json");
    for (const char* text :
         {"", "hello  hello 1212\n\n", "aaaaaaaaaaaaa<|im_start|> usus</s>", "<think>あé+🙂"}) {
      const EncodeOptions options{.add_special_tokens = true, .plain = {}};
      EXPECT_EQ(direct->encode(text, options).ids, read->encode(text, options).ids) << text;
    }
    EXPECT_EQ(direct->vocabulary_size(), read->vocabulary_size());
  }
}

TEST(GgufTokenizer, RefusesWhatIsUnknownOrInconsistent) {
  const auto refused = [](auto change, GgufVocabulary v = example_byte_level_vocabulary("smollm")) {
    change(v);
    EXPECT_THROW(tokenizer_from_gguf(v, "test"), InputError);
    EXPECT_THROW(tokenizer_from_json(tokenizer_json_from_gguf(v), "test"), InputError);
  };
  refused([](GgufVocabulary& v) { v.pre = "poro-chat"; });
  refused([](GgufVocabulary& v) { v.model = "bert"; });
  refused([](GgufVocabulary& v) { v.tokens.clear(); });
  refused([](GgufVocabulary& v) { v.token_types.pop_back(); });
  refused([](GgufVocabulary& v) { v.tokens[5] = v.tokens[6]; });
  refused([](GgufVocabulary& v) { v.tokens[5] = "\xFF"; });
  refused([](GgufVocabulary& v) { v.tokens[5] = std::string(1025, 'x'); });
  refused([](GgufVocabulary& v) { v.eos = std::int64_t(v.tokens.size()); });
  refused([](GgufVocabulary& v) { v.merges.push_back("Z Z"); });
  refused([](GgufVocabulary& v) { v.merges.push_back("a"); });
  refused([](GgufVocabulary& v) { v.scores.pop_back(); }, example_sentencepiece_vocabulary());
}

}  // namespace
}  // namespace elenchus
