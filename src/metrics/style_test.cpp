#include "metrics/style.h"

#include <gtest/gtest.h>

#include "metrics/metric_config.h"

namespace elenchus {
namespace {

std::unique_ptr<Metric> style_from(const std::string& json) {
  return std::move(make_metrics(Json::Array{Json::parse(json, "test")}).metrics.at(0));
}

double score_of(const std::string& json, std::vector<std::string> texts) {
  const auto metric = style_from(json);
  for (std::string& text : texts) {
    Prediction prediction;
    prediction.text = std::move(text);
    metric->observe(prediction);
  }
  return metric->result();
}

// The recipe of shared interface: the scores below are worked out by hand from its last paragraph.
constexpr const char* kJapanese =
    R"({"style": {"name": "socratic_style", "sentence_separator": "。",
  "parts": [{"weight": 0.60, "where": "end", "any": ["かね", "だろうか", "ではないかね"]},
            {"weight": 0.25, "where": "anywhere", "any": ["君は", "君が", "君の"]},
            {"weight": 0.15, "where": "anywhere", "any": ["では", "について"]}]}})";

TEST(Style, ScoresSentencesAsTheRecipeSays) {
  EXPECT_DOUBLE_EQ(score_of(kJapanese, {"君はそう思うかね。"}), 0.85);
  // Its second sentence matches "では" within "ではないかね", too.
  EXPECT_DOUBLE_EQ(score_of(kJapanese, {"そうだ。それは徳ではないかね。"}), (0 + 0.75) / 2);
  // Nothing is trimmed: what ends with a space does not end with the pattern.
  EXPECT_DOUBLE_EQ(score_of(kJapanese, {"そうかね 。"}), 0);
  EXPECT_DOUBLE_EQ(score_of(kJapanese, {"", " 。\n。", "かね"}), 0.6 / 3);
  EXPECT_DOUBLE_EQ(score_of(kJapanese, {}), 0);
}

constexpr const char* kEnglish = R"({"style": {"scope": "text",
  "parts": [{"weight": 0.60, "where": "end", "any": ["?"]},
            {"weight": 0.25, "whole_word": true, "case_insensitive": true,
             "any": ["you", "my friend"]},
            {"weight": 0.15, "whole_word": true, "where": "start",
             "any": ["Then", "Consider", "Suppose", {"anywhere": "But tell me"}]}]}})";

TEST(Style, ScoresWholeTexts) {
  EXPECT_DOUBLE_EQ(score_of(kEnglish, {"Then are You sure? \n"}), 1.0);
  EXPECT_DOUBLE_EQ(score_of(kEnglish, {"Thence your youth."}), 0);
  EXPECT_DOUBLE_EQ(score_of(kEnglish, {"I see. But tell me more, my friend."}), 0.4);
  EXPECT_DOUBLE_EQ(score_of(kEnglish, {"Is it? No."}), 0);
}

TEST(Style, SplitsAfterMarks) {
  const SentenceRule rule = SentenceMarks{{".", "?", "!", "。"}};
  EXPECT_EQ(split_sentences(" It is 3.5 m... Is it?! \"Yes.\" 一。二", rule),
            (std::vector<std::string_view>{"It is 3.5 m...", "Is it?!", "\"Yes.", "一。", "二"}));
  EXPECT_EQ(split_sentences("The U.S.'s self.__init__ is called.", rule),
            (std::vector<std::string_view>{"The U.S.'s self.__init__ is called."}));
  EXPECT_EQ(split_sentences("**Why?** He asked \"why?\" 「なぜ。」 (So.)", rule),
            (std::vector<std::string_view>{"**Why?", "He asked \"why?", "「なぜ。", "(So."}));
  EXPECT_TRUE(split_sentences(" \n", rule).empty());
}

TEST(Style, SplitsAtASeparatorAsPythonDoes) {
  EXPECT_EQ(split_sentences("a. b.. c", SentenceSeparator{"."}),
            (std::vector<std::string_view>{"a", " b", " c"}));
}

TEST(Style, ResetForgets) {
  const auto metric = style_from(kEnglish);
  Prediction prediction;
  prediction.text = "Why?";
  metric->observe(prediction);
  metric->reset();
  EXPECT_EQ(metric->result(), 0);
}

}  // namespace
}  // namespace elenchus
