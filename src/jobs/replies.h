#pragma once
// Replies of a model to prompts, as evaluation, samples and comparison ask for them.

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "generate/generator.h"
#include "jobs/run_setup.h"
#include "train/evaluator.h"

namespace elenchus {

/// Answers the prompts of a run with the model as it is at that moment.
class Replier {
 public:
  /// Everything outlives this. `stop_asked`: true cuts replies short.
  Replier(RunSetup& run, LanguageModel& model, Stream& stream, Arena& arena,
          std::function<bool()> stop_asked = {});
  /// To the evaluation rows of these numbers, by the recipe's settings for replies.
  std::vector<RowReply> to_eval_rows(std::span<const std::int64_t> rows);
  /// To training.sample_prompts, greedily.
  std::vector<std::string> to_samples();
  /// To any prompts.
  std::vector<std::string> to(std::span<const std::vector<TokenId>> prompts,
                              const GenerateOptions& options);
  /// Options for this run's model: stop ids, limits and batch size, with the recipe's sampling.
  GenerateOptions options() const;

 private:
  RunSetup& run_;
  Generator generator_;
  std::function<bool()> stop_asked_;
};

}  // namespace elenchus
