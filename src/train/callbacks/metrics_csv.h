#pragma once
// training_progress/training_metrics.csv.

#include "train/callback.h"

namespace elenchus {

/// step, epoch, loss, learning_rate, eval_loss and one column a metric; empty where not measured.
/// Rewritten from the log's history, so that a resumed run's file is an uninterrupted run's.
class MetricsCsv : public Callback {
 public:
  void on_begin(const RunInfo&) override;
  void on_log(const LogReport&) override;
  void on_evaluate(const EvaluationReport&) override;

 private:
  void write() const;
  std::filesystem::path path_;
  std::vector<std::string> metrics_;
  Json::Array rows_;
};

/// The file's text for rows of log_history. Rows of one step share a line.
std::string metrics_csv_text(const Json::Array& log_history,
                             const std::vector<std::string>& metrics);

}  // namespace elenchus
