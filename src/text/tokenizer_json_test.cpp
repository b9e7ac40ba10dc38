#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <functional>

#include "base/error.h"
#include "base/rng.h"
#include "testing/fuzz_replay.h"
#include "text/example_vocabulary.h"
#include "text/tokenizer_fuzz.h"

namespace elenchus {
namespace {

Json small() {
  return Json::parse(R"({"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 0, "content": "<s>", "special": true}, {"id": 9, "content": "<x>"}],
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
    "model": {"type": "BPE", "unk_token": "<s>", "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3},
      "merges": ["a b"]}})",
                     "small");
}

/// `small()` with the value at `path` (keys, or indices as text) replaced.
Json with(std::vector<std::string> path, const char* value) {
  Json json = small();
  Json* at = &json;
  for (std::size_t i = 0; i + 1 < path.size(); ++i)
    at = at->is_array() ? &at->array()[std::size_t(std::stoi(path[i]))]
                        : const_cast<Json*>(at->find(path[i]));
  Json parsed = Json::parse(value, "value");
  if (at->is_array())
    at->array()[std::size_t(std::stoi(path.back()))] = std::move(parsed);
  else
    at->set(path.back(), std::move(parsed));
  return json;
}

std::string refusal(const Json& json) {
  try {
    tokenizer_from_json(json, "tokenizer.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TokenizerJson, ReadsASmallOne) {
  const auto tokenizer = tokenizer_from_json(small(), "small");
  const Encoding encoding = tokenizer->encode("ab<x>a", {.add_special_tokens = true, .plain = {}});
  EXPECT_EQ(encoding.ids, (std::vector<TokenId>{0, 3, 9, 1}));
  EXPECT_EQ(encoding.offsets, (std::vector<std::size_t>{0, 0, 2, 5}));
  EXPECT_EQ(tokenizer->vocabulary_size(), 10);
  EXPECT_EQ(tokenizer->id_of("ab"), 3);
  EXPECT_EQ(tokenizer->id_of("<x>"), 9);
  EXPECT_EQ(tokenizer->id_of("zz"), std::nullopt);
  EXPECT_EQ(tokenizer->token_of(3), "ab");
  EXPECT_EQ(tokenizer->token_of(5), "");
  EXPECT_THROW(tokenizer->token_of(10), InputError);
  EXPECT_THROW(tokenizer->token_of(-1), InputError);
  const TokenId padding[] = {3, 10, 1}, negative[] = {3, -1};
  EXPECT_EQ(tokenizer->decode(padding, false),
            tokenizer->decode(std::vector<TokenId>{3, 1}, false));
  EXPECT_EQ(tokenizer->piece_bytes(10), "");
  EXPECT_THROW(tokenizer->decode(negative, false), InputError);
  EXPECT_THROW(tokenizer->encode("a\xFF"), InputError);
}

TEST(TokenizerJson, MergesNeverReachAControlTokenThatIsNotCalledSpecial) {
  Json json = with({"added_tokens", "1"}, R"({"id": 6, "content": "<|>", "special": false})");
  Json* const model = const_cast<Json*>(json.find("model"));
  model->set("vocab", Json::parse(R"({"<s>": 0, "<|": 3, ">": 4, "<": 1, "|": 2, "<|>": 6})", "v"));
  model->set("merges", Json::parse(R"(["< |", "<| >"])", "m"));
  const auto tokenizer = tokenizer_from_json(json, "small");
  const TextRange all = {0, 3};
  EXPECT_EQ(
      tokenizer->encode("<|>", {.add_special_tokens = false, .plain = std::span(&all, 1)}).ids,
      (std::vector<TokenId>{3, 4}));
  EXPECT_EQ(tokenizer->encode("<|>", {.add_special_tokens = false, .plain = {}}).ids,
            std::vector<TokenId>{6});
}

TEST(TokenizerJson, NamesWhatItRefuses) {
  struct Case {
    std::vector<std::string> path;
    const char* value;
    const char* expected;  // part of the message
  };
  const Case cases[] = {
      {{"extra"}, "1", "key \"extra\""},
      {{"model", "type"}, R"("Unigram")", "Unigram"},
      {{"model", "dropout"}, "0.1", "dropout"},
      {{"model", "continuing_subword_prefix"}, R"("##")", "continuing_subword_prefix"},
      {{"model", "end_of_word_suffix"}, R"("</w>")", "end_of_word_suffix"},
      {{"model", "new_option"}, "true", "new_option"},
      {{"model", "unk_token"}, R"("<unk>")", "<unk>"},
      {{"model", "vocab"}, "{}", "vocab"},
      {{"model", "vocab"}, R"({"a": 1, "b": 1})", "id 1"},
      {{"model", "vocab"}, R"({"a": -1})", "id -1"},
      {{"model", "vocab"}, R"({"a": 16777216})", "16777216"},
      {{"model", "vocab"}, R"({"a": 1.5})", "integer"},
      {{"model", "vocab"}, R"({"": 1})", "empty"},
      {{"model", "merges"}, R"(["a b c"])", "merges[0]"},
      {{"model", "merges"}, R"(["ab"])", "merges[0]"},
      {{"model", "merges"}, R"([["a"]])", "merges[0]"},
      {{"model", "merges"}, R"([["a", "z"]])", "\"z\""},
      {{"model", "merges"}, R"([["b", "a"]])", "\"ba\""},
      {{"added_tokens", "1", "id"}, "3", "<x>"},
      {{"added_tokens", "0", "id"}, "7", "<s>"},
      {{"added_tokens", "1", "content"}, R"("<s>")", "<s>"},
      {{"added_tokens", "1", "sticky"}, "true", "sticky"},
      {{"normalizer"}, R"({"type": "Precompiled"})", "Precompiled"},
      {{"pre_tokenizer"}, R"({"type": "BertPreTokenizer"})", "BertPreTokenizer"},
      {{"decoder"}, R"({"type": "WordPiece"})", "WordPiece"},
      {{"decoder"}, R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})", "-1"},
      {{"post_processor"}, R"({"type": "RobertaProcessing"})", "RobertaProcessing"},
      {{"post_processor", "single"}, "[]", "single"},
      {{"post_processor", "special_tokens"}, "{}", "<s>"},
      {{"post_processor", "special_tokens"}, R"({"<s>": {"ids": [8]}})", "8"},
  };
  for (const auto& [path, value, expected] : cases) {
    const std::string message = refusal(with(path, value));
    EXPECT_NE(message.find(expected), message.npos)
        << path.back() << ' ' << value << ": " << message;
    EXPECT_NE(message.find("tokenizer.json"), message.npos) << message;
  }
  EXPECT_NE(refusal(Json(Json::Object{{"model", Json(std::string(3, 'x'))}})), "accepted");
  EXPECT_NE(refusal(Json()), "accepted");
}

TEST(TokenizerJson, RefusesOverlongTokens) {
  const std::string vocab = "{\"" + std::string(1025, 'x') + "\": 0}";
  EXPECT_NE(refusal(with({"model", "vocab"}, vocab.c_str())).find("1025"), std::string::npos);
}

/// Runs `work` in a thread with a small stack.
void in_small_stack(const std::function<void()>& work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 << 10), 0);
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work)),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  const auto began = std::chrono::steady_clock::now();
  check_encoding(tokenizer, text);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

TEST(Tokenizer, TakesPathologicalTextInASmallStackAndLinearTime) {
  const auto byte_level = tokenizer_from_gguf(example_byte_level_vocabulary("qwen2"), "test");
  const auto sentencepiece = tokenizer_from_gguf(example_sentencepiece_vocabulary(), "test");
  for (const std::string unit :
       {"a", " ", "\n", "us", "7", "あ", "\u0301", "\u0323\u0301", "👩\u200d", "<|", "▁"}) {
    std::string text;
    while (text.size() < (256u << 10)) text += unit;
    in_small_stack([&] {
      // Far above what it takes, far below what quadratic time would.
      EXPECT_LT(seconds_to_encode(*byte_level, text), 10) << printable(unit);
      EXPECT_LT(seconds_to_encode(*sentencepiece, text), 10) << printable(unit);
    });
  }
  in_small_stack(
      [&] { EXPECT_LT(seconds_to_encode(*byte_level, std::string(256 << 10, '\0')), 10); });
}

TEST(Tokenizer, GivesRandomTextBack) {
  const auto byte_level = tokenizer_from_gguf(example_byte_level_vocabulary("smollm"), "test");
  const auto sentencepiece = tokenizer_from_gguf(example_sentencepiece_vocabulary(), "test");
  for (std::uint32_t i = 0; i < 300; ++i) {
    const RandomKey random{.seed = 3, .use = RandomUse::test, .step = i, .site = 0};
    std::string text;
    for (std::uint32_t n = random.below(0, 30), k = 1; k <= n; ++k)
      text += std::array{"a",  " ", "hello", "us", "1", "あ", "<s>", "<|im_start|>",
                         "\n", "é", "🙂"}[random.below(k, 11)];
    for (const Tokenizer* tokenizer : {byte_level.get(), sentencepiece.get()})
      check_tokenize(*tokenizer, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  }
}

TEST(Tokenizer, KeepsCorpora) {
  const int files = replay_corpus("tokenizer_load", check_tokenizer_json);
  const auto byte_level = tokenizer_from_gguf(example_byte_level_vocabulary("llama-bpe"), "test");
  const auto sentencepiece = tokenizer_from_gguf(example_sentencepiece_vocabulary(), "test");
  const int texts = replay_corpus("tokenize", [&](const std::uint8_t* bytes, std::size_t size) {
    check_tokenize(*byte_level, bytes, size);
    check_tokenize(*sentencepiece, bytes, size);
  });
  if (files + texts == 0) GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
}

}  // namespace
}  // namespace elenchus
