#pragma once
// A micro-batch on its way from the host to the device.

#include "data/packed_batch.h"
#include "models/language_model.h"

namespace elenchus {

/// A batch as the model takes it. Lies in the arena; the PackedBatch it came from outlives it.
struct DeviceBatch {
  Context context;
  Tensor tokens;  ///< i32 [N]
  Targets targets;
};

/// Copies a batch into the arena. `dropout` is this micro-batch's key, or none.
DeviceBatch upload(Stream& stream, Arena& arena, const PackedBatch& batch,
                   std::optional<RandomKey> dropout);

}  // namespace elenchus
