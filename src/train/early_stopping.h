#pragma once
// Which evaluation was the best, and when to give up waiting for a better one.

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "train/training_config.h"

namespace elenchus {

/// Follows metric_for_best_model. Better is strictly better; patience counts evaluations that did
/// not improve on the best one by more than early_stopping_threshold.
class BestMetric {
 public:
  explicit BestMetric(const TrainingConfig& config);
  /// The key in an evaluation's values: "eval_loss".
  const std::string& key() const { return key_; }
  bool greater_is_better() const { return greater_is_better_; }
  /// UserError unless the metric is one of `names` (without "eval_").
  void check_known(std::span<const std::string> names) const;
  /// Whether `value`, measured at `step`, is the best so far. NaN never is.
  bool observe(std::int64_t step, double value);
  bool out_of_patience() const { return patience_ && without_better_ >= *patience_; }
  std::optional<double> best() const { return best_; }
  std::optional<std::int64_t> best_step() const { return best_step_; }
  std::int64_t evaluations_without_better() const { return without_better_; }
  void restore(std::optional<double> best, std::optional<std::int64_t> step,
               std::int64_t without_better);

 private:
  std::string key_;
  bool greater_is_better_;
  std::optional<int> patience_;
  double threshold_;
  std::optional<double> best_;
  std::optional<std::int64_t> best_step_;
  std::int64_t without_better_ = 0;
};

}  // namespace elenchus
