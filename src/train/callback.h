#pragma once
// What a run tells those who watch it.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "metrics/confusion.h"
#include "train/memory_use.h"

namespace elenchus {

/// How far a run is.
struct RunProgress {
  std::int64_t step = 0, total_steps = 0;
  double epoch = 0;
  double elapsed_seconds = 0, remaining_seconds = 0;
  std::int64_t tokens = 0;  ///< tokens trained on so far
  double tokens_per_second =
      0;  ///< in the steps since the run, or its resumption, began; not in evaluations and saves
  MemoryUse memory = {};
};

/// Known before the first step.
struct RunInfo {
  std::filesystem::path output_dir;
  std::int64_t first_step = 0;  ///< steps done before: above 0 when resumed
  std::int64_t total_steps = 0;
  std::int64_t steps_per_epoch = 0;
  std::int64_t epochs = 0;
  std::string schedule;              ///< one line
  std::vector<std::string> metrics;  ///< declared ones, without "eval_"
  /// All that are measured and of which less is better, without "eval_": "loss", "perplexity".
  std::vector<std::string> lower_is_better;
  std::string best_metric;  ///< the one that chooses the best model, without "eval_"
  Json::Array log_history;  ///< rows of the steps done before
  MemoryUse memory = {};
};

/// One optimizer step.
struct StepReport {
  RunProgress progress = {};
  double loss = 0;  ///< nats a supervised token
  double grad_norm = 0;
  double learning_rate = 0;
  std::int64_t tokens = 0, supervised_tokens = 0;
  double seconds = 0;
  bool applied = true;  ///< false: the numbers were not finite and the update was skipped
};

/// A row of log_history for training: loss is the mean over the steps since the row before.
struct LogReport {
  RunProgress progress = {};
  double loss = 0, grad_norm = 0, learning_rate = 0;
  Json row;
};

/// An answer to one of training.sample_prompts.
struct Sample {
  std::string prompt, reply;
};

/// A row of log_history for evaluation.
struct EvaluationReport {
  RunProgress progress = {};
  std::map<std::string, double> values = {};  ///< "eval_loss", "eval_<metric>"
  double seconds = 0;
  double generating_seconds = 0;  ///< of these, spent on generating replies for metrics
  bool best_so_far = false;
  std::vector<Sample> samples = {};
  ConfusionMatrix confusion = ConfusionMatrix();  ///< of a classifier
  std::vector<std::string> class_names = {};
  Json row;
};

struct SaveReport {
  std::int64_t step = 0;
  std::filesystem::path path;
  double seconds = 0;
};

/// The end of a run that got to its end.
struct EndReport {
  RunProgress progress = {};
  double train_loss = 0;  ///< mean over all steps
  double final_loss = 0;  ///< of the last row of the log; train_loss without one
  double seconds = 0;     ///< of training, over all its parts
  std::optional<double> best_metric;
  std::optional<std::int64_t> best_step;
  Json row;
};

/// `result`: what a run was made for, and so told even when little else is.
enum class MessageLevel { info, warning, result };

/// Watches a run; may not change it. None of these throws: what cannot be written is left out.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_begin(const RunInfo&) {}
  virtual void on_step(const StepReport&) {}
  virtual void on_log(const LogReport&) {}
  virtual void on_evaluation_progress(std::int64_t /*done*/, std::int64_t /*all*/) {}
  virtual void on_evaluate(const EvaluationReport&) {}
  virtual void on_save(const SaveReport&) {}
  virtual void on_end(const EndReport&) {}
  virtual void on_message(MessageLevel, const std::string&) {}
};

}  // namespace elenchus
