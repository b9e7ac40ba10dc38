#pragma once
// Progress on stderr.

#include <cstdio>

#include "train/callback.h"

namespace elenchus {

enum class Verbosity { normal, quiet };

/// On a terminal one line that is redrawn, no wider than it; elsewhere one line for each logging
/// step, without carriage returns or colours. Quiet: warnings and the summary at the end only.
class ProgressBar : public Callback {
 public:
  /// `out` stays open while it lives; whether it is a terminal is asked of the system.
  explicit ProgressBar(Verbosity verbosity, std::FILE* out = stderr);
  ~ProgressBar() override;
  void on_begin(const RunInfo&) override;
  void on_step(const StepReport&) override;
  void on_log(const LogReport&) override;
  void on_evaluation_progress(std::int64_t done, std::int64_t all) override;
  void on_evaluate(const EvaluationReport&) override;
  void on_save(const SaveReport&) override;
  void on_end(const EndReport&) override;
  void on_message(MessageLevel, const std::string&) override;

 private:
  void draw(double share, const std::vector<std::string>& parts);
  void print(const std::string& line);
  void clear();

  Verbosity verbosity_;
  std::FILE* out_;
  bool terminal_;
  bool drawn_ = false;
  double last_draw_seconds_ = -1;
  std::string best_metric_;
};

/// The bar itself: "[=====>    ]".
std::string bar_text(double share, int width);

}  // namespace elenchus
