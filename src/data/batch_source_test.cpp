#include "data/batch_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "data/packer.h"

namespace elenchus {
namespace {

std::vector<TokenizedRow> rows_of_lengths(std::initializer_list<int> lengths) {
  std::vector<TokenizedRow> rows;
  for (const int length : lengths) {
    TokenizedRow row;
    row.number = std::int64_t(rows.size());
    for (int i = 0; i < length; ++i) row.ids.push_back(100 * int(rows.size()) + i);
    row.trained.assign(std::size_t(length), 1);
    row.trained.front() = 0;
    rows.push_back(std::move(row));
  }
  return rows;
}

TEST(Pack, LaysRowsEndToEndAndNeverPredictsAcrossThem) {
  auto rows = rows_of_lengths({3, 2});
  rows[1].trained.front() = 1;  // a first token has nothing before it
  const TokenizedRow* pointers[] = {&rows[0], &rows[1]};
  const std::int64_t indices[] = {7, 4};
  const PackedBatch batch = pack(pointers, indices);
  EXPECT_EQ(batch.tokens, (std::vector<std::int32_t>{0, 1, 2, 100, 101}));
  EXPECT_EQ(batch.positions, (std::vector<std::int32_t>{0, 1, 2, 0, 1}));
  EXPECT_EQ(batch.starts, (std::vector<std::int32_t>{0, 3, 5}));
  EXPECT_EQ(batch.target_rows, (std::vector<std::int32_t>{0, 1, 3}));
  EXPECT_EQ(batch.labels, (std::vector<std::int32_t>{1, 2, 101}));
  EXPECT_EQ(batch.rows, (std::vector<std::int64_t>{7, 4}));
}

TEST(Pack, HasTheLastTokenOfAClassifiedRowPredictItsClass) {
  auto rows = rows_of_lengths({3, 1, 2});
  for (TokenizedRow& row : rows) {
    row.trained.clear();
    row.label = row.number;
  }
  const TokenizedRow* pointers[] = {&rows[2], &rows[0], &rows[1]};
  const std::int64_t indices[] = {2, 0, 1};
  const PackedBatch batch = pack(pointers, indices);
  EXPECT_EQ(batch.target_rows, (std::vector<std::int32_t>{1, 4, 5}));
  EXPECT_EQ(batch.labels, (std::vector<std::int32_t>{2, 0, 1}));
  EXPECT_EQ(rows[0].trained_count(), 1);
}

TEST(FillBins, FillsTheFullestThatStillFits) {
  const std::int64_t lengths[] = {4, 7, 3, 6, 12};
  EXPECT_EQ(fill_bins(lengths, 10), (std::vector<std::vector<std::int64_t>>{{4}, {1, 2}, {3, 0}}));
  EXPECT_TRUE(fill_bins({}, 10).empty());
}

TEST(RandomPermutation, HoldsEveryNumberOnceAndDependsOnItsKey) {
  const RandomKey key = {.seed = 1, .use = RandomUse::shuffle};
  const RandomKey other = {.seed = 1, .use = RandomUse::shuffle, .step = 1};
  const auto order = random_permutation(100, key);
  EXPECT_EQ(std::set<std::int64_t>(order.begin(), order.end()).size(), 100u);
  EXPECT_EQ(order, random_permutation(100, key));
  EXPECT_NE(order, random_permutation(100, other));
  EXPECT_TRUE(random_permutation(0, key).empty());
}

/// Every row of an epoch, in the order of the batches; checks the bounds on the way.
std::vector<std::int64_t> rows_of_epoch(const RowBatchSource& source, std::int64_t epoch) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < source.batches_per_epoch(); ++i) {
    const PackedBatch batch = source.batch(epoch, i);
    EXPECT_LE(std::int64_t(batch.tokens.size()), source.max_tokens());
    EXPECT_LE(std::int64_t(batch.labels.size()), source.max_targets());
    out.insert(out.end(), batch.rows.begin(), batch.rows.end());
  }
  return out;
}

TEST(RowBatchSource, TakesEveryRowOnceAnEpochInAnyMode) {
  const auto rows = rows_of_lengths({5, 9, 2, 7, 3, 3, 8, 1, 6, 4, 2});
  for (const bool packing : {false, true})
    for (const Sampling sampling : {Sampling::random, Sampling::sequential}) {
      const RowBatchSource source(
          rows,
          {.batch_size = 2, .packing = packing, .max_length = 10, .sampling = sampling, .seed = 3});
      for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
        auto seen = rows_of_epoch(source, epoch);
        std::ranges::sort(seen);
        for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(seen[i], std::int64_t(i));
        ASSERT_EQ(seen.size(), rows.size());
      }
    }
}

TEST(RowBatchSource, KeepsFileOrderWhenSequential) {
  const auto rows = rows_of_lengths({5, 9, 2});
  const RowBatchSource source(rows, {.batch_size = 2, .sampling = Sampling::sequential});
  EXPECT_EQ(source.batches_per_epoch(), 2);
  EXPECT_EQ(source.batch(0, 0).rows, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(source.batch(5, 1).rows, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(source.max_tokens(), 14);
}

TEST(RowBatchSource, IsAFunctionOfEpochAndIndex) {
  const auto rows = rows_of_lengths({5, 9, 2, 7, 3, 3, 8, 1, 6, 4, 2});
  const BatchRules rules = {.batch_size = 2, .packing = true, .max_length = 10};
  const RowBatchSource source(rows, rules), again(rows, rules);
  const auto first = rows_of_epoch(source, 0);
  EXPECT_NE(rows_of_epoch(source, 1), first);
  EXPECT_EQ(again.batch(1, 1).rows, source.batch(1, 1).rows);
  EXPECT_EQ(rows_of_epoch(again, 0), first);
}

TEST(RowBatchSource, FillsBinsWithoutPassingMaxLength) {
  const auto rows = rows_of_lengths({5, 9, 2, 7, 3, 3, 8, 1, 6, 4, 2});  // 50 tokens
  const RowBatchSource source(rows, {.batch_size = 1, .packing = true, .max_length = 10});
  EXPECT_EQ(source.batches_per_epoch(), 5);
  EXPECT_EQ(source.max_tokens(), 10);
}

TEST(RowBatchSource, HasAFingerprintOfAllThatDecidesBatches) {
  auto rows = rows_of_lengths({5, 9});
  const std::string before = RowBatchSource(rows, {}).fingerprint();
  EXPECT_EQ(RowBatchSource(rows, {}).fingerprint(), before);
  EXPECT_NE(RowBatchSource(rows, {.batch_size = 2}).fingerprint(), before);
  EXPECT_NE(RowBatchSource(rows, {.seed = 1}).fingerprint(), before);
  rows[0].trained[1] = 0;
  EXPECT_NE(RowBatchSource(rows, {}).fingerprint(), before);
}

TEST(RowBatchSource, BoundsTheLargestBatchOfAnyNumberOfEpochs) {
  const auto rows = rows_of_lengths({5, 9, 2});
  const RowBatchSource source(rows, {.batch_size = 2});
  for (const std::int64_t epochs :
       {std::int64_t{1} << 40, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(source.largest(epochs).tokens, source.max_tokens());
    EXPECT_EQ(source.largest(epochs).sequences, 2);
  }
}

TEST(RowBatchSource, ServesFewerRowsThanABatch) {
  const auto rows = rows_of_lengths({3});
  const RowBatchSource source(rows, {.batch_size = 8});
  EXPECT_EQ(source.batches_per_epoch(), 1);
  EXPECT_EQ(source.batch(0, 0).tokens.size(), 3u);
}

}  // namespace
}  // namespace elenchus
