#include "train/callbacks/samples.h"

#include <charconv>

#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {
namespace {

constexpr std::string_view kHead = "=== step ";

/// The blocks up to a step. A block begins with its head at the start of a line.
std::string blocks_up_to(const std::string& text, std::int64_t last_step) {
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, kHead.size(), kHead) == 0) {
      std::int64_t step = 0;
      std::from_chars(text.data() + at + kHead.size(), text.data() + text.size(), step);
      if (step > last_step) return text.substr(0, at);
    }
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return text;
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
    try_write_file(path_, info.first_step > 0 ? blocks_up_to(before, info.first_step) : "");
}

void Samples::on_evaluate(const EvaluationReport& report) {
  if (report.samples.empty() || path_.empty()) return;
  std::string block = cat(kHead, report.progress.step, ", epoch ", report.progress.epoch, " ===\n");
  for (const Sample& sample : report.samples)
    block += "prompt:\n" + indented(sample.prompt) + "reply:\n" + indented(sample.reply);
  try_append(path_, block + "\n");
}

}  // namespace elenchus
