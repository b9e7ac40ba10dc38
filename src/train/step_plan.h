#pragma once
// Which micro-batches make up which optimizer step, counted as transformers' Trainer counts.

#include <cstdint>
#include <string_view>

#include "train/training_config.h"

namespace elenchus {

/// Consecutive micro-batches of one epoch.
struct MicroBatchGroup {
  std::int64_t epoch = 0, first = 0, count = 0;
};

/// The arithmetic of epochs and steps. The last group of an epoch may be short: no step spans two
/// epochs.
struct StepPlan {
  std::int64_t batches_per_epoch = 0;
  std::int64_t accumulation = 1;
  std::int64_t steps_per_epoch = 0;  ///< ceil(batches_per_epoch / accumulation)
  std::int64_t total_steps = 0;      ///< max_steps, or ceil(num_train_epochs * steps_per_epoch)
  std::int64_t epochs = 0;           ///< epochs begun, as trainer_state.json's num_train_epochs

  /// The micro-batches of optimizer step `step`, counted from 1.
  MicroBatchGroup group(std::int64_t step) const;
  /// Epochs done after `step` steps: whole ones plus the share of micro-batches seen in this one.
  double epoch_after(std::int64_t step) const;
  bool ends_epoch(std::int64_t step) const { return step % steps_per_epoch == 0; }
};

/// UserError: no rows to train on, or settings that make no step.
StepPlan make_step_plan(const TrainingConfig& config, std::int64_t batches_per_epoch);

/// An interval of logging_steps, eval_steps or save_steps in steps: a value below 1 is a share of
/// all steps, rounded up. UserError names `key` if it is not above 0.
std::int64_t interval_steps(double value, std::int64_t total_steps, std::string_view key);

}  // namespace elenchus
