#include "data/packer.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/error.h"
#include "data/packed_batch.h"

namespace elenchus {

PackedBatch pack(std::span<const TokenizedRow* const> rows, std::span<const std::int64_t> indices) {
  expect(rows.size() == indices.size(), "an index for each row");
  PackedBatch batch;
  batch.rows.assign(indices.begin(), indices.end());
  batch.starts.push_back(0);
  for (const TokenizedRow* row : rows) {
    const bool classified = row->label >= 0;
    expect(classified || row->trained.size() == row->ids.size(), "a mark for each token");
    const std::int32_t first = batch.starts.back();
    for (std::size_t i = 0; i < row->ids.size(); ++i) {
      batch.tokens.push_back(row->ids[i]);
      batch.positions.push_back(std::int32_t(i));
      if (classified || i == 0 || !row->trained[i]) continue;
      batch.target_rows.push_back(first + std::int32_t(i) - 1);
      batch.labels.push_back(row->ids[i]);
    }
    batch.starts.push_back(first + std::int32_t(row->ids.size()));
    if (!classified) continue;
    expect(!row->ids.empty(), "a classified row has a last token");
    batch.target_rows.push_back(batch.starts.back() - 1);
    batch.labels.push_back(std::int32_t(row->label));
  }
  return batch;
}

std::vector<std::vector<std::int64_t>> fill_bins(std::span<const std::int64_t> lengths,
                                                 std::int64_t capacity) {
  std::vector<std::int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) {
    return lengths[std::size_t(a)] > lengths[std::size_t(b)];
  });
  std::vector<std::vector<std::int64_t>> bins;
  std::multimap<std::int64_t, std::size_t> bins_by_room;  // of equal room the oldest bin first
  for (const std::int64_t row : order) {
    const std::int64_t length = lengths[std::size_t(row)];
    const auto fullest = bins_by_room.lower_bound(length);
    if (fullest == bins_by_room.end()) {
      bins_by_room.emplace(capacity - length, bins.size());
      bins.push_back({row});
      continue;
    }
    const auto [room, bin] = *fullest;
    bins_by_room.erase(fullest);
    bins[bin].push_back(row);
    bins_by_room.emplace(room - length, bin);
  }
  return bins;
}

}  // namespace elenchus
