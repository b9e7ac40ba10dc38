#pragma once
// From a classifier's scores to the probabilities that `elenchus predict` writes.

#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace elenchus {

/// Of each row: a logit of each class.
using ClassScores = std::vector<std::vector<float>>;

/// softmax(scores / temperature) over the classes that are given a name; 0 for the others.
std::vector<double> class_probabilities(std::span<const float> scores,
                                        const std::vector<ClassName>& classes, double temperature);

/// The mean over two orders of two answers, which are the first two classes: of their
/// probabilities `swapped` has the other's.
std::vector<double> averaged_orders(std::vector<double> given, std::vector<double> swapped);

/// Mean of -log p(a row's label), at least one row.
double mean_log_loss(const ClassScores& scores, std::span<const TokenizedRow> rows,
                     const std::vector<ClassName>& classes, double temperature);

inline constexpr double kLeastTemperature = 0.05, kLargestTemperature = 20;

/// The temperature of the least log loss between these two: golden sections of its logarithm, in
/// which the loss falls, then rises. Guo et al. 2017, arXiv:1706.04599.
double fitted_temperature(const ClassScores& scores, std::span<const TokenizedRow> rows,
                          const std::vector<ClassName>& classes);

/// A CSV text: id and the probabilities of the classes that are given a name, a line a row.
/// `swapped` has the scores of the exchanged answers, or nothing.
struct ScoredRows {
  std::vector<std::string> ids;
  ClassScores scores, swapped = {};
};
std::string probabilities_csv(const ScoredRows& rows, const std::vector<ClassName>& classes,
                              double temperature);

/// The numbers of rows in batches of like length, longest first: the first batch is the largest.
class LengthBatches {
 public:
  /// `size` rows a batch, the last one fewer.
  LengthBatches(std::span<const TokenizedRow> rows, std::int64_t size);
  std::size_t count() const;
  std::span<const std::size_t> rows(std::size_t batch) const;

 private:
  std::size_t size_;
  std::vector<std::size_t> order_;
};

}  // namespace elenchus
