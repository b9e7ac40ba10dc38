#include "train/evaluator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "train/toy_run_test.h"

namespace elenchus {
namespace {

/// Spells an id as a letter; ids above 25 are special.
class Letters : public Tokenizer {
 public:
  Encoding encode(std::string_view, const EncodeOptions&) const override { return {}; }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string out;
    for (const TokenId id : ids) out += char('a' + std::clamp(id, 0, 25));
    return out;
  }
  std::string piece_bytes(TokenId) const override { return {}; }
  std::int64_t vocabulary_size() const override { return 26; }
  std::optional<TokenId> id_of(std::string_view) const override { return std::nullopt; }
  std::string_view token_of(TokenId) const override { return {}; }
  bool is_special(TokenId) const override { return false; }
};

/// Counts what it sees.
class Length : public Metric {
 public:
  Length(std::string name, MetricInput input, std::vector<std::string>* seen)
      : name_(std::move(name)), input_(input), seen_(seen) {}
  std::string_view name() const override { return name_; }
  MetricInput input() const override { return input_; }
  void observe(const Prediction& prediction) override {
    sum_ += double(prediction.text.size());
    if (seen_) seen_->push_back(prediction.text + "|" + prediction.reference);
  }
  double result() const override { return sum_; }
  void reset() override { sum_ = 0; }

 private:
  std::string name_;
  MetricInput input_;
  std::vector<std::string>* seen_;
  double sum_ = 0;
};

struct Fixture {
  std::unique_ptr<Stream> stream = Stream::open({}, 1);
  Arena arena{*stream, 1 << 16};
  toy::Model model{*stream};
  toy::Batches batches{6, 4};
  Letters letters;
  std::vector<std::unique_ptr<Metric>> metrics;
  std::vector<CombinedMetric> combined;
  GenerateReplies generate;
  Evaluator make() {
    return Evaluator({.stream = *stream,
                      .arena = arena,
                      .model = model,
                      .batches = batches,
                      .tokenizer = &letters,
                      .metrics = std::move(metrics),
                      .combined = combined,
                      .generate = generate});
  }
};

TEST(Evaluator, LossIsTheMeanOverAllTargets) {
  Fixture f;
  double nats = 0, targets = 0, correct = 0;
  for (std::int64_t b = 0; b < f.batches.batches_per_epoch(); ++b) {
    const PackedBatch batch = f.batches.batch(0, b);
    for (std::size_t m = 0; m < batch.labels.size(); ++m) {
      const double p = f.model.predict(batch.tokens[std::size_t(batch.target_rows[m])]);
      nats += 0.5 * std::pow(p - batch.labels[m] * 0.1, 2);
      correct += std::lround(p * 10) == batch.labels[m];
      ++targets;
    }
  }
  const Evaluation found = f.make().evaluate();
  EXPECT_NEAR(found.values.at("eval_loss"), nats / targets, 1e-7);
  EXPECT_NEAR(found.values.at("eval_perplexity"), std::exp(nats / targets), 1e-6);
  EXPECT_NEAR(found.values.at("eval_mean_token_accuracy"), correct / targets, 1e-12);
  EXPECT_EQ(found.samples, 6);
  EXPECT_EQ(found.batches, 2);
}

TEST(Evaluator, MetricsSeeEachRowsOwnTexts) {
  Fixture f;
  std::vector<std::string> seen, replies;
  f.metrics.push_back(std::make_unique<Length>("forced", MetricInput::teacher_forced, &seen));
  f.metrics.push_back(std::make_unique<Length>("replied", MetricInput::generated, &replies));
  f.generate = [](std::span<const std::int64_t> rows) {
    std::vector<RowReply> out;
    for (const std::int64_t row : rows) out.push_back({cat("reply ", row), cat("answer ", row)});
    return out;
  };
  f.combined = {{"both", {{"forced", 0.5}, {"eval_loss", 2.0}}}};
  Evaluator evaluator = f.make();
  const Evaluation found = evaluator.evaluate();
  ASSERT_EQ(seen.size(), 6u);
  for (std::size_t row = 0; row < 6; ++row) {
    const std::size_t targets = 1 + row % 4;
    EXPECT_EQ(seen[row].size(), 2 * targets + 1);
    EXPECT_EQ(seen[row].substr(targets + 1, 1), std::string(1, char('a' + (row * 5 + 1) % 11)));
    EXPECT_EQ(replies[row], cat("reply ", row, "|answer ", row));
  }
  EXPECT_DOUBLE_EQ(found.values.at("eval_both"), 0.5 * found.values.at("eval_forced") +
                                                     2.0 * std::exp(-found.values.at("eval_loss")));
  EXPECT_EQ(evaluator.metric_names(), (std::vector<std::string>{"forced", "replied", "both"}));
  EXPECT_EQ(evaluator.evaluate().values.at("eval_forced"), found.values.at("eval_forced"));
}

TEST(Evaluator, StopsBetweenBatches) {
  Fixture f;
  const Evaluation found =
      f.make().evaluate([](std::int64_t done, std::int64_t) { return done < 1; });
  EXPECT_FALSE(found.complete);
  EXPECT_TRUE(found.values.empty());
}

TEST(Evaluator, AStopDuringTheLastRepliesLeavesNoResult) {
  Fixture f;
  bool asked = false;
  f.metrics.push_back(std::make_unique<Length>("replied", MetricInput::generated, nullptr));
  f.generate = [&](std::span<const std::int64_t> rows) {
    asked = asked || rows.back() == 5;  // the last row
    return std::vector<RowReply>(rows.size());
  };
  Evaluator evaluator = f.make();
  EXPECT_FALSE(evaluator.evaluate([&](std::int64_t, std::int64_t) { return !asked; }).complete);
  const Evaluation whole = evaluator.evaluate();
  EXPECT_TRUE(whole.complete);
  EXPECT_LE(whole.generating_seconds, whole.seconds);
}

TEST(Evaluator, RefusesMetricsThatCannotBeMeasured) {
  Fixture unknown;
  unknown.combined = {{"both", {{"style", 1.0}}}};
  EXPECT_THROW(unknown.make(), UserError);
  Fixture twice;
  for (int i = 0; i < 2; ++i)
    twice.metrics.push_back(std::make_unique<Length>("x", MetricInput::none, nullptr));
  EXPECT_THROW(twice.make(), UserError);
  Fixture taken;
  taken.metrics.push_back(std::make_unique<Length>("runtime", MetricInput::none, nullptr));
  EXPECT_THROW(taken.make(), UserError);
  Fixture no_generator;
  no_generator.metrics.push_back(std::make_unique<Length>("x", MetricInput::generated, nullptr));
  EXPECT_THROW(no_generator.make(), UserError);
}

}  // namespace
}  // namespace elenchus
