#include "train/callbacks/metrics_csv.h"

#include <cmath>
#include <map>

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

}  // namespace

std::string metrics_csv_text(const Json::Array& log_history,
                             const std::vector<std::string>& metrics) {
  std::vector<std::string> keys = {"epoch", "loss", "learning_rate"};
  std::string out = "step,epoch,loss,learning_rate";
  for (const std::string& metric : metrics) {
    out += "," + field(metric);
    keys.push_back(row_key(metric));
  }
  out += "\n";
  std::map<std::int64_t, std::map<std::string, double>> lines;
  for (const Json& row : log_history) {
    if (row.find("train_runtime")) continue;  // the summary measures nothing of its own step
    for (const std::string& key : keys)
      if (const auto value = row_number(row, key)) lines[row_step(row)][key] = *value;
  }
  for (const auto& [step, values] : lines) {
    out += cat(step);
    for (const std::string& key : keys) {
      const auto found = values.find(key);
      out += found == values.end() ? "," : "," + number(found->second);
    }
    out += "\n";
  }
  return out;
}

void MetricsCsv::on_begin(const RunInfo& info) {
  const auto folder = progress_folder(info.output_dir);
  if (!folder.empty()) path_ = folder / "training_metrics.csv";
  metrics_ = {"eval_loss"};
  metrics_.insert(metrics_.end(), info.metrics.begin(), info.metrics.end());
  rows_ = info.log_history;
  write();
}

void MetricsCsv::on_log(const LogReport& report) {
  rows_.push_back(report.row);
  write();
}

void MetricsCsv::on_evaluate(const EvaluationReport& report) {
  rows_.push_back(report.row);
  write();
}

void MetricsCsv::write() const {
  if (!path_.empty()) try_write_file(path_, metrics_csv_text(rows_, metrics_));
}

}  // namespace elenchus
