#pragma once
// training_progress/samples.txt: how the model answers the sample prompts as it learns.

#include "train/callback.h"

namespace elenchus {

/// Appends a block for each evaluation. When a run begins, blocks that are
/// not of its evaluations go first.
class Samples : public Callback {
 public:
  void on_begin(const RunInfo&) override;
  void on_evaluate(const EvaluationReport&) override;

 private:
  std::filesystem::path path_;
};

}  // namespace elenchus
