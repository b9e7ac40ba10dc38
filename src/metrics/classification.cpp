#include "metrics/classification.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace elenchus {
namespace {

void expect_classes(const Prediction& prediction) {
  expect(!prediction.class_scores.empty(), "a metric of classes was asked about text");
}

bool has_nan(const std::vector<float>& scores) {
  return std::ranges::any_of(scores, [](float score) { return std::isnan(score); });
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

std::int64_t best_class(const Prediction& prediction) {
  const std::vector<float>& scores = prediction.class_scores;
  return std::ranges::max_element(scores) - scores.begin();
}

void CountingMetric::observe(const Prediction& prediction) {
  expect_classes(prediction);
  if (matrix_.empty()) matrix_ = ConfusionMatrix(prediction.class_scores.size());
  if (has_nan(prediction.class_scores))
    unknown_ = true;
  else
    matrix_.add(prediction.label, best_class(prediction));
}

double CountingMetric::result() const { return unknown_ ? kNaN : of(matrix_); }

void CountingMetric::reset() {
  matrix_ = ConfusionMatrix();
  unknown_ = false;
}

double Accuracy::of(const ConfusionMatrix& matrix) const {
  std::int64_t right = 0, rows = 0;
  for (std::size_t i = 0; i < matrix.classes(); ++i) {
    right += matrix.count(i, i);
    rows += matrix.of_label(i);
  }
  return rows > 0 ? double(right) / double(rows) : 0;
}

double BalancedAccuracy::of(const ConfusionMatrix& matrix) const {
  double sum = 0;
  int classes = 0;
  for (std::size_t i = 0; i < matrix.classes(); ++i) {
    if (matrix.of_label(i) == 0) continue;
    sum += matrix.recall(i);
    ++classes;
  }
  return classes > 0 ? sum / classes : 0;
}

double MacroF1::of(const ConfusionMatrix& matrix) const {
  double sum = 0;
  int classes = 0;
  for (std::size_t i = 0; i < matrix.classes(); ++i) {
    if (matrix.of_label(i) + matrix.of_prediction(i) == 0) continue;
    sum += matrix.f1(i);
    ++classes;
  }
  return classes > 0 ? sum / classes : 0;
}

void LogLoss::observe(const Prediction& prediction) {
  expect_classes(prediction);
  const double most = -std::log(std::numeric_limits<double>::epsilon());
  const double nats = -double(prediction.class_scores[std::size_t(prediction.label)]);
  nats_ += std::isnan(nats) ? nats : std::min(most, nats);
  ++rows_;
}

void CalibrationError::observe(const Prediction& prediction) {
  expect_classes(prediction);
  if (has_nan(prediction.class_scores)) {
    bins_[0].confidence = kNaN;
    return;
  }
  const std::int64_t best = best_class(prediction);
  const double p = std::exp(double(prediction.class_scores[std::size_t(best)]));
  const double place = std::ceil(p * double(bins_.size())) - 1;
  Bin& bin = bins_[std::size_t(std::clamp(place, 0.0, double(bins_.size() - 1)))];
  bin.confidence += p;
  bin.right += best == prediction.label;
  ++bin.rows;
}

double CalibrationError::result() const {
  double gaps = 0;
  std::int64_t rows = 0;
  for (const Bin& bin : bins_) {
    gaps += std::abs(double(bin.right) - bin.confidence);
    rows += bin.rows;
  }
  return rows > 0 ? gaps / double(rows) : gaps;
}

}  // namespace elenchus
