// Tokenizers made by Hugging Face's `tokenizers`, and real ones where they are at hand.

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "testing/fuzz_replay.h"
#include "text/tokenizer.h"

namespace elenchus {
namespace {

std::vector<TokenId> ids_in(const Json& ids) {
  std::vector<TokenId> out;
  for (const Json& id : ids.as_array("ids")) out.push_back(TokenId(id.as_integer("id")));
  return out;
}

class GoldenTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTokenizer, EncodesAndDecodesAsTheReferenceDoes) {
  const auto tests = tests_folder();
  if (!tests) GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
  const auto path = *tests / "golden" / "tokenizers" / (std::string(GetParam()) + ".json");
  const Json golden = Json::parse(read_text_file(path), path.string());
  const auto tokenizer = tokenizer_from_json(golden.at("tokenizer", "golden"), path.string());
  for (const Json& one : golden.at("cases", "golden").as_array("cases")) {
    const std::string& text = one.at("text", "case").as_string("text");
    SCOPED_TRACE(printable(text, 400));
    EXPECT_EQ(tokenizer->encode(text).ids, ids_in(one.at("ids", "case")));
    const Encoding whole = tokenizer->encode(text, {.add_special_tokens = true, .plain = {}});
    EXPECT_EQ(whole.ids, ids_in(one.at("ids_with_ends", "case")));
    EXPECT_EQ(tokenizer->decode(whole.ids, false), one.at("decoded", "case").as_string("text"));
    EXPECT_EQ(tokenizer->decode(whole.ids, true),
              one.at("decoded_without_special", "case").as_string("text"));
    ASSERT_EQ(whole.offsets.size(), whole.ids.size());
    EXPECT_TRUE(std::is_sorted(whole.offsets.begin(), whole.offsets.end()));
    for (const std::size_t offset : whole.offsets) EXPECT_LE(offset, text.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, GoldenTokenizer,
                         testing::Values("smollm", "llama3", "qwen", "deepseek", "sentencepiece",
                                         "gemma", "metaspace", "cuts"),
                         [](const auto& info) { return std::string(info.param); });

/// Unpacked beforehand (xz -dk): the tests do not read xz.
class RealTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(RealTokenizer, GivesTextBackFromItsIds) {
  const char* shared = std::getenv("ELENCHUS_SHARED");
  if (!shared)
    GTEST_SKIP() << "set ELENCHUS_SHARED to a folder with tokenizers/NAME/tokenizer.json";
  const auto path = std::filesystem::path(shared) / "tokenizers" / GetParam() / "tokenizer.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there; unpack it";
  const auto tokenizer =
      tokenizer_from_json(Json::parse(read_text_file(path), path.string()), path.string());
  for (const std::string text : {"Hello, world!", " It's 2024;  they'll\n\n\tcome. ",
                                 "吾輩は猫である。🙂 привет", "\x01 <x>"}) {
    const Encoding encoding = tokenizer->encode(text);
    EXPECT_EQ(tokenizer->decode(encoding.ids, false), text);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, RealTokenizer,
                         testing::Values("llama2", "llama3", "gemma2", "qwen3", "deepseek_v3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace elenchus
