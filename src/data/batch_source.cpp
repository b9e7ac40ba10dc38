#include "data/batch_source.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "base/sha256.h"
#include "data/packer.h"

namespace elenchus {
namespace {

// Sites of the shuffle's random numbers.
constexpr std::uint32_t kRowSite = 0, kBinSite = 1;

template <class T>
void hash_values(Sha256& hash, std::span<const T> values) {
  const std::uint64_t count = values.size();
  hash.update(std::as_bytes(std::span(&count, 1)));
  hash.update(std::as_bytes(values));
}

/// Sum of the `count` largest numbers.
std::int64_t sum_of_largest(std::vector<std::int64_t> numbers, std::int64_t count) {
  std::ranges::sort(numbers, std::greater<>());
  const auto taken = std::min<std::ptrdiff_t>(std::ptrdiff_t(numbers.size()), count);
  return std::accumulate(numbers.begin(), numbers.begin() + taken, std::int64_t{0});
}

}  // namespace

std::vector<std::int64_t> random_permutation(std::int64_t count, const RandomKey& key) {
  expect(count >= 0 && count < (std::int64_t{1} << 32), "rows are counted with 32 bits");
  std::vector<std::int64_t> out(std::size_t(count), 0);
  std::iota(out.begin(), out.end(), 0);
  for (std::int64_t i = count - 1; i > 0; --i)
    std::swap(out[std::size_t(i)], out[key.below(std::uint64_t(i), std::uint32_t(i + 1))]);
  return out;
}

struct RowBatchSource::EpochPlan {
  std::int64_t epoch = 0;
  Bins groups;  // what a batch takes batch_size of; without packing one row each
};

RowBatchSource::RowBatchSource(std::span<const TokenizedRow> rows, const BatchRules& rules)
    : rows_(rows), rules_(rules) {
  expect(!rows.empty() && rules.batch_size >= 1, "batches need rows and a size");
  measure();
}

RowBatchSource::~RowBatchSource() = default;

std::vector<std::int64_t> RowBatchSource::order(std::int64_t epoch) const {
  if (rules_.sampling == Sampling::random)
    return random_permutation(rows(), {.seed = rules_.seed,
                                       .use = RandomUse::shuffle,
                                       .step = std::uint32_t(epoch),
                                       .site = kRowSite});
  std::vector<std::int64_t> out(rows_.size());
  std::iota(out.begin(), out.end(), 0);
  return out;
}

RowBatchSource::Bins RowBatchSource::packed_bins(std::int64_t epoch) const {
  const std::vector<std::int64_t> order = this->order(epoch);
  std::vector<std::int64_t> lengths;
  for (const std::int64_t row : order)
    lengths.push_back(std::int64_t(rows_[std::size_t(row)].ids.size()));
  Bins bins = fill_bins(lengths, rules_.max_length);
  for (auto& bin : bins) std::ranges::sort(bin);
  // Bins come longest rows first, which no run should see in that order.
  if (rules_.sampling == Sampling::sequential) {
    std::ranges::sort(bins, {}, [](const auto& bin) { return bin.front(); });
  } else {
    const auto places = random_permutation(std::int64_t(bins.size()), {.seed = rules_.seed,
                                                                       .use = RandomUse::shuffle,
                                                                       .step = std::uint32_t(epoch),
                                                                       .site = kBinSite});
    Bins shuffled;
    for (const std::int64_t place : places) shuffled.push_back(std::move(bins[std::size_t(place)]));
    bins = std::move(shuffled);
  }
  for (auto& bin : bins)
    for (std::int64_t& row : bin) row = order[std::size_t(row)];
  return bins;
}

void RowBatchSource::measure() {
  std::vector<std::int64_t> tokens, targets;
  for (const TokenizedRow& row : rows_) {
    tokens.push_back(std::int64_t(row.ids.size()));
    targets.push_back(row.trained_count());
  }
  groups_ = rows();
  max_tokens_ = sum_of_largest(tokens, rules_.batch_size);
  max_targets_ = sum_of_largest(targets, rules_.batch_size);
  if (!rules_.packing) return;
  // Which rows share a bin differs from epoch to epoch, but only among rows of equal length: the
  // number of bins and their lengths stay.
  const std::int64_t all_targets = std::accumulate(targets.begin(), targets.end(), std::int64_t{0});
  std::vector<std::int64_t> bin_tokens;
  for (const auto& bin : packed_bins(0)) {
    bin_tokens.push_back(0);
    for (const std::int64_t row : bin) bin_tokens.back() += tokens[std::size_t(row)];
  }
  groups_ = std::int64_t(bin_tokens.size());
  max_tokens_ = sum_of_largest(bin_tokens, rules_.batch_size);
  max_targets_ = std::min(max_tokens_, all_targets);
}

BatchExtents RowBatchSource::largest(std::int64_t epochs) const {
  constexpr std::int64_t kMostRows = 4'000'000;
  if (epochs > kMostRows / rows())
    return {max_tokens_, max_targets_,
            rules_.packing ? std::min(rows(), max_tokens_) : rules_.batch_size};
  BatchExtents most;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch)
    for (std::int64_t index = 0; index < batches_per_epoch(); ++index) {
      BatchExtents batch;
      for (const std::int64_t row : rows_of_batch(epoch, index)) {
        batch.tokens += std::int64_t(rows_[std::size_t(row)].ids.size());
        batch.targets += rows_[std::size_t(row)].trained_count();
        batch.sequences += 1;
      }
      most = {std::max(most.tokens, batch.tokens), std::max(most.targets, batch.targets),
              std::max(most.sequences, batch.sequences)};
    }
  return most;
}

std::int64_t RowBatchSource::batches_per_epoch() const {
  return (groups_ + rules_.batch_size - 1) / rules_.batch_size;
}

std::vector<std::int64_t> RowBatchSource::rows_of_batch(std::int64_t epoch,
                                                        std::int64_t index) const {
  const std::lock_guard lock(mutex_);
  if (!plan_ || plan_->epoch != epoch) {
    plan_ = std::make_unique<EpochPlan>();
    plan_->epoch = epoch;
    if (rules_.packing) {
      plan_->groups = packed_bins(epoch);
    } else {
      for (const std::int64_t row : order(epoch)) plan_->groups.push_back({row});
    }
  }
  const std::int64_t first = index * rules_.batch_size;
  const std::int64_t last = std::min(first + rules_.batch_size, groups_);
  std::vector<std::int64_t> out;
  for (std::int64_t i = first; i < last; ++i) {
    const auto& group = plan_->groups[std::size_t(i)];
    out.insert(out.end(), group.begin(), group.end());
  }
  return out;
}

PackedBatch RowBatchSource::batch(std::int64_t epoch, std::int64_t index) const {
  expect(epoch >= 0 && index >= 0 && index < batches_per_epoch(), "no such batch");
  const std::vector<std::int64_t> indices = rows_of_batch(epoch, index);
  std::vector<const TokenizedRow*> rows;
  for (const std::int64_t row : indices) rows.push_back(&rows_[std::size_t(row)]);
  return pack(rows, indices);
}

std::string RowBatchSource::fingerprint() const {
  Sha256 hash;
  hash.update("order 1: fisher-yates over philox, best-fit-decreasing bins\n");
  hash.update(cat(rules_.batch_size, " ", int(rules_.packing), " ", rules_.max_length, " ",
                  int(rules_.sampling), " ", rules_.seed, " ", rows_.size(), "\n"));
  for (const TokenizedRow& row : rows_) {
    hash_values(hash, std::span<const TokenId>(row.ids));
    hash_values(hash, std::span<const std::uint8_t>(row.trained));
    hash_values(hash, std::span(&row.label, 1));
  }
  return hash.hex();
}

}  // namespace elenchus
