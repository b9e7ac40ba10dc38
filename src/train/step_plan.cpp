#include "train/step_plan.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace elenchus {
namespace {

constexpr double kMostSteps = 1e12;

std::int64_t rounded_up(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

}  // namespace

MicroBatchGroup StepPlan::group(std::int64_t step) const {
  expect(step >= 1, "steps count from 1");
  const std::int64_t in_epoch = (step - 1) % steps_per_epoch;
  const std::int64_t first = in_epoch * accumulation;
  return {(step - 1) / steps_per_epoch, first, std::min(accumulation, batches_per_epoch - first)};
}

double StepPlan::epoch_after(std::int64_t step) const {
  const std::int64_t whole = step / steps_per_epoch, in_epoch = step % steps_per_epoch;
  return double(whole) + double(in_epoch * accumulation) / double(batches_per_epoch);
}

StepPlan make_step_plan(const TrainingConfig& config, std::int64_t batches_per_epoch) {
  if (batches_per_epoch < 1)
    throw UserError("there are no rows to train on; see data.train_file and data.train_fraction");
  if (config.gradient_accumulation_steps < 1)
    throw UserError(cat("training.gradient_accumulation_steps: found ",
                        config.gradient_accumulation_steps, "; expected at least 1"));
  StepPlan plan;
  plan.batches_per_epoch = batches_per_epoch;
  plan.accumulation = config.gradient_accumulation_steps;
  plan.steps_per_epoch = rounded_up(batches_per_epoch, plan.accumulation);
  if (double(config.max_steps) > kMostSteps)
    throw UserError(cat("training.max_steps: found ", config.max_steps, "; expected at most ",
                        std::int64_t(kMostSteps)));
  if (config.max_steps > 0) {
    plan.total_steps = config.max_steps;
    plan.epochs = rounded_up(plan.total_steps, plan.steps_per_epoch);
    return plan;
  }
  const double steps = std::ceil(config.num_train_epochs * double(plan.steps_per_epoch));
  if (!(steps >= 1 && steps <= kMostSteps))
    throw UserError(cat("training.num_train_epochs: found ", config.num_train_epochs,
                        "; expected more than 0, or set training.max_steps"));
  plan.total_steps = std::int64_t(steps);
  plan.epochs = std::int64_t(std::ceil(config.num_train_epochs));
  return plan;
}

std::int64_t interval_steps(double value, std::int64_t total_steps, std::string_view key) {
  if (!(value > 0 && value <= kMostSteps))
    throw UserError(cat("training.", key, ": found ", value, "; expected more than 0"));
  if (value < 1)
    return std::max<std::int64_t>(1, std::int64_t(std::ceil(double(total_steps) * value)));
  return std::int64_t(value);
}

}  // namespace elenchus
