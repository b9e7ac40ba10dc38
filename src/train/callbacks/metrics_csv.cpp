#include "train/callbacks/metrics_csv.h"

#include <cmath>

#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {
namespace {

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string number(double value) { return std::isfinite(value) ? Json(value).dump() : "nan"; }

/// The summary at the end of the log measures nothing of its own step.
bool is_measurement(const Json& row) { return !row.find("train_runtime"); }

}  // namespace

std::string metrics_csv_head(const std::vector<std::string>& metrics) {
  std::string out = "step,epoch,loss,learning_rate";
  for (const std::string& metric : metrics) out += "," + field(metric);
  return out + "\n";
}

std::string metrics_csv_line(const Json::Array& rows, const std::vector<std::string>& metrics) {
  std::vector<std::string> keys = {"epoch", "loss", "learning_rate"};
  for (const std::string& metric : metrics) keys.push_back(row_key(metric));
  std::string out = cat(row_step(rows.front()));
  for (const std::string& key : keys) {
    std::optional<double> value;
    for (const Json& row : rows)
      if (const auto found = row_number(row, key)) value = found;
    out += "," + (value ? number(*value) : std::string());
  }
  return out + "\n";
}

void MetricsCsv::on_begin(const RunInfo& info) {
  const auto folder = progress_folder(info.output_dir);
  if (!folder.empty()) path_ = folder / "training_metrics.csv";
  metrics_ = {"eval_loss"};
  metrics_.insert(metrics_.end(), info.metrics.begin(), info.metrics.end());
  std::string text = metrics_csv_head(metrics_);
  line_.clear();
  for (const Json& row : info.log_history) {
    if (!is_measurement(row)) continue;
    if (!line_.empty() && row_step(line_.front()) != row_step(row)) {
      text += metrics_csv_line(line_, metrics_);
      line_.clear();
    }
    line_.push_back(row);
  }
  line_offset_ = text.size();
  if (!line_.empty()) text += metrics_csv_line(line_, metrics_);
  // Lines without their head, or after another run's, would mean nothing.
  if (!path_.empty() && !try_write_file(path_, text)) path_.clear();
  unwritten_.clear();
  written_ = true;
}

void MetricsCsv::on_log(const LogReport& report) { add(report.row); }

void MetricsCsv::on_evaluate(const EvaluationReport& report) { add(report.row); }

/// A step's later row makes its line longer, never shorter: it is written over itself.
void MetricsCsv::add(const Json& row) {
  if (path_.empty()) return;
  if (!line_.empty() && row_step(line_.front()) != row_step(row)) {
    unwritten_ += metrics_csv_line(line_, metrics_);
    if (written_) {
      line_offset_ += unwritten_.size();
      unwritten_.clear();
    }
    line_.clear();
  }
  line_.push_back(row);
  written_ = try_write_at(path_, line_offset_, unwritten_ + metrics_csv_line(line_, metrics_));
}

}  // namespace elenchus
