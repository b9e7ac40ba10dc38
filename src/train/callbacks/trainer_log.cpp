#include "train/callbacks/trainer_log.h"

#include <cmath>

#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {
namespace {

/// The whole lines of training and evaluation up to a step: what an interrupted run wrote later is
/// written again, and so is the line that closes a run.
std::string lines_up_to(const std::string& text, std::int64_t last_step) {
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line(text.data() + begin, end + 1 - begin);
    begin = end + 1;
    try {
      const Json row = Json::parse(line, "trainer_log.jsonl");
      const Json* step = row.find("current_steps");
      const bool measured = row.find("loss") || row.find("eval_loss");
      if (step && measured && step->as_integer("current_steps") <= last_step) kept += line;
    } catch (const UserError&) {
      continue;
    }
  }
  return kept;
}

}  // namespace

void TrainerLog::on_begin(const RunInfo& info) {
  path_ = info.output_dir / "trainer_log.jsonl";
  try_write_file(path_,
                 info.first_step > 0 ? lines_up_to(try_read_file(path_), info.first_step) : "");
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
