#include "jobs/class_probabilities.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace elenchus {
namespace {

const std::vector<ClassName> kThree = {{"a", true}, {"b", true}, {"tie", true}};
const std::vector<ClassName> kFourth = {
    {"a", true}, {"b", true}, {"tie", true}, {"LABEL_3", false}};

std::vector<TokenizedRow> rows_with_labels(std::initializer_list<std::int64_t> labels) {
  std::vector<TokenizedRow> rows;
  for (const std::int64_t label : labels) rows.emplace_back().label = label;
  return rows;
}

TEST(ClassProbabilities, AreTheSoftmaxOfTheNamedClasses) {
  // e^0 : e^1 : e^2 = 1 : 2.71828 : 7.38906, their sum 11.10734.
  const std::vector<float> scores = {0, 1, 2};
  const std::vector<double> p = class_probabilities(scores, kThree, 1);
  EXPECT_NEAR(p[0], 0.09003057, 1e-8);
  EXPECT_NEAR(p[1], 0.24472847, 1e-8);
  EXPECT_NEAR(p[2], 0.66524096, 1e-8);
  // At temperature 2: e^0 : e^0.5 : e^1 = 1 : 1.648721 : 2.718282, their sum 5.367003.
  EXPECT_NEAR(class_probabilities(scores, kThree, 2)[2], 0.50648039, 1e-8);
  // A class without a name has no share, however high its score.
  const std::vector<double> q = class_probabilities(std::vector<float>{0, 1, 2, 50}, kFourth, 1);
  EXPECT_EQ(q[3], 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(q[std::size_t(i)], p[std::size_t(i)]);
}

TEST(ClassProbabilities, SumToOneForEveryScore) {
  for (const float scale : {1e-6f, 1.0f, 300.0f, 1e30f}) {
    const std::vector<float> scores = {scale, -scale, 0.5f * scale};
    for (const double temperature : {0.05, 1.0, 20.0}) {
      const std::vector<double> p = class_probabilities(scores, kThree, temperature);
      EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), 1, 1e-15);
      for (const double each : p) EXPECT_GE(each, 0);
    }
  }
}

TEST(ClassProbabilities, OfBothOrdersAreAveragedWithTheAnswersBackInTheirPlaces) {
  const std::vector<double> p = averaged_orders({0.5, 0.3, 0.2}, {0.1, 0.7, 0.2});
  EXPECT_NEAR(p[0], 0.6, 1e-15);
  EXPECT_NEAR(p[1], 0.2, 1e-15);
  EXPECT_NEAR(p[2], 0.2, 1e-15);
}

TEST(FittedTemperature, IsTheOneWhoseProbabilitiesAreTheSharesOfTheRows) {
  // Two classes 3 apart; 3 of 4 rows are right. The loss is least where sigmoid(3 / T) = 3/4, so at
  // T = 3 / log(3), and is there the entropy of 3/4.
  const std::vector<ClassName> two = {{"no", true}, {"yes", true}};
  const ClassScores scores(4, {0, 3});
  const std::vector<TokenizedRow> rows = rows_with_labels({1, 1, 0, 1});
  const double temperature = fitted_temperature(scores, rows, two);
  EXPECT_NEAR(temperature, 3 / std::log(3.0), 1e-6);
  EXPECT_NEAR(mean_log_loss(scores, rows, two, temperature),
              -(0.75 * std::log(0.75) + 0.25 * std::log(0.25)), 1e-12);
  EXPECT_NEAR(mean_log_loss(scores, rows, two, 1), std::log(1 + std::exp(-3.0)) + 0.25 * 3, 1e-12);
}

TEST(FittedTemperature, StaysWithinItsBoundsWhereEveryRowIsRightOrNone) {
  const std::vector<ClassName> two = {{"no", true}, {"yes", true}};
  const ClassScores scores(2, {0, 1});
  EXPECT_NEAR(fitted_temperature(scores, rows_with_labels({1, 1}), two), kLeastTemperature, 1e-6);
  EXPECT_NEAR(fitted_temperature(scores, rows_with_labels({0, 0}), two), kLargestTemperature, 1e-4);
}

TEST(ProbabilitiesCsv, HasALineARowUnderTheNamedClasses) {
  const double p = 1 / (1 + std::exp(-1.0));
  const std::vector<ClassName> classes = {{"has, comma", true}, {"b", true}, {"LABEL_2", false}};
  const std::string text =
      probabilities_csv({.ids = {"7", "x\"y"}, .scores = {{1, 0, 9}, {2, 2, 0}}}, classes, 1);
  const std::string header = "id,\"has, comma\",b\n", last = "\"x\"\"y\",0.5,0.5\n";
  EXPECT_TRUE(text.starts_with(header + "7,")) << text;
  EXPECT_TRUE(text.ends_with(last)) << text;
  EXPECT_NEAR(std::stod(text.substr(header.size() + 2)), p, 1e-15);
  EXPECT_EQ(
      probabilities_csv({.ids = {"0"}, .scores = {{1, 0, 0}}, .swapped = {{0, 1, 0}}}, classes, 1)
          .substr(header.size()),
      probabilities_csv({.ids = {"0"}, .scores = {{1, 0, 0}}}, classes, 1).substr(header.size()));
}

TEST(LengthBatches, HoldEveryRowOnceLongestFirst) {
  std::vector<TokenizedRow> rows(7);
  const std::size_t lengths[] = {3, 9, 1, 9, 4, 2, 7};
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].ids.resize(lengths[i]);
  const LengthBatches batches(rows, 3);
  ASSERT_EQ(batches.count(), 3u);
  std::vector<std::size_t> order;
  for (std::size_t batch = 0; batch < batches.count(); ++batch)
    for (const std::size_t row : batches.rows(batch)) order.push_back(row);
  EXPECT_EQ(order, (std::vector<std::size_t>{1, 3, 6, 4, 0, 5, 2}));
  EXPECT_EQ(batches.rows(2).size(), 1u);
  EXPECT_EQ(LengthBatches({}, 3).count(), 0u);
}

}  // namespace
}  // namespace elenchus
