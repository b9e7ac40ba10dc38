#include "train/early_stopping.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

BestMetric::BestMetric(const TrainingConfig& config, std::span<const std::string> lower_is_better)
    : key_(config.metric_for_best_model.starts_with("eval_")
               ? config.metric_for_best_model
               : "eval_" + config.metric_for_best_model),
      by_nature_(std::ranges::find(lower_is_better, name()) == lower_is_better.end()),
      greater_is_better_(config.greater_is_better.value_or(by_nature_)),
      patience_(config.early_stopping_patience),
      threshold_(config.early_stopping_threshold) {
  if (patience_ && *patience_ < 1)
    throw UserError(cat("training.early_stopping_patience: found ", *patience_,
                        "; expected at least 1, or null for no early stopping"));
}

void BestMetric::check_known(std::span<const std::string> names) const {
  if (std::ranges::find(names, name()) != names.end()) return;
  std::string known;
  for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
  throw UserError(cat("training.metric_for_best_model: '", printable(name()),
                      "' is not measured in this run; measured are ", known));
}

std::optional<std::string> BestMetric::warning() const {
  if (greater_is_better_ == by_nature_) return std::nullopt;
  return cat("training.greater_is_better: ", greater_is_better_ ? "true" : "false",
             " chooses the model with the ", greater_is_better_ ? "highest " : "lowest ", key_,
             ", which is the worst one; leave it out to choose the best");
}

bool BestMetric::observe(std::int64_t step, double value) {
  const auto better = [&](double by) {
    if (!std::isfinite(value)) return false;
    if (!best_) return true;
    return greater_is_better_ ? value > *best_ + by : value < *best_ - by;
  };
  without_better_ = better(threshold_) ? 0 : without_better_ + 1;
  if (!better(0)) return false;
  best_ = value;
  best_step_ = step;
  return true;
}

}  // namespace elenchus
