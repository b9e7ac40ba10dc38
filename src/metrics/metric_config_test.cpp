#include "metrics/metric_config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace elenchus {
namespace {

MetricSet set_of(const std::string& json) { return make_metrics(Json::parse(json, "test")); }

std::string failure(const std::string& json) {
  try {
    set_of(json);
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

double value_of(const std::string& json, const std::vector<Prediction>& seen) {
  const MetricSet set = set_of("[" + json + "]");
  for (const Prediction& each : seen) set.metrics.at(0)->observe(each);
  return set.metrics.at(0)->result();
}

Prediction said(std::string text, std::string reference = "") {
  Prediction prediction;
  prediction.text = std::move(text);
  prediction.reference = std::move(reference);
  return prediction;
}

TEST(MetricConfig, MeasuresTexts) {
  EXPECT_DOUBLE_EQ(value_of(R"("distinct_n")", {said("a b a b"), said("a b")}), 2.0 / 4);
  EXPECT_DOUBLE_EQ(value_of(R"({"distinct_n": {"n": 1, "unit": "character"}})", {said("一 一二")}),
                   2.0 / 3);
  EXPECT_DOUBLE_EQ(value_of(R"("reply_length")", {said("a bc d"), said("")}), 1.5);
  EXPECT_DOUBLE_EQ(value_of(R"("exact_match")", {said(" a\n", "a"), said("b", "a")}), 0.5);
  EXPECT_DOUBLE_EQ(value_of(R"({"regex_match": {"pattern": "\\?$"}})", {said("a?"), said("?b")}),
                   0.5);
}

TEST(MetricConfig, JapaneseSpacesAreSpaces) {
  EXPECT_DOUBLE_EQ(value_of(R"("reply_length")", {said("一　二")}), 2);
  EXPECT_DOUBLE_EQ(value_of(R"({"reply_length": {"unit": "character"}})", {said("一　二")}), 2);
  EXPECT_DOUBLE_EQ(value_of(R"("exact_match")", {said("　一　", "一")}), 1);
}

TEST(MetricConfig, MeasuresTokensAsSums) {
  Prediction one, two;
  one.loss_nats = 3, one.targets = 1, one.correct = 1;
  two.loss_nats = 1, two.targets = 3, two.correct = 1;
  EXPECT_DOUBLE_EQ(value_of(R"("perplexity")", {one, two}), std::exp(1.0));
  EXPECT_DOUBLE_EQ(value_of(R"("token_accuracy")", {one, two}), 0.5);
  EXPECT_EQ(value_of(R"("perplexity")", {}), 0);
}

TEST(MetricConfig, RepliesFollowTheMetricThatSetsThem) {
  const std::string style =
      R"({"style": {"mode": "generate", "max_new_tokens": 7, "parts": [{"weight": 1, "any": ["x"]}]}})";
  for (const std::string& list :
       {"[\"distinct_n\", " + style + "]", "[" + style + ", \"distinct_n\"]"})
    EXPECT_EQ(set_of(list).replies->max_new_tokens, 7) << list;
}

TEST(MetricConfig, KnowsWhatMetricsLookAt) {
  const MetricSet set = set_of(R"(["loss", "token_accuracy",
    {"style": {"name": "a", "parts": [{"weight": 1, "any": ["x"]}]}},
    {"style": {"name": "b", "mode": "generate", "max_new_tokens": 7, "temperature": 0.5,
               "parts": [{"weight": 1, "any": ["x"]}]}}, "reply_length"])");
  ASSERT_EQ(set.metrics.size(), 4u);
  EXPECT_EQ(set.metrics[0]->input(), MetricInput::none);
  EXPECT_EQ(set.metrics[1]->input(), MetricInput::teacher_forced);
  EXPECT_EQ(set.metrics[2]->input(), MetricInput::generated);
  ASSERT_TRUE(set.replies);
  EXPECT_EQ(set.replies->max_new_tokens, 7);
  EXPECT_EQ(set.replies->temperature, 0.5);
  EXPECT_FALSE(set_of(R"(["perplexity"])").replies);
  EXPECT_TRUE(make_metrics(Json()).metrics.empty());
}

TEST(MetricConfig, CombinesMetrics) {
  const MetricSet set = set_of(R"(["token_accuracy",
    {"combined": {"name": "c", "weights": {"eval_token_accuracy": 0.7, "eval_loss": 0.3}}}])");
  ASSERT_EQ(set.combined.size(), 1u);
  const auto known = [](std::string_view name) -> std::optional<double> {
    if (name == "token_accuracy") return 0.5;
    return name == "eval_loss" ? std::optional(2.0) : std::nullopt;
  };
  EXPECT_DOUBLE_EQ(combine(set.combined[0], known), 0.7 * 0.5 + 0.3 * std::exp(-2.0));
  EXPECT_THROW(combine({"d", {{"unknown", 1}}}, known), UserError);
}

TEST(MetricConfig, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "expected a list"},
      {R"([5])", "metrics[0]: expected a name or a map with a single key"},
      {R"([{"style": {}, "b": {}}])", "several keys"},
      {R"(["stile"])", "did you mean style?"},
      {R"([{"style": 5}])", "expected a map of settings"},
      {R"([{"style": {}}])", "metrics[0].style.parts: expected a list"},
      {R"([{"style": {"parts": [{"any": ["x"]}]}}])", "parts[0].weight: missing"},
      {R"([{"style": {"parts": [{"weight": 1}]}}])", "parts[0].any: expected a list"},
      {R"([{"style": {"parts": [{"weight": 1, "any": [""]}]}}])", "any[0]: expected a text"},
      {R"([{"style": {"parts": [{"weight": 1, "any": [{"x": "y"}]}]}}])", "{start: TEXT}"},
      {R"([{"style": {"parts": [{"weight": "a", "any": ["x"]}]}}])", "expected a number"},
      {R"([{"style": {"parts": [{"weight": 1, "were": "end", "any": ["x"]}]}}])", "mean where"},
      {R"([{"style": {"parts": [{"weight": 1, "where": "top", "any": ["x"]}]}}])", "one of"},
      {R"([{"style": {"sentence_separator": "", "parts": []}}])", "not empty"},
      {R"([{"style": {"sentence_separator": [], "parts": []}}])", "at least one mark"},
      {R"([{"style": {"scope": "text", "sentence_separator": ".", "parts": []}}])", "scope"},
      {R"([{"distinct_n": {"n": 0}}])", "expected 1 to"},
      {R"([{"distinct_n": {"mode": "teacher_forced", "top_k": 3}}])", "need mode: generate"},
      {R"(["reply_length", "reply_length"])", "is taken"},
      {R"([{"reply_length": {"name": "a b"}}])", "without spaces"},
      {R"([{"reply_length": {"temperature": 1}}, {"exact_match": {"temperature": 2}}])", "agree"},
      {R"([{"regex_match": {}}])", "pattern: missing"},
      {R"([{"regex_match": {"pattern": "("}}])", "no regular expression"},
      {R"([{"combined": {}}])", "weights: expected a map"},
      {R"([{"combined": {"weights": {"x": 1}}}])", "neither eval_loss"},
      {R"([{"combined": {"weights": {"loss": "a"}}}])", "expected a number"},
  };
  for (const auto& [json, part] : cases)
    EXPECT_NE(failure(json).find(part), std::string::npos) << json << "\n" << failure(json);
}

}  // namespace
}  // namespace elenchus
