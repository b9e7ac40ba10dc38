#include "metrics/classification.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "metrics/metric_config.h"

namespace elenchus {
namespace {

Prediction row(std::initializer_list<double> probabilities, std::int64_t label) {
  Prediction out;
  for (const double p : probabilities) out.class_scores.push_back(float(std::log(p)));
  out.label = label;
  return out;
}

/// Six rows of four classes, the last of which no row has.
const std::vector<Prediction> kRows = {
    row({0.7, 0.1, 0.1, 0.1}, 0), row({0.2, 0.5, 0.2, 0.1}, 0),   row({0.25, 0.4, 0.3, 0.05}, 1),
    row({0.6, 0.2, 0.1, 0.1}, 1), row({0.1, 0.2, 0.65, 0.05}, 2), row({0.05, 0.9, 0.03, 0.02}, 1)};

double measured(Metric& metric) {
  metric.reset();
  for (const Prediction& prediction : kRows) metric.observe(prediction);
  return metric.result();
}

TEST(ClassMetrics, AreScikitLearns) {
  // accuracy_score, balanced_accuracy_score, f1_score(average="macro") and log_loss of the rows
  // above, computed with scikit-learn.
  Accuracy accuracy;
  BalancedAccuracy balanced;
  MacroF1 f1;
  LogLoss loss;
  EXPECT_NEAR(measured(accuracy), 4.0 / 6, 1e-12);
  EXPECT_NEAR(measured(balanced), (0.5 + 2.0 / 3 + 1) / 3, 1e-12);
  EXPECT_NEAR(measured(f1), (0.5 + 2.0 / 3 + 1) / 3, 1e-12);
  const double nats = -(std::log(0.7) + std::log(0.2) + std::log(0.4) + std::log(0.2) +
                        std::log(0.65) + std::log(0.9)) /
                      6;
  EXPECT_NEAR(measured(loss), nats, 1e-6);
}

TEST(ClassMetrics, CalibrationErrorIsTheMeanGapOfItsBins) {
  CalibrationError ece;
  // Bins of width 1/15: 0.7 | 0.5 | 0.4 (on its edge: the bin below) | 0.6 | 0.65 | 0.9, all alone
  // but none sharing: (0.3 + 0.5 + 0.6 + 0.6 + 0.35 + 0.1) / 6.
  EXPECT_NEAR(measured(ece), (0.3 + 0.5 + 0.6 + 0.6 + 0.35 + 0.1) / 6, 1e-6);
  ece.reset();
  for (int i = 0; i < 10; ++i) ece.observe(row({0.8, 0.2}, i < 8 ? 0 : 1));
  EXPECT_NEAR(ece.result(), 0, 1e-6);
  ece.reset();
  EXPECT_EQ(ece.result(), 0);
}

TEST(ClassMetrics, StayFiniteForACertainMistake) {
  LogLoss loss;
  Prediction wrong = row({1, 1}, 1);
  wrong.class_scores = {0, -1e30f};
  loss.observe(wrong);
  EXPECT_NEAR(loss.result(), 36.0437, 1e-3);
}

TEST(ClassMetrics, OfScoresThatAreNoNumbersAreNoNumbers) {
  Accuracy accuracy;
  BalancedAccuracy balanced;
  MacroF1 f1;
  LogLoss loss;
  CalibrationError ece;
  Prediction broken = row({0.5, 0.5}, 0);
  broken.class_scores[1] = std::numeric_limits<float>::quiet_NaN();
  Prediction wholly = broken;
  wholly.class_scores[0] = broken.class_scores[1];
  for (Metric* metric : std::initializer_list<Metric*>{&accuracy, &balanced, &f1, &loss, &ece}) {
    metric->observe(row({0.9, 0.1}, 0));
    metric->observe(wholly);
    metric->observe(row({0.9, 0.1}, 0));
    EXPECT_TRUE(std::isnan(metric->result())) << metric->name();
    metric->reset();
    metric->observe(row({0.9, 0.1}, 0));
    EXPECT_FALSE(std::isnan(metric->result())) << metric->name();
    if (metric == &loss) continue;  // it looks at the true class alone
    metric->observe(broken);
    EXPECT_TRUE(std::isnan(metric->result())) << metric->name();
  }
}

TEST(Confusion, CountsPrintsAndWrites) {
  ConfusionMatrix matrix(3);
  matrix.add(0, 0);
  matrix.add(0, 1);
  matrix.add(1, 1);
  const std::vector<std::string> names = {"cat", "dog", "LABEL_2"};
  const std::string text = confusion_text(matrix, names);
  EXPECT_NE(text.find("cat"), std::string::npos);
  EXPECT_EQ(text.find("LABEL_2"), std::string::npos) << text;
  const Json json = confusion_json(matrix, names);
  EXPECT_EQ(json.find("matrix")->dump(), "[[1, 1, 0], [0, 1, 0], [0, 0, 0]]");
  EXPECT_EQ(json.find("per_class")->find("dog")->find("precision")->as_number(""), 0.5);
  EXPECT_EQ(json.find("per_class")->find("LABEL_2")->find("f1")->as_number(""), 0);
}

TEST(ClassMetrics, AreAllMeasuredOfAClassifierAndNoneOfALanguageModel) {
  const Json list = Json::Array{
      Json("accuracy"),
      Json::Object{{"combined",
                    Json::Object{{"name", "both"},
                                 {"weights", Json::Object{{"accuracy", 1}, {"eval_loss", 1}}}}}}};
  const MetricSet set = make_metrics(list, "metrics", MetricTask::classes);
  EXPECT_EQ(set.metrics.size(), 5u);
  EXPECT_EQ(set.combined.size(), 1u);
  EXPECT_THROW(make_metrics(list), UserError);
  EXPECT_THROW(make_metrics(Json::Array{Json("perplexity")}, "metrics", MetricTask::classes),
               UserError);
  EXPECT_TRUE(make_metrics(Json()).metrics.empty());
}

}  // namespace
}  // namespace elenchus
