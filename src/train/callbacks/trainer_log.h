#pragma once
// trainer_log.jsonl, with LLaMA-Factory's keys.

#include "train/callback.h"

namespace elenchus {

/// Appends one line for each row of the log. When a run begins, the lines are
/// made those of its log.
class TrainerLog : public Callback {
 public:
  void on_begin(const RunInfo&) override;
  void on_log(const LogReport&) override;
  void on_evaluate(const EvaluationReport&) override;
  void on_end(const EndReport&) override;

 private:
  void append(Json row, const RunProgress& progress);
  std::filesystem::path path_;
};

}  // namespace elenchus
