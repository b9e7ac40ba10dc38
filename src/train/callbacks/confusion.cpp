#include "train/callbacks/confusion.h"

#include <exception>

#include "base/error.h"
#include "base/file.h"
#include "train/log_rows.h"
#include "train/plot.h"

namespace elenchus {
namespace {

constexpr std::size_t kMostClassesDrawn = 20;  // cells of more are too small to read

CountTable table_of(const EvaluationReport& report) {
  CountTable table{.title = cat("Step ", report.progress.step),
                   .row_label = "true class",
                   .column_label = "predicted class",
                   .names = {},
                   .counts = {}};
  const ConfusionMatrix& matrix = report.confusion;
  for (std::size_t row = 0; row < matrix.classes(); ++row) {
    table.names.push_back(printable(report.class_names[row], 32));
    table.counts.emplace_back();
    for (std::size_t column = 0; column < matrix.classes(); ++column)
      table.counts.back().push_back(double(matrix.count(row, column)));
  }
  return table;
}

}  // namespace

void Confusion::on_evaluate(const EvaluationReport& report) {
  if (report.confusion.empty()) return;
  if (say_) say_(confusion_text(report.confusion, report.class_names));
  const auto folder = progress_folder(output_dir_);
  if (folder.empty()) return;
  write(folder / "confusion_matrix", report);
  if (report.best_so_far) write(folder / "confusion_matrix_best", report);
}

void Confusion::write(const std::filesystem::path& stem, const EvaluationReport& report) {
  try {
    Json json = confusion_json(report.confusion, report.class_names);
    json.set("step", report.progress.step);
    write_file_atomically(stem.string() + ".json", json.dump(2) + "\n");
    if (report.confusion.classes() <= kMostClassesDrawn)
      draw_counts(stem.string() + ".png", table_of(report));
  } catch (const std::exception& error) {
    if (warn_) warn_(cat("the confusion matrix was not written: ", error.what()));
  }
}

}  // namespace elenchus
