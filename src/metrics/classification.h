#pragma once
// Metrics of classifiers. All of them use log-probabilities and the true class of each row.

#include <array>
#include <string>

#include "metrics/confusion.h"
#include "metrics/metric.h"

namespace elenchus {

/// Counts classes; what is made of the counts is its subclasses' affair. NaN if a score is NaN: no
/// class is the most likely one then.
class CountingMetric : public Metric {
 public:
  MetricInput input() const override { return MetricInput::none; }
  void observe(const Prediction& prediction) final;
  double result() const final;
  void reset() final;

 protected:
  /// The metric of the rows counted, of which there may be none.
  virtual double of(const ConfusionMatrix& matrix) const = 0;

 private:
  ConfusionMatrix matrix_;
  bool unknown_ = false;  // a row had no most likely class
};

/// Share of rows whose most likely class is the true one.
class Accuracy final : public CountingMetric {
 public:
  std::string_view name() const override { return "accuracy"; }

 private:
  double of(const ConfusionMatrix& matrix) const override;
};

/// Mean recall of the classes that have rows (scikit-learn's balanced_accuracy_score).
class BalancedAccuracy final : public CountingMetric {
 public:
  std::string_view name() const override { return "balanced_accuracy"; }

 private:
  double of(const ConfusionMatrix& matrix) const override;
};

/// Mean F1 of the classes that have rows or predictions (scikit-learn's f1_score(average="macro")).
class MacroF1 final : public CountingMetric {
 public:
  std::string_view name() const override { return "macro_f1"; }

 private:
  double of(const ConfusionMatrix& matrix) const override;
};

/// Mean of -log p(true class), each at most -log of f64's epsilon (scikit-learn's log_loss).
class LogLoss final : public Metric {
 public:
  std::string_view name() const override { return "log_loss"; }
  MetricInput input() const override { return MetricInput::none; }
  bool greater_is_better() const override { return false; }
  void observe(const Prediction& prediction) override;
  double result() const override { return rows_ > 0 ? nats_ / double(rows_) : 0; }
  void reset() override { nats_ = 0, rows_ = 0; }

 private:
  double nats_ = 0;
  std::int64_t rows_ = 0;
};

/// Expected calibration error: rows in 15 bins of equal width by the probability of their most
/// likely class; mean over rows of |accuracy - mean probability| of their bin. Guo et al. 2017,
/// arXiv:1706.04599.
class CalibrationError final : public Metric {
 public:
  std::string_view name() const override { return "ece"; }
  MetricInput input() const override { return MetricInput::none; }
  bool greater_is_better() const override { return false; }
  void observe(const Prediction& prediction) override;
  double result() const override;
  void reset() override { bins_ = {}; }

 private:
  struct Bin {
    double confidence = 0;
    std::int64_t right = 0, rows = 0;
  };
  std::array<Bin, 15> bins_;
};

/// The class of the highest log-probability; the first of equal ones. None of them may be NaN.
std::int64_t best_class(const Prediction& prediction);

}  // namespace elenchus
