#pragma once
// What training, evaluation, inspection and planning share: a recipe's model files, text, rows and
// shapes.

#include <memory>
#include <vector>

#include "data/batch_source.h"
#include "data/dataset.h"
#include "jobs/memory_plan.h"
#include "jobs/recipe.h"
#include "jobs/text_files.h"
#include "metrics/metric_config.h"
#include "models/loader.h"

namespace elenchus {

/// Everything that is known before a weight is read. Not movable: parts refer to each other.
struct RunSetup {
  /// Reads the model's headers, its tokenizer and the rows. UserError and InputError as its parts.
  explicit RunSetup(Recipe recipe);
  RunSetup(const RunSetup&) = delete;
  RunSetup& operator=(const RunSetup&) = delete;

  Recipe recipe;
  DeviceChoice where;
  ModelFiles files;
  TextFiles text;
  RowRenderer renderer;
  Dataset dataset;
  RowBatchSource train_batches;
  std::unique_ptr<RowBatchSource> eval_batches;  ///< null without evaluation rows
  MetricSet metrics;
  /// The prompts of the evaluation rows, and of training.sample_prompts, as tokens; only where
  /// replies are generated.
  std::vector<std::vector<TokenId>> eval_prompts, sample_prompts;
  std::vector<std::string> eval_answers;  ///< the rows' own, to each of eval_prompts
  LoadOptions load;
  LargestShapes shapes;

 private:
  void make_prompts();
  void measure_shapes();
};

/// What a template's clock shows while a run trains, evaluates and resumes: 2024-07-26, the date
/// that Llama 3.1's template falls back to. A clock that moved would change the tokens of a resumed
/// run.
inline constexpr std::int64_t kTemplateClock = 1721952000;

/// How a recipe's model is loaded for rows of data.max_length on that device; no classifier's head.
LoadOptions load_options(const Recipe& recipe, const DeviceChoice& where);

/// Widens `shapes` by replies to these prompts, `batch_size` of them at once.
void add_replies(LargestShapes& shapes, std::span<const std::vector<TokenId>> prompts,
                 std::int64_t new_tokens, std::int64_t batch_size);

/// Plans the run's memory, and UserError-s where it cannot fit: the message has the parts and the
/// knobs, strongest first.
MemoryPlan plan_run(RunSetup& run);

/// One line to stderr.
void say(const std::string& line);

}  // namespace elenchus
