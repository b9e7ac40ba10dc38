#pragma once
// training_progress/training_progress.png, training_loss.png, training_eval_loss.png and
// training_<metric>.png.

#include <functional>

#include "train/callback.h"
#include "train/plot.h"

namespace elenchus {

/// Draws the overview after each evaluation, after rows of the log as long as that takes a fiftieth
/// of the time at most, and at the end, where the others come as well. A picture that cannot be
/// drawn is left out, once with a warning. Metrics of another order of magnitude than the one that
/// chooses the best model would flatten it: they have their own pictures only.
class Plots : public Callback {
 public:
  /// `warn` takes one line.
  explicit Plots(std::function<void(const std::string&)> warn = {});
  void on_begin(const RunInfo&) override;
  void on_log(const LogReport&) override;
  void on_evaluate(const EvaluationReport&) override;
  void on_end(const EndReport&) override;

 private:
  void draw_overview();
  void draw(const std::filesystem::path& png, const std::vector<PlotPanel>& panels);

  std::function<void(const std::string&)> warn_;
  std::filesystem::path output_dir_;
  std::vector<std::string> metrics_;
  std::string best_metric_;
  Json::Array rows_;
  bool warned_ = false;
  double drawn_seconds_ = 0,
         drawing_seconds_ = 0;  ///< when it was last drawn, and how long that took
};

}  // namespace elenchus
