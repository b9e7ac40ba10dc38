#pragma once
// Token rows out of nothing, for benchmarks.

#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "models/device_batch.h"

namespace elenchus {

/// What a row of a benchmark is trained on.
enum class RandomTargets { every_token, class_of_row };

/// Random tokens in equal rows. Every token but the first of a row is a target, or each row has one
/// class, told from its last token.
struct RandomRows {
  RandomRows(std::int64_t rows, std::int64_t length, std::int64_t vocabulary,
             std::int64_t labels_in, RandomTargets kind) {
    const RandomKey key{.seed = 1};
    starts.push_back(0);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = 0; i < length; ++i) {
        tokens.push_back(std::int32_t(key.below(tokens.size(), std::uint32_t(vocabulary))));
        positions.push_back(std::int32_t(i));
        if (kind == RandomTargets::class_of_row || i == 0) continue;
        targets.push_back(std::int32_t(tokens.size()) - 2);
        labels.push_back(tokens.back());
      }
      starts.push_back(std::int32_t(tokens.size()));
      if (kind == RandomTargets::every_token) continue;
      targets.push_back(std::int32_t(tokens.size()) - 1);
      labels.push_back(std::int32_t(row % labels_in));
    }
  }
  HostBatch view() const { return {tokens, positions, starts, targets, labels}; }
  std::vector<std::int32_t> tokens, positions, starts, targets, labels;
};

}  // namespace elenchus
