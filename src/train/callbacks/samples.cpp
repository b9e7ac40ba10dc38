#include "train/callbacks/samples.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {
namespace {

constexpr std::string_view kHead = "=== step ";

/// The blocks of the given steps. A block begins with its head at the start of a line.
std::string blocks_of(const std::string& text, const std::set<std::int64_t>& steps) {
  std::string kept;
  bool keep = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    if (text.compare(at, kHead.size(), kHead) == 0) {
      std::int64_t step = 0;
      std::from_chars(text.data() + at + kHead.size(), text.data() + text.size(), step);
      keep = steps.contains(step);
    }
    if (keep) kept.append(text, at, end - at);
    at = end;
  }
  return kept;
}

/// Text with every line set in, so that no line of a reply looks like a block's head.
std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out + "\n";
}

}  // namespace

void Samples::on_begin(const RunInfo& info) {
  const auto folder = progress_folder(info.output_dir);
  if (folder.empty()) return;
  path_ = folder / "samples.txt";
  const std::string before = try_read_file(path_);
  if (!before.empty())
    try_write_file(path_, blocks_of(before, steps_with(info.log_history, "eval_loss")));
}

void Samples::on_evaluate(const EvaluationReport& report) {
  if (report.samples.empty() || path_.empty()) return;
  std::string block = cat(kHead, report.progress.step, ", epoch ", report.progress.epoch, " ===\n");
  for (const Sample& sample : report.samples)
    block += "prompt:\n" + indented(sample.prompt) + "reply:\n" + indented(sample.reply);
  try_append(path_, block + "\n");
}

}  // namespace elenchus
