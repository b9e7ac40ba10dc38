#pragma once
// How often each class was taken for each other.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace elenchus {

/// Counts of rows by true class (row) and predicted class (column).
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(std::size_t classes = 0)
      : classes_(classes), counts_(classes * classes, 0) {}
  void add(std::int64_t label, std::int64_t predicted) {
    ++counts_[std::size_t(label) * classes_ + std::size_t(predicted)];
  }
  std::size_t classes() const { return classes_; }
  bool empty() const { return classes_ == 0; }
  std::int64_t count(std::size_t label, std::size_t predicted) const {
    return counts_[label * classes_ + predicted];
  }
  /// Rows of a true class, and rows that were taken for a class.
  std::int64_t of_label(std::size_t label) const;
  std::int64_t of_prediction(std::size_t predicted) const;
  /// Share of a true class's rows that were found; of a class's predictions that were right; their
  /// harmonic mean. 0 where there are none.
  double recall(std::size_t label) const;
  double precision(std::size_t label) const;
  double f1(std::size_t label) const;

 private:
  std::size_t classes_;
  std::vector<std::int64_t> counts_;
};

/// As lines for the log: a row a true class, a column a prediction, recall, precision and F1 behind.
/// Classes without rows and predictions are left out.
std::string confusion_text(const ConfusionMatrix& matrix, const std::vector<std::string>& names);

/// {"labels": [...], "matrix": [[...], ...], "per_class": {NAME: {"precision", "recall",
/// "f1", "support"}}}, rows of the matrix by true class.
Json confusion_json(const ConfusionMatrix& matrix, const std::vector<std::string>& names);

}  // namespace elenchus
