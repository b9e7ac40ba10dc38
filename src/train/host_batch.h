#pragma once

#include "data/packed_batch.h"
#include "models/device_batch.h"

namespace elenchus {

/// A packed batch as the model's room takes it: a view that the batch outlives.
inline HostBatch host_batch(const PackedBatch& batch) {
  return {.tokens = batch.tokens,
          .positions = batch.positions,
          .starts = batch.starts,
          .target_rows = batch.target_rows,
          .labels = batch.labels};
}

}  // namespace elenchus
