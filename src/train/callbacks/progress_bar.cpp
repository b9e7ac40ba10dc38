#include "train/callbacks/progress_bar.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "train/log_rows.h"

namespace elenchus {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr int kBarWidth = 24;
constexpr double kGiB = 1024.0 * 1024 * 1024;

std::string place(const RunProgress& progress) {
  return fmt::format("step {}/{}  epoch {:.2f}", progress.step, progress.total_steps,
                     progress.epoch);
}

std::string pace(const RunProgress& progress) {
  return fmt::format("{:.0f} tokens/s  {} left", progress.tokens_per_second,
                     duration_text(progress.remaining_seconds));
}

}  // namespace

std::string bar_text(double share, int width) {
  const int filled = int(std::clamp(share, 0.0, 1.0) * width);
  std::string out(std::size_t(filled), '=');
  if (filled < width) out += '>';
  out.resize(std::size_t(width), ' ');
  return "[" + out + "]";
}

ProgressBar::ProgressBar(Verbosity verbosity, std::FILE* out)
    : verbosity_(verbosity), out_(out), terminal_(isatty(fileno(out)) == 1) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() {
  if (drawn_) std::fputs("\r\x1b[K", out_);
  drawn_ = false;
}

void ProgressBar::draw(const std::string& line) {
  std::fprintf(out_, "\r%s\x1b[K", line.c_str());
  std::fflush(out_);
  drawn_ = true;
}

void ProgressBar::print(const std::string& line) {
  clear();
  std::fprintf(out_, "%s\n", line.c_str());
  std::fflush(out_);
}

void ProgressBar::on_begin(const RunInfo& info) {
  if (verbosity_ == Verbosity::quiet) return;
  print(fmt::format("training: {} steps, {} an epoch, {} epoch{}", info.total_steps,
                    info.steps_per_epoch, info.epochs, info.epochs == 1 ? "" : "s"));
}

void ProgressBar::on_step(const StepReport& report) {
  if (verbosity_ == Verbosity::quiet || !terminal_) return;
  const RunProgress& progress = report.progress;
  const bool last = progress.step == progress.total_steps;
  if (!last && progress.elapsed_seconds - last_draw_seconds_ < kRedrawSeconds) return;
  last_draw_seconds_ = progress.elapsed_seconds;
  const double share = double(progress.step) / double(progress.total_steps);
  draw(fmt::format("{} {}  loss {:.4f}  lr {:.3g}  {}", bar_text(share, kBarWidth), place(progress),
                   report.loss, report.learning_rate, pace(progress)));
}

void ProgressBar::on_log(const LogReport& report) {
  if (verbosity_ == Verbosity::quiet) return;
  print(fmt::format("{}  loss {:.4f}  lr {:.3g}  grad_norm {:.3g}  {}  peak memory {:.2f} GiB",
                    place(report.progress), report.loss, report.learning_rate, report.grad_norm,
                    pace(report.progress), double(report.peak_memory_bytes) / kGiB));
}

void ProgressBar::on_evaluation_progress(std::int64_t done, std::int64_t all) {
  if (verbosity_ == Verbosity::quiet || !terminal_) return;
  draw(fmt::format("{} evaluating {}/{}",
                   bar_text(double(done) / double(std::max<std::int64_t>(1, all)), kBarWidth), done,
                   all));
}

void ProgressBar::on_evaluate(const EvaluationReport& report) {
  if (verbosity_ == Verbosity::quiet) return;
  std::string line = place(report.progress);
  for (const auto& [name, value] : report.values) line += fmt::format("  {} {:.4f}", name, value);
  print(line + (report.best_so_far ? "  (best so far)" : ""));
}

void ProgressBar::on_save(const SaveReport& report) {
  if (verbosity_ == Verbosity::quiet) return;
  print(fmt::format("saved {} ({:.2f} s)", report.path.string(), report.seconds));
}

void ProgressBar::on_end(const EndReport& report) {
  if (verbosity_ == Verbosity::quiet) return;
  print(fmt::format("done: {}  mean loss {:.4f}  {}  {:.0f} tokens/s", place(report.progress),
                    report.train_loss, duration_text(report.seconds),
                    report.progress.tokens_per_second));
}

void ProgressBar::on_message(MessageLevel level, const std::string& text) {
  if (level == MessageLevel::warning) return print("warning: " + text);
  if (verbosity_ != Verbosity::quiet) print(text);
}

}  // namespace elenchus
