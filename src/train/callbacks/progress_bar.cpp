#include "train/callbacks/progress_bar.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "train/log_rows.h"

namespace elenchus {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr std::size_t kWideColumns = 120;
constexpr int kWideBar = 24, kNarrowBar = 10;
constexpr int kUsualColumns = 80;

std::string place(const RunProgress& progress) {
  return fmt::format("step {}/{}  epoch {:.2f}", progress.step, progress.total_steps,
                     progress.epoch);
}

std::string speed(const RunProgress& progress) {
  return fmt::format("{:.0f} tokens/s", progress.tokens_per_second);
}

std::string time_left(const RunProgress& progress) {
  return duration_text(progress.remaining_seconds) + " left";
}

/// A measured number: four decimals, more digits of a small one, fewer of a huge one.
std::string measured(double value) {
  if (std::isnan(value)) return "nan";
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 0.01 && size < 1e6);
  return plain ? fmt::format("{:.4f}", value) : fmt::format("{:.4g}", value);
}

/// A setting, or a number of any size.
std::string brief(double value) {
  return std::isnan(value) ? std::string("nan") : fmt::format("{:.3g}", value);
}

int columns_of(std::FILE* terminal) {
  struct winsize size {};
  const bool known = ioctl(fileno(terminal), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsualColumns;
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

/// A line that wraps could not be redrawn: what there is no room for is left out, the last first.
void ProgressBar::draw(double share, const std::vector<std::string>& parts) {
  const auto columns = std::size_t(std::max(columns_of(out_) - 1, 0));
  std::string line = bar_text(share, columns < kWideColumns ? kNarrowBar : kWideBar);
  for (const std::string& part : parts)
    if (line.size() + 2 + part.size() <= columns) line += "  " + part;
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
  best_metric_ = info.best_metric;
  if (verbosity_ == Verbosity::quiet) return;
  print(fmt::format("training: {} steps, {} an epoch, {} epoch{}; {}", info.total_steps,
                    info.steps_per_epoch, info.epochs, info.epochs == 1 ? "" : "s",
                    memory_text(info.memory)));
}

void ProgressBar::on_step(const StepReport& report) {
  if (verbosity_ == Verbosity::quiet || !terminal_) return;
  const RunProgress& progress = report.progress;
  const bool last = progress.step == progress.total_steps;
  if (!last && progress.elapsed_seconds - last_draw_seconds_ < kRedrawSeconds) return;
  last_draw_seconds_ = progress.elapsed_seconds;
  const double share = double(progress.step) / double(progress.total_steps);
  draw(share, {place(progress), "loss " + measured(report.loss), time_left(progress),
               "lr " + brief(report.learning_rate), "grad_norm " + brief(report.grad_norm),
               speed(progress), memory_text(progress.memory)});
}

void ProgressBar::on_log(const LogReport& report) {
  if (verbosity_ == Verbosity::quiet) return;
  print(fmt::format("{}  loss {}  lr {}  grad_norm {}  {}  {}  {}", place(report.progress),
                    measured(report.loss), brief(report.learning_rate), brief(report.grad_norm),
                    speed(report.progress), time_left(report.progress),
                    memory_text(report.progress.memory)));
}

void ProgressBar::on_evaluation_progress(std::int64_t done, std::int64_t all) {
  if (verbosity_ == Verbosity::quiet || !terminal_) return;
  draw(double(done) / double(std::max<std::int64_t>(1, all)),
       {fmt::format("evaluating {}/{}", done, all)});
}

void ProgressBar::on_evaluate(const EvaluationReport& report) {
  if (verbosity_ == Verbosity::quiet) return;
  std::string line = place(report.progress);
  for (const auto& [name, value] : report.values)
    line += fmt::format("  {} {}", name, measured(value));
  line += report.best_so_far ? "  (best so far)" : "";
  line += fmt::format("  in {:.1f} s", report.seconds);
  if (report.generating_seconds > 0)
    line += fmt::format(", {:.0f} % of it generating replies",
                        100 * report.generating_seconds / std::max(report.seconds, 1e-9));
  print(line + "  " + memory_text(report.progress.memory));
}

void ProgressBar::on_save(const SaveReport& report) {
  if (verbosity_ == Verbosity::quiet) return;
  print(fmt::format("saved {} ({:.2f} s)", report.path.string(), report.seconds));
}

void ProgressBar::on_end(const EndReport& report) {
  const RunProgress& progress = report.progress;
  print(fmt::format("done: {}  {}  {:.0f} tokens/s  {}", place(progress),
                    duration_text(report.seconds), progress.tokens_per_second,
                    memory_text(progress.memory)));
  std::string result = fmt::format("final loss {}, mean {}", measured(report.final_loss),
                                   measured(report.train_loss));
  if (report.best_metric && report.best_step)
    result += fmt::format("; best {} {} at step {}", best_metric_, measured(*report.best_metric),
                          *report.best_step);
  print(result);
}

void ProgressBar::on_message(MessageLevel level, const std::string& text) {
  if (level == MessageLevel::warning) return print("warning: " + text);
  if (level == MessageLevel::result || verbosity_ != Verbosity::quiet) print(text);
}

}  // namespace elenchus
