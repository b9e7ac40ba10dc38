#pragma once
// The training loop.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "data/packed_batch.h"
#include "models/language_model.h"
#include "train/adamw.h"
#include "train/callback.h"
#include "train/checkpoint_store.h"
#include "train/early_stopping.h"
#include "train/evaluator.h"
#include "train/loss_scaler.h"
#include "train/loss_watch.h"
#include "train/run_state.h"
#include "train/schedule.h"
#include "train/step_plan.h"
#include "train/stop_signal.h"

namespace elenchus {

/// What a Trainer works with. References outlive it.
struct TrainerParts {
  Stream& stream;
  Arena& arena;
  LanguageModel& model;
  const BatchSource& batches;
  CheckpointStore& checkpoints;
  Evaluator* evaluator = nullptr;  ///< null: no evaluation rows
  StopSignal* stop = nullptr;      ///< null: signals are not looked at
  std::vector<std::unique_ptr<Callback>> callbacks;
  /// Asked after each evaluation. May be cut short where a stop is asked for.
  std::function<std::vector<Sample>()> sample_replies;
  Json identity;               ///< recipe parts that matter, data fingerprint, base model hash
  bool scale_loss = false;     ///< compute type is float16
  double flops_per_token = 0;  ///< for total_flos
};

enum class RunEnd {
  finished,       ///< all steps done, or early stopping; the adapter is in the output folder
  interrupted,    ///< a signal asked to stop; a checkpoint was saved
  nothing_to_do,  ///< an earlier run has finished this one; nothing was touched
  bad_numbers,    ///< too many steps in a row were not finite, or the result is not
};

struct RunResult {
  RunEnd end = RunEnd::finished;
  int exit_code = 0;  ///< as interface.md: 0, 5, 130 or 143
  std::int64_t step = 0;
};

class Trainer {
 public:
  /// Checks everything that can be checked before the first step. UserError.
  Trainer(const TrainingConfig& config, TrainerParts parts);
  /// Restores the newest valid checkpoint of the output folder; false where there is none.
  /// UserError (wrong_checkpoint) lists each way in which it belongs to another run, or says that
  /// it is past this run's end. What training.accept_changes names is taken over, said, recorded.
  bool resume();
  /// Restores one checkpoint. UserError as resume().
  void resume_from(const std::filesystem::path& checkpoint);
  /// After resume(): this very run is done and exported, and run() will touch nothing.
  bool nothing_to_do() const { return nothing_to_do_; }
  /// Trains to the end, evaluating, logging and saving on the way, and exports the adapter. What
  /// another run left in the output folder is moved out of the way first. DeviceError: the
  /// machine failed, or three saves in a row did.
  /// UserError: too little disk space (out_of_resources), or a learning rate that is not finite
  /// (bad_numbers).
  RunResult run();

  const StepPlan& plan() const { return plan_; }
  const Schedule& schedule() const { return schedule_; }
  const RunState& state() const { return state_; }
  const AdamW& optimizer() const { return optimizer_; }

 private:
  struct StepSums;
  // trainer.cpp: the loop
  void check_settings();
  void clear_output_folder();
  void begin();
  std::optional<StepReport> step();
  bool accumulate(const MicroBatchGroup& group, StepSums& sums);
  void judge(const StepReport& report, const StepSums& sums);
  void warn_of_dead_adapters();
  void warn_of_jump(double loss);
  bool numbers_are_hopeless() const;
  bool stop_requested() const { return parts_.stop && parts_.stop->stop_requested() != 0; }
  // trainer_events.cpp: what happens between steps
  bool after_step();
  void log_if_due();
  bool evaluate(bool& improved);
  void save();
  std::vector<std::int64_t> steps_best_first() const;
  void rotate();
  std::int64_t load_best();
  RunResult finish();
  RunResult interrupted();
  RunResult bad_numbers(const std::string& what);
  std::string last_checkpoint() const;
  void write_results(const Json& summary, std::int64_t step);
  Json summary_row() const;
  bool due(Strategy strategy, std::int64_t interval, double delay) const;
  std::int64_t still_due(Strategy strategy, std::int64_t interval) const;
  bool keeps_best() const;
  std::int64_t most_saves() const;
  double remaining_seconds() const;
  bool last_step() const { return state_.step >= plan_.total_steps; }
  RunProgress progress() const;
  double elapsed_seconds() const;
  void tell(MessageLevel level, const std::string& text) const;
  // trainer_state.cpp: what a checkpoint says
  CheckpointState checkpoint_state() const;
  Json trainer_state(bool done) const;
  void restore_host_state(const CheckpointState& saved);
  void tell_of_changes(const CheckpointState& saved);
  std::optional<Json> finished_before() const;

  TrainingConfig config_;
  TrainerParts parts_;
  StepPlan plan_;
  Schedule schedule_;
  AdamW optimizer_;
  LossScaler scaler_;
  LossWatch loss_watch_;
  BestMetric best_;
  RunState state_;
  std::int64_t logging_steps_ = 1, eval_steps_ = 1, save_steps_ = 1;
  StepReport last_;                         // the step just done
  std::optional<std::int64_t> saved_step_;  // its checkpoint holds the present state
  int failed_saves_ = 0;
  bool evaluation_pending_ = false;  // a signal cut the evaluation of this step short
  bool resumed_ = false, nothing_to_do_ = false;
  bool resumed_here_ = false;       // from a checkpoint of its own output folder
  bool asked_to_resume_ = false;    // whether or not there was a checkpoint
  std::filesystem::path origin_;    // else the folder of the checkpoint that it came from
  double began_seconds_ = 0;        // the clock when this part of the run began
  double elapsed_before_ = 0;       // seconds of its earlier parts
  std::int64_t steps_before_ = 0;   // steps of its earlier parts
  std::int64_t tokens_before_ = 0;  // tokens of its earlier parts
  double stepping_seconds_ = 0;     // of this part's steps, evaluations and saves left out
  double evaluating_seconds_ = 0;   // of this part's evaluations
  std::int64_t evaluations_ = 0;    // as many
};

}  // namespace elenchus
