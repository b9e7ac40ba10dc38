#pragma once
// The order of rows and the batches of a run.

#include <memory>
#include <mutex>
#include <span>

#include "base/rng.h"
#include "data/data_config.h"
#include "data/packed_batch.h"

namespace elenchus {

/// `count` numbers from 0 in random order: Fisher-Yates with the given key. The same on every
/// machine.
std::vector<std::int64_t> random_permutation(std::int64_t count, const RandomKey& key);

struct BatchRules {
  std::int64_t batch_size = 1;  ///< rows of a batch, or with packing bins
  bool packing = false;         ///< bins of max_length, filled with rows
  std::int64_t max_length = 1024;
  Sampling sampling = Sampling::random;
  std::uint64_t seed = 42;
};

/// The most that one batch holds, each taken by itself.
struct BatchExtents {
  std::int64_t tokens = 0, targets = 0, sequences = 0;
};

/// Batches of tokenized rows. An epoch's order is a pure function of (seed, epoch); the last batch
/// of an epoch may be short. Safe to call from several threads.
class RowBatchSource final : public BatchSource {
 public:
  /// `rows` outlives this. InternalError: no rows, or a batch size below 1.
  RowBatchSource(std::span<const TokenizedRow> rows, const BatchRules& rules);
  ~RowBatchSource() override;
  std::int64_t batches_per_epoch() const override;
  PackedBatch batch(std::int64_t epoch, std::int64_t index) const override;
  std::int64_t max_tokens() const override { return max_tokens_; }
  std::int64_t max_targets() const override { return max_targets_; }
  std::int64_t rows() const override { return std::int64_t(rows_.size()); }
  /// Of the batches of the first `epochs` epochs. Walks through them all; where that would take
  /// long, an upper bound.
  BatchExtents largest(std::int64_t epochs) const;
  std::string fingerprint() const override;

 private:
  using Bins = std::vector<std::vector<std::int64_t>>;
  struct EpochPlan;
  std::vector<std::int64_t> order(std::int64_t epoch) const;
  Bins packed_bins(std::int64_t epoch) const;
  std::vector<std::int64_t> rows_of_batch(std::int64_t epoch, std::int64_t index) const;
  void measure();

  std::span<const TokenizedRow> rows_;
  BatchRules rules_;
  std::int64_t groups_ = 0;  // rows, or bins, of an epoch
  std::int64_t max_tokens_ = 0, max_targets_ = 0;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<EpochPlan> plan_;  // of the epoch asked for last
};

}  // namespace elenchus
