#pragma once
// Which rows are trained on and which are evaluated.

#include <cstdint>
#include <span>
#include <vector>

namespace elenchus {

struct RowSplit {
  std::vector<std::int64_t> train;  ///< ascending
  std::vector<std::int64_t> eval;   ///< in the order of the permutation; of folds ascending
};

/// The first `train_fraction` of a seeded random permutation, at least one row, and the rest.
RowSplit split_rows(std::int64_t count, double train_fraction, std::uint64_t seed);

/// Fold `fold` of `folds` for evaluation, the others for training. The rows of each class are dealt
/// to the folds in turn, in a seeded random order, so that every fold has each class's share: what
/// scikit-learn's StratifiedKFold(shuffle=True) is for. InternalError: a fold that is none.
RowSplit stratified_fold(std::span<const std::int64_t> labels, int folds, int fold,
                         std::uint64_t seed);

}  // namespace elenchus
