#pragma once
// training_progress/training_summary.json.

#include "train/callback.h"

namespace elenchus {

/// training_duration (seconds), final_loss, best_<metric>, total_steps and final_epoch, at the end
/// of the run.
class Summary : public Callback {
 public:
  void on_begin(const RunInfo&) override;
  void on_evaluate(const EvaluationReport&) override;
  void on_end(const EndReport&) override;

 private:
  RunInfo info_;
  Json::Array rows_;  ///< of evaluations
};

}  // namespace elenchus
