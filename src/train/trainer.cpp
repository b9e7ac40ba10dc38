#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/file.h"
#include "ops/grad_norm/grad_norm.h"
#include "train/host_batch.h"

namespace elenchus {
namespace {

constexpr int kBadStepsInARow = 3;      // float32 and bfloat16: the run is lost
constexpr int kOverflowsInARow = 20;    // float16: the loss scale has had its chance
constexpr std::size_t kRowsShown = 16;  // of a step that went wrong

/// Without the sign that a NaN may have.
std::string number_text(double value) { return std::isnan(value) ? "nan" : cat(value); }

bool evaluates(const TrainingConfig& config) {
  return config.eval_strategy != Strategy::no || config.eval_on_start;
}

}  // namespace

/// What the micro-batches of one step add up to.
struct Trainer::StepSums {
  LossSum loss;
  std::int64_t tokens = 0, targets = 0, samples = 0;
  std::vector<std::int64_t> rows;
};

Trainer::Trainer(const TrainingConfig& config, TrainerParts parts)
    : config_(config),
      parts_(std::move(parts)),
      plan_(make_step_plan(config, parts_.batches.batches_per_epoch())),
      schedule_(config, plan_.total_steps),
      optimizer_(parts_.stream, parts_.model.params(), config),
      best_(config,
            parts_.evaluator ? parts_.evaluator->lower_is_better() : std::vector<std::string>{}) {
  check_settings();
  logging_steps_ = interval_steps(config.logging_steps, plan_.total_steps, "logging_steps");
  eval_steps_ = interval_steps(config.eval_steps.value_or(config.logging_steps), plan_.total_steps,
                               "eval_steps");
  save_steps_ = interval_steps(config.save_steps, plan_.total_steps, "save_steps");
}

void Trainer::check_settings() {
  describe_optimizer(config_.optim);
  if (config_.logging_strategy == Strategy::best || config_.eval_strategy == Strategy::best)
    throw UserError(
        "training: only save_strategy can be best; found it as logging_strategy or "
        "eval_strategy, which are no, steps or epoch");
  if (config_.max_grad_norm < 0)
    throw UserError(cat("training.max_grad_norm: found ", config_.max_grad_norm,
                        "; expected at least 0 (0: no clipping)"));
  if (config_.neftune_noise_alpha != 0)
    throw UserError("training.neftune_noise_alpha: only 0 is supported");
  if (evaluates(config_) && !parts_.evaluator)
    throw UserError(
        "training.eval_strategy: there are no rows to evaluate on; give data.eval_file "
        "or a data.train_fraction below 1, or set eval_strategy: no");
  if (config_.eval_strategy != Strategy::no)
    return best_.check_known(parts_.evaluator->known_names());
  const bool needs = config_.load_best_model_at_end || config_.early_stopping_patience ||
                     config_.save_strategy == Strategy::best;
  if (needs)
    throw UserError(
        "training: load_best_model_at_end, early_stopping_patience and save_strategy: "
        "best need evaluations; set training.eval_strategy to steps or epoch");
}

RunResult Trainer::run() {
  if (nothing_to_do_) {
    tell(MessageLevel::result,
         cat("this run was finished before, at step ", state_.step, " of ", plan_.total_steps,
             ", epoch ", plan_.epoch_after(state_.step), ": nothing to do; the adapter is in ",
             parts_.checkpoints.output_dir().string()));
    return {RunEnd::nothing_to_do, 0, state_.step};
  }
  begin();
  bool improved = false;
  if (state_.step == 0 && config_.eval_on_start && !evaluate(improved)) return interrupted();
  // Of a resumed run: an evaluation that the signal cut short comes first.
  bool more = state_.step == 0 || after_step();
  while (more) {
    const std::optional<StepReport> report = step();
    if (!report) return interrupted();
    for (const auto& callback : parts_.callbacks) callback->on_step(*report);
    if (numbers_are_hopeless())
      return bad_numbers(
          cat("stopping at step ", state_.step, ": too many steps in a row were not finite"));
    more = after_step();
  }
  if (evaluation_pending_ || !(last_step() || best_.out_of_patience())) return interrupted();
  if (!last_step())
    tell(MessageLevel::result,
         cat("stopped early, after step ", state_.step, " of ", plan_.total_steps, ": ",
             *config_.early_stopping_patience, " evaluations without a better ", best_.key(),
             " (training.early_stopping_patience)"));
  return finish();
}

/// What lies past this run's start would count as newer than what it saves, and what another run left
/// would be taken for its own.
void Trainer::clear_output_folder() {
  const SetAside moved = resumed_here_ ? parts_.checkpoints.set_aside_past(state_.step)
                                       : parts_.checkpoints.set_aside_all(resumed_);
  if (moved.place.empty()) return;
  tell(MessageLevel::warning,
       resumed_here_ ? cat(moved.checkpoints, " checkpoints past step ", state_.step,
                           " were moved into ", moved.place.string())
                     : cat(resumed_ ? "" : "starting from the beginning: ",
                           "what an earlier run left in the output folder, ", moved.checkpoints,
                           " checkpoints among it, was moved into ", moved.place.string(),
                           resumed_ || asked_to_resume_ ? "" : " (--resume continues a run)"));
}

void Trainer::begin() {
  parts_.checkpoints.check_space(optimizer_, resumed_here_, most_saves());
  clear_output_folder();
  if (const std::string text = describe_optimizer(config_.optim); !text.empty())
    tell(MessageLevel::info, text);
  tell(MessageLevel::info, cat("schedule: ", schedule_.describe()));
  if (const auto text = schedule_.warning()) tell(MessageLevel::warning, *text);
  if (const auto text = best_.warning(); text && config_.eval_strategy != Strategy::no)
    tell(MessageLevel::warning, *text);
  began_seconds_ = monotonic_seconds();
  elapsed_before_ = state_.elapsed_seconds;
  steps_before_ = state_.step;
  tokens_before_ = state_.input_tokens;
  std::vector<std::string> metrics;
  if (parts_.evaluator) metrics = parts_.evaluator->metric_names();
  const bool listed = std::ranges::find(metrics, best_.name()) != metrics.end();
  if (parts_.evaluator && !listed && best_.name() != "loss") metrics.push_back(best_.name());
  const RunInfo info{.output_dir = parts_.checkpoints.output_dir(),
                     .first_step = state_.step,
                     .total_steps = plan_.total_steps,
                     .steps_per_epoch = plan_.steps_per_epoch,
                     .epochs = plan_.epochs,
                     .schedule = schedule_.describe(),
                     .metrics = std::move(metrics),
                     .lower_is_better = parts_.evaluator ? parts_.evaluator->lower_is_better()
                                                         : std::vector<std::string>{},
                     .best_metric = best_.name(),
                     .log_history = state_.log_history,
                     .memory = measure_memory(parts_.stream)};
  for (const auto& callback : parts_.callbacks) callback->on_begin(info);
  if (resumed_ && !resumed_here_) save();  // here, too, the run has a checkpoint to go on from
}

/// One optimizer step. Empty: a signal asked to stop before it was whole, and nothing has changed.
std::optional<StepReport> Trainer::step() {
  const double began = monotonic_seconds();
  const double rate = schedule_.lr(state_.updates);
  if (!std::isfinite(rate))
    throw UserError(cat("step ", state_.step + 1, ": the learning rate is ", rate,
                        ", expected a finite number; check training.learning_rate and "
                        "training.lr_scheduler_kwargs. ",
                        last_checkpoint()),
                    ExitCode::bad_numbers);
  StepSums sums;
  parts_.stream.zero(optimizer_.params().grads());
  if (!accumulate(plan_.group(state_.step + 1), sums)) return std::nullopt;
  const double tokens = sums.loss.tokens > 0 ? sums.loss.tokens : 1;
  const double loss = sums.loss.nats / tokens;
  UpdateResult update{.grad_norm = std::nan(""), .applied = false};
  // Under a loss scale the gradients were divided by the number of targets already; with class
  // weights `tokens` is their sum.
  const double targets = double(std::max<std::int64_t>(sums.targets, 1));
  if (std::isfinite(loss))
    update = optimizer_.clip_and_step(
        {.gradient_scale = parts_.scale_loss ? targets / tokens / scaler_.scale() : 1 / tokens,
         .max_grad_norm = config_.max_grad_norm,
         .learning_rate = rate});
  ++state_.step;
  state_.updates = optimizer_.updates();
  last_ = {.progress = {},
           .loss = loss,
           .grad_norm = update.grad_norm,
           .learning_rate = rate,
           .tokens = sums.tokens,
           .supervised_tokens = sums.targets,
           .seconds = monotonic_seconds() - began,
           .applied = update.applied};
  stepping_seconds_ += last_.seconds;
  judge(last_, sums);
  last_.progress = progress();
  return last_;
}

/// Adds up losses and gradients. False: a signal asked to stop on the way.
bool Trainer::accumulate(const MicroBatchGroup& group, StepSums& sums) {
  std::vector<PackedBatch> batches;
  std::size_t targets = 0;
  for (std::int64_t i = 0; i < group.count; ++i) {
    batches.push_back(parts_.batches.batch(group.epoch, group.first + i));
    targets += batches.back().target_rows.size();
  }
  // As torch.amp.GradScaler, the mean loss is scaled, not the sum: sums would overflow by their
  // length. Without a scale the sum's gradient is divided once, at the end.
  const float scale =
      parts_.scale_loss ? float(scaler_.scale() / double(std::max<std::size_t>(targets, 1))) : 1.0f;
  for (std::int64_t i = 0; i < group.count; ++i) {
    if (stop_requested()) return false;
    const PackedBatch& batch = batches[std::size_t(i)];
    const std::int64_t number = group.epoch * plan_.batches_per_epoch + group.first + i;
    const RandomKey key{.seed = std::uint64_t(config_.seed),
                        .use = RandomUse::dropout,
                        .step = std::uint32_t(number)};
    Arena::Scope micro_batch(parts_.arena);
    DeviceBatch on_device = upload(parts_.stream, parts_.arena, host_batch(batch), key);
    if (!batch.target_rows.empty())
      sums.loss += parts_.model.loss_and_backward(on_device.context, on_device.tokens,
                                                  on_device.targets, scale);
    sums.tokens += std::int64_t(batch.tokens.size());
    sums.targets += std::int64_t(batch.target_rows.size());
    sums.samples += std::int64_t(batch.rows.size());
    sums.rows.insert(sums.rows.end(), batch.rows.begin(), batch.rows.end());
  }
  return true;
}

/// Books the step and says what is wrong with it, if anything is.
void Trainer::judge(const StepReport& report, const StepSums& sums) {
  state_.input_tokens += sums.tokens;
  state_.supervised_tokens += report.supervised_tokens;
  state_.samples += sums.samples;
  state_.window_loss += report.loss;
  if (std::isfinite(report.loss)) {
    state_.total_loss += report.loss;
    ++state_.total_loss_steps;
  }
  warn_of_jump(report.loss);
  state_.skipped_in_a_row = report.applied ? 0 : state_.skipped_in_a_row + 1;
  const double scale = scaler_.scale();
  if (parts_.scale_loss) scaler_.update(!report.applied);
  if (!report.applied) {
    std::string rows;
    for (std::size_t i = 0; i < sums.rows.size() && i < kRowsShown; ++i)
      rows += cat(i ? ", " : "", sums.rows[i]);
    if (sums.rows.size() > kRowsShown) rows += ", ...";
    tell(MessageLevel::warning,
         cat("step ", state_.step, " was skipped: loss ", number_text(report.loss),
             ", gradient norm ", number_text(report.grad_norm), ", rows ", rows,
             parts_.scale_loss ? cat(", loss scale ", scale, " -> ", scaler_.scale()) : ""));
  } else if (!state_.adapters_checked && report.learning_rate > 0) {
    warn_of_dead_adapters();
  }
}

/// A lora_B whose first gradient is exactly zero stays at zero: its adapter never learns.
void Trainer::warn_of_dead_adapters() {
  state_.adapters_checked = true;
  std::vector<std::string_view> dead;
  std::size_t all = 0;
  for (const Param& param : optimizer_.params().params()) {
    if (param.name.find("lora_B") == std::string::npos) continue;
    ++all;
    const Tensor gradient = param.grad.reshaped({param.grad.elements()});
    if (ops::sum_of_squares(parts_.stream, gradient) == 0) dead.push_back(param.name);
  }
  if (dead.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < dead.size(); ++i) names += cat(i ? ", " : "", dead[i]);
  tell(MessageLevel::warning,
       cat(dead.size(), " of ", all,
           " adapters did not move in the first step and will not learn: ", names));
}

void Trainer::warn_of_jump(double loss) {
  if (const auto usual = loss_watch_.observe(loss))
    tell(MessageLevel::warning, cat("step ", state_.step, ": the loss ", loss, " is ",
                                    loss / *usual, " times the usual ", *usual,
                                    " (median of the last steps); if it stays there, lower "
                                    "training.learning_rate or training.max_grad_norm"));
}

bool Trainer::numbers_are_hopeless() const {
  return state_.skipped_in_a_row >= (parts_.scale_loss ? kOverflowsInARow : kBadStepsInARow);
}

double Trainer::elapsed_seconds() const {
  return elapsed_before_ + monotonic_seconds() - began_seconds_;
}

/// By the mean step and the mean evaluation so far.
double Trainer::remaining_seconds() const {
  const std::int64_t steps = state_.step - steps_before_;
  const std::int64_t left = plan_.total_steps - state_.step;
  if (steps <= 0 || left <= 0) return 0;
  const double evaluation = evaluations_ > 0 ? evaluating_seconds_ / double(evaluations_) : 0;
  return stepping_seconds_ / double(steps) * double(left) +
         evaluation * double(still_due(config_.eval_strategy, eval_steps_));
}

RunProgress Trainer::progress() const {
  return {
      .step = state_.step,
      .total_steps = plan_.total_steps,
      .epoch = plan_.epoch_after(state_.step),
      .elapsed_seconds = elapsed_seconds(),
      .remaining_seconds = remaining_seconds(),
      .tokens = state_.input_tokens,
      .tokens_per_second = stepping_seconds_ > 0
                               ? double(state_.input_tokens - tokens_before_) / stepping_seconds_
                               : 0,
      .memory = measure_memory(parts_.stream)};
}

void Trainer::tell(MessageLevel level, const std::string& text) const {
  for (const auto& callback : parts_.callbacks) callback->on_message(level, text);
}

}  // namespace elenchus
