#include "train/callbacks/plots.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "base/clock.h"
#include "base/error.h"
#include "train/log_rows.h"

namespace elenchus {
namespace {

constexpr double kRestSeconds = 2, kRestShare = 50;  // between two drawings

PlotSeries series(const Json::Array& rows, const std::string& key, std::string name) {
  PlotSeries out{.name = std::move(name), .x = {}, .y = {}, .smooth = false, .markers = false};
  for (const Json& row : rows) {
    const auto value = row_number(row, key);
    if (!value) continue;
    out.x.push_back(double(row_step(row)));
    out.y.push_back(*value);
  }
  return out;
}

PlotSeries trained(const Json::Array& rows, const std::string& key, std::string name) {
  PlotSeries out = series(rows, key, std::move(name));
  out.smooth = true;
  return out;
}

PlotSeries evaluated(const Json::Array& rows, const std::string& metric) {
  PlotSeries out = series(rows, row_key(metric), metric);
  out.markers = true;
  return out;
}

double largest(const PlotSeries& line) {
  double most = 0;
  for (const double y : line.y)
    if (std::isfinite(y)) most = std::max(most, std::abs(y));
  return most;
}

/// Leaves out the lines beside which `measure` would look flat.
void drop_larger_lines(std::vector<PlotSeries>& lines, std::string_view measure) {
  constexpr double kLargest = 10;
  const auto found = std::ranges::find(lines, measure, &PlotSeries::name);
  const double scale = found == lines.end() ? 0 : largest(*found);
  if (scale > 0)
    std::erase_if(lines, [&](const PlotSeries& line) { return largest(line) > kLargest * scale; });
}

/// A metric's name is the user's: it must not lead into another folder.
std::string file_name(std::string metric) {
  std::ranges::replace(metric, '/', '_');
  return metric;
}

}  // namespace

Plots::Plots(std::function<void(const std::string&)> warn) : warn_(std::move(warn)) {}

void Plots::on_begin(const RunInfo& info) {
  output_dir_ = info.output_dir;
  metrics_ = info.metrics;
  best_metric_ = info.best_metric;
  rows_ = info.log_history;
}

void Plots::on_log(const LogReport& report) {
  rows_.push_back(report.row);
  const double since = monotonic_seconds() - drawn_seconds_;
  if (since > std::max(kRestSeconds, kRestShare * drawing_seconds_)) draw_overview();
}

void Plots::on_evaluate(const EvaluationReport& report) {
  rows_.push_back(report.row);
  draw_overview();
}

void Plots::on_end(const EndReport&) {
  draw_overview();
  draw(output_dir_ / "training_loss.png",
       {{"Training loss", "step", {trained(rows_, "loss", "loss")}}});
  std::vector<std::string> measured = metrics_;
  measured.insert(measured.begin(), "eval_loss");
  for (const std::string& metric : measured) {
    PlotSeries line = evaluated(rows_, metric);
    if (line.x.empty()) continue;
    draw(output_dir_ / cat("training_", file_name(metric), ".png"),
         {{metric, "step", {std::move(line)}}});
  }
}

void Plots::draw_overview() {
  const auto folder = progress_folder(output_dir_);
  if (folder.empty()) return;
  const double began = monotonic_seconds();
  PlotPanel loss{"Loss", "step", {trained(rows_, "loss", "training loss")}};
  PlotSeries eval_loss = evaluated(rows_, "eval_loss");
  if (!eval_loss.x.empty()) loss.series.push_back(std::move(eval_loss));
  PlotPanel metrics{"Metrics", "step", {}};
  for (const std::string& metric : metrics_) metrics.series.push_back(evaluated(rows_, metric));
  drop_larger_lines(metrics.series, best_metric_);
  if (metrics_.empty()) {
    metrics.title = "Token accuracy";
    metrics.series.push_back(evaluated(rows_, "mean_token_accuracy"));
  }
  draw(folder / "training_progress.png",
       {std::move(loss),
        {"Learning rate", "step", {series(rows_, "learning_rate", "learning rate")}},
        std::move(metrics),
        {"Gradient norm", "step", {trained(rows_, "grad_norm", "gradient norm")}}});
  drawn_seconds_ = monotonic_seconds();
  drawing_seconds_ = drawn_seconds_ - began;
}

void Plots::draw(const std::filesystem::path& png, const std::vector<PlotPanel>& panels) {
  try {
    draw_plot(png, panels);
  } catch (const std::exception& error) {
    if (warn_ && !warned_) warn_(cat("no picture was drawn: ", error.what()));
    warned_ = true;
  }
}

}  // namespace elenchus
