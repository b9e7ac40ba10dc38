#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/rng.h"
#include "data/batch_source.h"

namespace elenchus {
namespace {

std::vector<std::int64_t> permutation(std::int64_t count, std::uint64_t seed) {
  return random_permutation(count, {.seed = seed, .use = RandomUse::split});
}

}  // namespace

RowSplit split_rows(std::int64_t count, double train_fraction, std::uint64_t seed) {
  // A share like 0.29 of 100 is a little less than 29 in binary.
  const auto train_count =
      std::clamp<std::int64_t>(std::int64_t(std::floor(double(count) * train_fraction + 1e-9)),
                               std::min<std::int64_t>(count, 1), count);
  const std::vector<std::int64_t> order = permutation(count, seed);
  RowSplit split{.train = {order.begin(), order.begin() + train_count},
                 .eval = {order.begin() + train_count, order.end()}};
  std::ranges::sort(split.train);
  return split;
}

RowSplit stratified_fold(std::span<const std::int64_t> labels, int folds, int fold,
                         std::uint64_t seed) {
  expect(folds >= 2 && fold >= 0 && fold < folds, "a fold among two or more");
  std::map<std::int64_t, std::vector<std::int64_t>> rows_of_class;
  for (const std::int64_t row : permutation(std::int64_t(labels.size()), seed))
    rows_of_class[labels[std::size_t(row)]].push_back(row);
  RowSplit split;
  std::int64_t dealt = 0;  // goes on from class to class, so that the folds' sizes differ by one
  for (const auto& [label, rows] : rows_of_class)
    for (const std::int64_t row : rows)
      (dealt++ % folds == fold ? split.eval : split.train).push_back(row);
  std::ranges::sort(split.train);
  std::ranges::sort(split.eval);
  return split;
}

}  // namespace elenchus
