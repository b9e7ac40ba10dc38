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
  std::function<std::vector<Sample>()> sample_replies;  ///< asked after each evaluation
  Json identity;               ///< recipe parts that matter, data fingerprint, base model hash
  bool scale_loss = false;     ///< compute type is float16
  double flops_per_token = 0;  ///< for total_flos
};

enum class RunEnd {
  finished,       ///< all steps done, or early stopping; the adapter is in the output folder
  interrupted,    ///< a signal asked to stop; a checkpoint was saved
  nothing_to_do,  ///< an earlier run has finished this one; nothing was touched
  bad_numbers,    ///< too many steps in a row were not finite
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
  /// UserError (wrong_checkpoint) lists each way in which it belongs to another run.
  bool resume();
  /// Restores one checkpoint.
  void resume_from(const std::filesystem::path& checkpoint);
  /// Trains to the end, evaluating, logging and saving on the way, and exports the adapter.
  /// DeviceError: the machine failed, or three saves in a row did.
  RunResult run();

  const StepPlan& plan() const { return plan_; }
  const Schedule& schedule() const { return schedule_; }
  const RunState& state() const { return state_; }

 private:
  struct StepSums;
  enum class Pace { go_on, stop };
  bool already_finished() const;
  void begin();
  std::optional<StepReport> step();
  bool accumulate(const MicroBatchGroup& group, StepSums& sums);
  void account(StepReport& report, const StepSums& sums, const UpdateResult& update);
  void report_bad_step(const StepReport& report, const StepSums& sums);
  void warn_of_dead_adapters();
  Pace after_step();
  void log_if_due();
  bool evaluate_if_due();
  bool evaluate();
  void save_if_due(bool improved);
  void save();
  RunResult finish();
  RunResult interrupted();
  Json trainer_state(bool done) const;
  RunProgress progress() const;
  bool due(Strategy strategy, std::int64_t interval, double delay) const;
  bool last_step() const { return state_.step >= plan_.total_steps; }
  void tell(MessageLevel level, const std::string& text) const;

  TrainingConfig config_;
  TrainerParts parts_;
  StepPlan plan_;
  Schedule schedule_;
  AdamW optimizer_;
  LossScaler scaler_;
  BestMetric best_;
  RunState state_;
  std::int64_t logging_steps_, eval_steps_, save_steps_;
  std::optional<std::int64_t> saved_step_;
  int failed_saves_ = 0;
  bool stop_early_ = false;
  double began_ = 0;                // clock at begin()
  double elapsed_before_ = 0;       // of earlier parts of this run
  std::int64_t tokens_before_ = 0;  // tokens of earlier parts
};

}  // namespace elenchus
