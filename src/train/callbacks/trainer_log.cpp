#include "train/callbacks/trainer_log.h"

#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {
namespace {

/// A row of training, or of evaluation.
using RowKey = std::pair<std::int64_t, bool>;

/// The whole lines of the log, by the rows that they are of.
std::map<RowKey, std::string> lines_by_row(const std::string& text) {
  std::map<RowKey, std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    try {
      const Json row = Json::parse(line, "trainer_log.jsonl");
      const Json& step = row.at("current_steps", "trainer_log.jsonl");
      if (row.find("loss") || row.find("eval_loss"))
        lines[{step.as_integer("current_steps"), !row.find("loss")}] = line;
    } catch (const UserError&) {
      continue;
    }
  }
  return lines;
}

/// What is still known of a row whose line is gone: not when it was written.
Json line_of(const Json& row, const RunInfo& info) {
  Json line = Json::Object{{"current_steps", row_step(row)}, {"total_steps", info.total_steps}};
  for (const auto& [key, value] : row.as_object("row"))
    if (key == "learning_rate")
      line.set("lr", value);
    else if (key == "loss" || (key.starts_with("eval_") && !key.ends_with("_runtime") &&
                               !key.ends_with("_per_second")))
      line.set(key, value);
  line.set("epoch", row.at("epoch", "row"));
  return line;
}

}  // namespace

/// Leaves the lines of the rows in the run's log. What an interrupted run wrote after its checkpoint
/// is written again, and so is the line that closes a run.
void TrainerLog::on_begin(const RunInfo& info) {
  path_ = info.output_dir / "trainer_log.jsonl";
  const std::map<RowKey, std::string> before = lines_by_row(try_read_file(path_));
  std::string text;
  for (const Json& row : info.log_history) {
    if (!row.find("loss") && !row.find("eval_loss")) continue;
    const auto line = before.find({row_step(row), !row.find("loss")});
    text += (line == before.end() ? line_of(row, info).dump() : line->second) + "\n";
  }
  try_write_file(path_, text);
}

void TrainerLog::append(Json row, const RunProgress& progress) {
  const double share = double(progress.step) / double(progress.total_steps) * 100;
  row.set("epoch", progress.epoch);
  row.set("percentage", std::round(share * 100) / 100);
  row.set("elapsed_time", duration_text(progress.elapsed_seconds));
  row.set("remaining_time", duration_text(progress.remaining_seconds));
  row.set("throughput", std::round(progress.tokens_per_second * 100) / 100);
  row.set("total_tokens", progress.tokens);
  try_append(path_, row.dump() + "\n");
}

void TrainerLog::on_log(const LogReport& report) {
  append(Json::Object{{"current_steps", report.progress.step},
                      {"total_steps", report.progress.total_steps},
                      {"loss", report.loss},
                      {"lr", report.learning_rate}},
         report.progress);
}

void TrainerLog::on_evaluate(const EvaluationReport& report) {
  Json row = Json::Object{{"current_steps", report.progress.step},
                          {"total_steps", report.progress.total_steps}};
  for (const auto& [name, value] : report.values) row.set(name, value);
  append(std::move(row), report.progress);
}

void TrainerLog::on_end(const EndReport& report) {
  append(Json::Object{{"current_steps", report.progress.step},
                      {"total_steps", report.progress.total_steps}},
         report.progress);
}

}  // namespace elenchus
