#include "train/callbacks/trainer_log.h"

#include <cmath>

#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {
namespace {

/// The whole lines of the rows in `log_history`. What an interrupted run wrote after its checkpoint
/// is written again, and so is the line that closes a run.
std::string lines_of(const std::string& text, const Json::Array& log_history) {
  const std::set<std::int64_t> trained = steps_with(log_history, "loss");
  const std::set<std::int64_t> evaluated = steps_with(log_history, "eval_loss");
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line(text.data() + begin, end + 1 - begin);
    begin = end + 1;
    try {
      const Json row = Json::parse(line, "trainer_log.jsonl");
      const std::int64_t step =
          row.at("current_steps", "trainer_log.jsonl").as_integer("current_steps");
      if ((row.find("loss") && trained.contains(step)) ||
          (row.find("eval_loss") && evaluated.contains(step)))
        kept += line;
    } catch (const UserError&) {
      continue;
    }
  }
  return kept;
}

}  // namespace

void TrainerLog::on_begin(const RunInfo& info) {
  path_ = info.output_dir / "trainer_log.jsonl";
  try_write_file(path_, lines_of(try_read_file(path_), info.log_history));
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
