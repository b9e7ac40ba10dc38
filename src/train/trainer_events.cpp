// What happens between steps: log rows, evaluations, checkpoints, and the end of a run.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "base/file.h"
#include "ops/grad_norm/grad_norm.h"
#include "train/log_rows.h"
#include "train/trainer.h"

namespace elenchus {
namespace {

constexpr int kFailedSavesInARow = 3;

/// The members of a row of log_history without its step, as the *_results.json files hold them.
Json without_step(const Json& row) {
  Json out = Json::Object{};
  for (const auto& [key, value] : row.as_object("log_history"))
    if (key != "step") out.set(key, value);
  return out;
}

bool all_finite(Stream& stream, std::initializer_list<Tensor> tensors) {
  return std::ranges::all_of(tensors, [&](const Tensor& tensor) {
    return std::isfinite(ops::sum_of_squares(stream, tensor));
  });
}

}  // namespace

bool Trainer::due(Strategy strategy, std::int64_t interval, double delay) const {
  switch (strategy) {
    case Strategy::steps:
      return (state_.step % interval == 0 || last_step()) && double(state_.step) >= delay;
    case Strategy::epoch:
      return (plan_.ends_epoch(state_.step) || last_step()) &&
             plan_.epoch_after(state_.step) >= delay;
    default:
      return false;
  }
}

/// How often due() will say so of a strategy after this step, the last step's among them.
std::int64_t Trainer::still_due(Strategy strategy, std::int64_t interval) const {
  if (strategy != Strategy::steps && strategy != Strategy::epoch) return 0;
  const std::int64_t every = strategy == Strategy::steps ? interval : plan_.steps_per_epoch;
  return (plan_.total_steps + every - 1) / every - state_.step / every;
}

/// Whether each best model so far is saved.
bool Trainer::keeps_best() const {
  return config_.load_best_model_at_end || config_.save_strategy == Strategy::best;
}

/// How many checkpoints may still be written; one at least, for a signal.
std::int64_t Trainer::most_saves() const {
  const std::int64_t regular = still_due(config_.save_strategy, save_steps_);
  const std::int64_t better = keeps_best() ? still_due(config_.eval_strategy, eval_steps_) : 0;
  return std::max<std::int64_t>(1, regular + better);
}

/// Everything that belongs to the end of a step and is not done yet. False: no step follows.
bool Trainer::after_step() {
  log_if_due();
  bool improved = false;
  const bool evaluation_due = due(config_.eval_strategy, eval_steps_, config_.eval_delay);
  evaluation_pending_ =
      evaluation_due && state_.evaluated_step != state_.step && !evaluate(improved);
  if (evaluation_pending_) return false;
  const bool asked = parts_.stop && parts_.stop->take_save_request();
  if (asked || (improved && keeps_best()) || due(config_.save_strategy, save_steps_, 0)) save();
  return !last_step() && !best_.out_of_patience() && !stop_requested();
}

void Trainer::log_if_due() {
  if (state_.last_logged_step == state_.step) return;
  // A resumed run with another interval: what its last step was like is not known any more.
  if (state_.step == steps_before_) return;
  const bool first = state_.step == 1 && config_.logging_first_step;
  const bool regular = config_.logging_strategy == Strategy::steps
                           ? state_.step % logging_steps_ == 0
                           : due(config_.logging_strategy, logging_steps_, 0);
  if (!first && !regular) return;
  LogReport report{.progress = progress(),
                   .loss = state_.window_loss / double(state_.step - state_.last_logged_step),
                   .grad_norm = last_.grad_norm,
                   .learning_rate = last_.learning_rate,
                   .row = {}};
  report.row = Json::Object{{"epoch", report.progress.epoch},
                            {"grad_norm", report.grad_norm},
                            {"learning_rate", report.learning_rate},
                            {"loss", report.loss},
                            {"step", state_.step}};
  state_.window_loss = 0;
  state_.last_logged_step = state_.step;
  state_.log_history.push_back(report.row);
  for (const auto& callback : parts_.callbacks) callback->on_log(report);
}

/// False: a signal asked to stop on the way, and all of the evaluation is still to be done.
bool Trainer::evaluate(bool& improved) {
  const double began = elapsed_seconds();
  const Evaluation found = parts_.evaluator->evaluate([&](std::int64_t done, std::int64_t all) {
    for (const auto& callback : parts_.callbacks) callback->on_evaluation_progress(done, all);
    return !stop_requested();
  });
  if (!found.complete) return false;
  std::vector<Sample> samples;
  if (parts_.sample_replies) samples = parts_.sample_replies();
  if (parts_.sample_replies && stop_requested()) return false;
  evaluating_seconds_ += elapsed_seconds() - began;
  ++evaluations_;
  state_.evaluated_step = state_.step;
  saved_step_.reset();
  // Before the first step there is no checkpoint that could be the best.
  improved = state_.step > 0 && best_.observe(state_.step, found.values.at(best_.key()));
  EvaluationReport report{.progress = progress(),
                          .values = found.values,
                          .seconds = found.seconds,
                          .generating_seconds = found.generating_seconds,
                          .best_so_far = improved,
                          .samples = std::move(samples),
                          .confusion = found.confusion,
                          .class_names = parts_.evaluator->class_names(),
                          .row = Json::Object{}};
  const double seconds = std::max(found.seconds, 1e-9);
  for (const auto& [name, value] : found.values) report.row.set(name, value);
  report.row.set("epoch", report.progress.epoch);
  report.row.set("eval_runtime", found.seconds);
  if (found.generating_seconds > 0)
    report.row.set("eval_generate_runtime", found.generating_seconds);
  report.row.set("eval_samples_per_second", double(found.samples) / seconds);
  report.row.set("eval_steps_per_second", double(found.batches) / seconds);
  report.row.set("step", state_.step);
  state_.log_history.push_back(report.row);
  for (const auto& callback : parts_.callbacks) callback->on_evaluate(report);
  return true;
}

void Trainer::save() {
  if (saved_step_ == state_.step) return;
  bool finite = all_finite(parts_.stream, {optimizer_.params().values()});
  for (const AdamW::State& state : optimizer_.states())
    if (state.tensor.dtype() == DType::f32)
      finite =
          finite && all_finite(parts_.stream, {state.tensor.reshaped({state.tensor.elements()})});
  if (!finite)
    return tell(MessageLevel::warning, cat("checkpoint of step ", state_.step,
                                           " left out: the trained numbers are not finite"));
  const double began = elapsed_seconds();
  state_.elapsed_seconds = began;
  try {
    parts_.checkpoints.save(state_.step, optimizer_, checkpoint_state());
    saved_step_ = state_.step;
    failed_saves_ = 0;
  } catch (const DeviceError& error) {
    if (error.exit_code == ExitCode::device_failed) throw;
    tell(MessageLevel::warning,
         cat("checkpoint of step ", state_.step, " failed, training goes on: ", error.what()));
    if (++failed_saves_ >= kFailedSavesInARow)
      throw DeviceError(cat(kFailedSavesInARow, " checkpoints in a row failed: ", error.what()));
    return;
  }
  const SaveReport report{.step = state_.step,
                          .path = parts_.checkpoints.path_of(state_.step),
                          .seconds = elapsed_seconds() - began};
  for (const auto& callback : parts_.callbacks) callback->on_save(report);
  rotate();
}

/// The evaluated steps, the best first, and of equal ones the earliest.
std::vector<std::int64_t> Trainer::steps_best_first() const {
  std::vector<std::pair<double, std::int64_t>> found;
  for (const Json& row : state_.log_history)
    if (const auto value = row_number(row, best_.key()); value && std::isfinite(*value))
      if (row_step(row) > 0)  // before the first step there is nothing to save
        found.emplace_back(best_.greater_is_better() ? -*value : *value, row_step(row));
  std::ranges::sort(found);
  std::vector<std::int64_t> steps;
  for (const auto& [value, step] : found) steps.push_back(step);
  return steps;
}

/// Keeps the best of the evaluated steps that have a checkpoint: the best one's own may have failed.
/// A checkpoint that cannot be deleted costs space, nothing else.
void Trainer::rotate() {
  const std::vector<std::int64_t> there = checkpoint_steps(parts_.checkpoints.output_dir());
  const std::vector<std::int64_t> evaluated = steps_best_first();
  const auto best = std::ranges::find_if(
      evaluated, [&](std::int64_t step) { return std::ranges::binary_search(there, step); });
  try {
    parts_.checkpoints.rotate(best == evaluated.end() ? std::nullopt : std::optional(*best));
  } catch (const DeviceError& error) {
    tell(MessageLevel::warning, cat("an old checkpoint was not removed: ", error.what()));
  }
}

RunResult Trainer::interrupted() {
  const int signal = parts_.stop->stop_requested();
  if (state_.step > 0) {
    save();
    if (saved_step_ != state_.step)
      throw DeviceError(cat("stopped by SIG", sigabbrev_np(signal), ", but step ", state_.step,
                            " could not be saved; the last checkpoint is older"));
  }
  tell(MessageLevel::info,
       cat("stopped by SIG", sigabbrev_np(signal), " after step ", state_.step, " of ",
           plan_.total_steps,
           state_.step > 0 ? "; --resume continues from there" : "; nothing was trained yet"));
  return {RunEnd::interrupted, 128 + signal, state_.step};
}

/// The end of a run that has nothing fit to export.
RunResult Trainer::bad_numbers(const std::string& what) {
  tell(MessageLevel::warning,
       cat(what, ". ", last_checkpoint(), " Try a lower training.learning_rate",
           parts_.scale_loss ? ", or bf16 in place of fp16." : "."));
  return {RunEnd::bad_numbers, int(ExitCode::bad_numbers), state_.step};
}

/// Where to go on from, as a sentence.
std::string Trainer::last_checkpoint() const {
  const auto found = parts_.checkpoints.newest_valid([](const std::string&) {});
  return found ? cat("The last good checkpoint is ", found->path.string(), ".")
               : std::string("There is no checkpoint to go back to.");
}

Json Trainer::summary_row() const {
  const double seconds = std::max(elapsed_seconds(), 1e-9);
  const double steps = double(std::max<std::int64_t>(1, state_.total_loss_steps));
  return Json::Object{{"epoch", plan_.epoch_after(state_.step)},
                      {"step", state_.step},
                      {"total_flos", parts_.flops_per_token * double(state_.input_tokens)},
                      {"train_loss", state_.total_loss / steps},
                      {"train_runtime", seconds},
                      {"train_samples_per_second", double(state_.samples) / seconds},
                      {"train_steps_per_second", double(state_.step) / seconds}};
}

/// Makes the best adapter that can be read the present one. Its step; the last one if none can.
std::int64_t Trainer::load_best() {
  for (const std::int64_t step : steps_best_first()) {
    auto checkpoint = parts_.checkpoints.path_of(step);
    if (!std::filesystem::exists(checkpoint) && !origin_.empty())
      checkpoint = origin_ / checkpoint.filename();
    const bool best = step == best_.best_step();
    const bool there = step == state_.step || std::filesystem::exists(checkpoint);
    if (!there && best)
      tell(MessageLevel::warning, cat("the best adapter, of step ", step,
                                      ", was not kept: ", checkpoint.string(), " is not there"));
    if (!there) continue;
    try {
      if (step != state_.step) parts_.checkpoints.restore_adapter(checkpoint, optimizer_.params());
    } catch (const UserError& error) {
      tell(MessageLevel::warning, cat("the ", best ? "best " : "", "adapter of step ", step,
                                      " cannot be loaded: ", error.what()));
      continue;
    }
    tell(MessageLevel::result,
         best ? cat("the result is the best adapter, of step ", step, ": ", best_.key(), " ",
                    *best_.best())
              : cat("the result is the best adapter that can be read, of step ", step));
    return step;
  }
  tell(MessageLevel::warning, cat("the result is the last adapter, of step ", state_.step,
                                  ": no evaluated one can be loaded"));
  return state_.step;
}

RunResult Trainer::finish() {
  const Json summary = summary_row();
  const std::int64_t result_step = config_.load_best_model_at_end ? load_best() : state_.step;
  if (!all_finite(parts_.stream, {optimizer_.params().values()}))
    return bad_numbers("the adapter is not exported: its numbers are not finite");
  state_.log_history.push_back(summary);
  write_results(summary, result_step);
  const double train_loss = summary.at("train_loss", "summary").as_number("train_loss");
  EndReport report{.progress = progress(),
                   .train_loss = train_loss,
                   .final_loss = train_loss,
                   .seconds = elapsed_seconds(),
                   .best_metric = best_.best(),
                   .best_step = best_.best_step(),
                   .row = summary};
  for (const Json& row : state_.log_history)
    if (const auto loss = row_number(row, "loss")) report.final_loss = *loss;
  for (const auto& callback : parts_.callbacks) callback->on_end(report);
  // Last of all, for it says that the run is done: one that is cut off before comes back here.
  write_file_atomically(parts_.checkpoints.output_dir() / "trainer_state.json",
                        trainer_state(true).dump_sorted(2) + "\n");
  return {RunEnd::finished, 0, state_.step};
}

/// The adapter first: whatever fails afterwards, it is safe. `step`: whose adapter it is.
void Trainer::write_results(const Json& summary, std::int64_t step) {
  const auto& folder = parts_.checkpoints.output_dir();
  const auto write = [&](std::string_view name, const Json& json) {
    write_file_atomically(folder / name, json.dump_sorted(2) + "\n");
  };
  parts_.checkpoints.export_adapter(optimizer_.params());
  Json all = without_step(summary);
  write("train_results.json", all);
  std::error_code ignored;
  std::filesystem::remove(folder / "eval_results.json", ignored);  // an earlier result's
  for (const Json& row : state_.log_history) {
    if (!row.find("eval_loss") || row_step(row) != step) continue;
    const Json results = without_step(row);
    write("eval_results.json", results);
    for (const auto& [key, value] : results.as_object("row"))
      if (key != "epoch") all.set(key, value);
  }
  write("all_results.json", all);
}

}  // namespace elenchus
