#pragma once
// Learning rate schedules, as transformers' get_scheduler computes them.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "train/training_config.h"

namespace elenchus {

/// The learning rate as a pure function of the number of updates done: nothing to save or restore.
class Schedule {
 public:
  /// Of lr_scheduler_type, lr_scheduler_kwargs, learning_rate and the warm-up. UserError: a name or
  /// an argument that is not known, or a value that makes no schedule.
  Schedule(const TrainingConfig& config, std::int64_t total_steps);
  /// The rate of the update that follows `updates` earlier ones: the first runs at lr(0).
  double lr(std::int64_t updates) const { return peak_ * factor_(updates); }
  std::int64_t warmup_steps() const { return warmup_steps_; }
  /// One line for the start of a run: "cosine, 300 steps, 75 of them warm-up, peak 8e-05, last 0".
  std::string describe() const;
  /// What the user should know of this schedule: that one restart cycle restarts nothing.
  std::optional<std::string> warning() const;

 private:
  std::string name_;
  double peak_;
  std::int64_t total_steps_;
  std::int64_t warmup_steps_;
  double cycles_ = 0;  // of cosine_with_restarts
  std::function<double(std::int64_t)> factor_;
};

/// Steps of warm-up: warmup_steps if it is at least 1, else that share, or warmup_ratio, of all
/// steps, rounded up.
std::int64_t warmup_steps_of(const TrainingConfig& config, std::int64_t total_steps);

}  // namespace elenchus
