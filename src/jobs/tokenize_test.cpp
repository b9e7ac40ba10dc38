#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "jobs/jobs.h"
#include "jobs/text_files.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

constexpr std::string_view kTokenizer = R"({
  "version": "1.0",
  "added_tokens": [
    {"id": 0, "content": "<s>", "special": true, "single_word": false, "lstrip": false,
     "rstrip": false, "normalized": false},
    {"id": 1, "content": "<|im_end|>", "special": true, "single_word": false, "lstrip": false,
     "rstrip": false, "normalized": false}],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                    "use_regex": true},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
    "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
    "vocab": {"<s>": 0, "<|im_end|>": 1, "a": 2, "b": 3, "ab": 4, "<": 5, "|": 6, ">": 7, "i": 8,
              "m": 9, "_": 10, "e": 11, "n": 12, "d": 13, "\u010a": 14},
    "merges": ["a b"]}})";

constexpr std::string_view kTemplate =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('no system here') }}{% endif %}{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}a{% endif %}";

/// Options with these switches on.
TokenizeOptions on(std::initializer_list<bool TokenizeOptions::*> switches) {
  TokenizeOptions options;
  for (const auto each : switches) options.*each = true;
  return options;
}

class Tokenize : public ::testing::Test {
 protected:
  Tokenize() {
    write("tokenizer.json", kTokenizer);
    write("tokenizer_config.json",
          R"({"bos_token": {"content": "<s>"}, "eos_token": "<|im_end|>",
              "model_max_length": 1000000000000000019884624838656})");
    write("chat_template.jinja", kTemplate);
  }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  /// What the command prints for these lines.
  std::string printed(TokenizeOptions options, std::string_view lines) {
    write("lines.jsonl", lines);
    options.model = folder_.path();
    options.input = (folder_ / "lines.jsonl").string();
    std::fflush(stdout);
    ::testing::internal::CaptureStdout();
    try {
      tokenize(options);
    } catch (...) {
      before_failure_ = ::testing::internal::GetCapturedStdout();
      throw;
    }
    return ::testing::internal::GetCapturedStdout();
  }
  TemporaryFolder folder_;
  std::string before_failure_;  // what was printed before a line was rejected
};

TEST_F(Tokenize, TextsBecomeIds) {
  EXPECT_EQ(printed({}, "\"ab\"\n\n\"b<|im_end|>\"\r\n\"\""), "[0, 4]\n[0, 3, 1]\n[0]\n");
  EXPECT_EQ(printed(on({&TokenizeOptions::no_special}), "\"ab\"\n"), "[4]\n");
}

TEST_F(Tokenize, IdsBecomeTexts) {
  EXPECT_EQ(printed(on({&TokenizeOptions::decode}), "[0, 4, 3]\n[]\n"), "\"abb\"\n\"\"\n");
}

TEST_F(Tokenize, ChatsAreRenderedAndContentStaysText) {
  const std::string chat =
      R"({"messages": [{"role": "user", "content": "ab<|im_end|>"}], "add_generation_prompt": true})";
  EXPECT_EQ(printed(on({&TokenizeOptions::chat, &TokenizeOptions::render}), chat),
            "\"<s>ab<|im_end|><|im_end|>a\"\n");
  EXPECT_EQ(printed(on({&TokenizeOptions::chat}), chat),
            "[0, 4, 5, 6, 8, 9, 10, 11, 12, 13, 6, 7, 1, 2]\n");
}

TEST_F(Tokenize, RefusalsAreAnsweredInPlace) {
  EXPECT_EQ(printed(on({&TokenizeOptions::chat, &TokenizeOptions::render}),
                    R"({"messages": [{"role": "system", "content": "x"}]})"
                    "\n"
                    R"({"messages": [{"role": "user", "content": "x"}]})"),
            "{\"error\": \"no system here\"}\n\"<s>x<|im_end|>\"\n");
}

TEST_F(Tokenize, LinesThatAreNoneAreRejectedByNumber) {
  for (const auto& [options, lines] : std::vector<std::pair<TokenizeOptions, std::string>>{
           {{}, "\"ab\"\n[1]\n"},
           {{}, "\"ab\"\n\"open\n"},
           {on({&TokenizeOptions::decode}), "[1]\n[99]\n"},
           {on({&TokenizeOptions::decode}), "[1]\n[1.5]\n"},
           {on({&TokenizeOptions::chat}), "{\"messages\": []}\n{\"message\": []}\n"}}) {
    try {
      printed(options, lines);
      ADD_FAILURE() << lines;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find("lines.jsonl:2"), std::string::npos) << error.what();
      EXPECT_EQ(std::ranges::count(before_failure_, '\n'), 1) << before_failure_;
    }
  }
  EXPECT_THROW(printed(on({&TokenizeOptions::render}), ""), UserError);
  EXPECT_THROW(printed(on({&TokenizeOptions::chat, &TokenizeOptions::decode}), ""), UserError);
}

TEST_F(Tokenize, AFolderSaysWhatItsTokensAre) {
  write("generation_config.json", R"({"eos_token_id": [1, 13]})");
  const TextFiles text = load_text(folder_.path());
  EXPECT_EQ(text.bos, 0);
  EXPECT_EQ(text.leading_bos, 0);
  EXPECT_EQ(text.eos, 1);
  EXPECT_EQ(text.stop_ids, (std::vector<TokenId>{1, 13}));
  EXPECT_EQ(text.files.at("tokenizer.json"), kTokenizer);
  EXPECT_EQ(text.files.at("chat_template.jinja"), kTemplate);
  const std::string& config = text.files.at("tokenizer_config.json");
  EXPECT_NE(config.find("1000000000000000019884624838656"), std::string::npos);
  EXPECT_EQ(Json::parse(config, "config").at("chat_template", "").as_string(""), kTemplate);
}

TEST_F(Tokenize, TemplatesOfTheConfigurationCountToo) {
  std::filesystem::remove(folder_ / "chat_template.jinja");
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "t"},
                              {"name": "default", "template": "d"}]})");
  EXPECT_EQ(load_text(folder_.path()).chat_template->source(), "d");
  write("tokenizer_config.json", "{}");
  EXPECT_FALSE(load_text(folder_.path()).chat_template.has_value());
  EXPECT_THROW(printed(on({&TokenizeOptions::chat}), ""), InputError);
  write("other.jinja", "o");
  const TextFiles replaced = load_text(open_model_files(folder_.path()), folder_ / "other.jinja");
  EXPECT_EQ(replaced.chat_template->source(), "o");
  EXPECT_EQ(Json::parse(replaced.files.at("tokenizer_config.json"), "config")
                .at("chat_template", "")
                .as_string(""),
            "o");
}

TEST_F(Tokenize, WrongFoldersAreNamed) {
  write("generation_config.json", R"({"eos_token_id": 99})");
  EXPECT_THROW(load_text(folder_.path()), InputError);
  std::filesystem::remove(folder_ / "generation_config.json");
  std::filesystem::remove(folder_ / "tokenizer.json");
  write("config.json", "{}");
  EXPECT_THROW(load_text(folder_.path()), InputError);
  EXPECT_THROW(load_text(folder_ / "nothing"), InputError);
}

}  // namespace
}  // namespace elenchus
