#include "train/callbacks/summary.h"

#include <algorithm>
#include <cmath>

#include "train/log_rows.h"

namespace elenchus {

void Summary::on_begin(const RunInfo& info) {
  info_ = info;
  rows_ = info.log_history;
}

void Summary::on_evaluate(const EvaluationReport& report) { rows_.push_back(report.row); }

void Summary::on_end(const EndReport& report) {
  Json out = Json::Object{{"training_duration", report.seconds},
                          {"final_loss", report.final_loss},
                          {"total_steps", report.progress.step},
                          {"final_epoch", report.progress.epoch},
                          {"peak_memory_bytes", report.progress.memory.process_peak_bytes}};
  std::vector<std::string> metrics = info_.metrics;
  metrics.push_back("eval_loss");
  for (const std::string& metric : metrics) {
    const std::string name = metric == "eval_loss" ? "loss" : metric;
    const bool greater =
        std::ranges::find(info_.lower_is_better, name) == info_.lower_is_better.end();
    std::optional<double> best;
    for (const Json& row : rows_) {
      const auto value = row_number(row, row_key(metric));
      if (!value || std::isnan(*value) || row_step(row) == 0) continue;  // 0: the base model
      if (!best || (greater ? *value > *best : *value < *best)) best = *value;
    }
    if (best) out.set("best_" + metric, *best);
  }
  if (report.best_step) out.set("best_step", *report.best_step);
  const auto folder = progress_folder(info_.output_dir);
  if (!folder.empty()) try_write_file(folder / "training_summary.json", out.dump_sorted(2) + "\n");
}

}  // namespace elenchus
