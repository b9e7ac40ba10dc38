#pragma once
// training_progress/training_metrics.csv.

#include "train/callback.h"

namespace elenchus {

/// step, epoch, loss, learning_rate, eval_loss and one column a metric; empty where not measured.
/// Rows of one step share a line. Written whole from the log's history when a run begins, so that a
/// resumed run's file is an uninterrupted run's; then only its last line is written.
class MetricsCsv : public Callback {
 public:
  void on_begin(const RunInfo&) override;
  void on_log(const LogReport&) override;
  void on_evaluate(const EvaluationReport&) override;

 private:
  void add(const Json& row);
  std::filesystem::path path_;
  std::vector<std::string> metrics_;
  std::uint64_t line_offset_ = 0;  ///< where the unwritten lines, or else the last line, begin
  std::string unwritten_;          ///< whole lines that the disk did not take
  Json::Array line_;               ///< the rows of the last line
  bool written_ = true;            ///< the last line is in the file
};

/// The file's first line.
std::string metrics_csv_head(const std::vector<std::string>& metrics);

/// The line of a step: the values of its rows of log_history, of which there is at least one.
std::string metrics_csv_line(const Json::Array& rows, const std::vector<std::string>& metrics);

}  // namespace elenchus
