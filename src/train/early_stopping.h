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
  /// `lower_is_better`: metrics, without "eval_", of which less is better unless the recipe says
  /// otherwise.
  BestMetric(const TrainingConfig& config, std::span<const std::string> lower_is_better);
  /// The key in an evaluation's values: "eval_loss".
  const std::string& key() const { return key_; }
  /// The metric's name without "eval_".
  std::string name() const { return key_.substr(5); }
  bool greater_is_better() const { return greater_is_better_; }
  /// What is wrong with the direction that the recipe gives, if it is not the metric's own.
  std::optional<std::string> warning() const;
  /// UserError unless the metric is one of `names` (without "eval_").
  void check_known(std::span<const std::string> names) const;
  /// Whether `value`, measured at `step`, is the best so far. One that is not finite
  /// never is. A resumed run observes again what its log has.
  bool observe(std::int64_t step, double value);
  bool out_of_patience() const { return patience_ && without_better_ >= *patience_; }
  std::optional<double> best() const { return best_; }
  std::optional<std::int64_t> best_step() const { return best_step_; }

 private:
  std::string key_;
  bool by_nature_;  // whether more of the metric is better
  bool greater_is_better_;
  std::optional<int> patience_;
  double threshold_;
  std::optional<double> best_;
  std::optional<std::int64_t> best_step_;
  std::int64_t without_better_ = 0;
};

}  // namespace elenchus
