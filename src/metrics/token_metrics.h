#pragma once
// Metrics of the teacher-forced pass: sums over all targets, divided once.

#include "metrics/metric.h"

namespace elenchus {

/// exp(sum of nats / number of targets); 0 without targets.
class Perplexity final : public Metric {
 public:
  std::string_view name() const override { return "perplexity"; }
  MetricInput input() const override { return MetricInput::none; }
  bool greater_is_better() const override { return false; }
  void observe(const Prediction& prediction) override;
  double result() const override;
  void reset() override { nats_ = 0, targets_ = 0; }

 private:
  double nats_ = 0;
  std::int64_t targets_ = 0;
};

/// Targets that were the most likely token / targets; 0 without targets.
class TokenAccuracy final : public Metric {
 public:
  std::string_view name() const override { return "token_accuracy"; }
  MetricInput input() const override { return MetricInput::none; }
  void observe(const Prediction& prediction) override;
  double result() const override;
  void reset() override { correct_ = 0, targets_ = 0; }

 private:
  std::int64_t correct_ = 0, targets_ = 0;
};

}  // namespace elenchus
