#pragma once
// A classifier's confusion matrix after every evaluation: in the log, as JSON and as a picture.

#include <filesystem>
#include <functional>
#include <string>

#include "train/callback.h"

namespace elenchus {

/// training_progress/confusion_matrix.json and .png of the latest evaluation, and
/// confusion_matrix_best.json and .png of the best so far.
class Confusion final : public Callback {
 public:
  /// `say` takes the table for the log, `warn` that something could not be written.
  using Say = std::function<void(const std::string&)>;
  Confusion(Say say, Say warn) : say_(std::move(say)), warn_(std::move(warn)) {}
  void on_begin(const RunInfo& info) override { output_dir_ = info.output_dir; }
  void on_evaluate(const EvaluationReport& report) override;

 private:
  void write(const std::filesystem::path& stem, const EvaluationReport& report);

  Say say_, warn_;
  std::filesystem::path output_dir_;
};

}  // namespace elenchus
