#pragma once
// A batch of token rows on its way from the host to the device.

#include <optional>
#include <span>

#include "models/language_model.h"

namespace elenchus {

/// N tokens in S sequences, end to end, with M target rows; views of memory that outlives the work.
struct HostBatch {
  std::span<const std::int32_t> tokens;            ///< [N]
  std::span<const std::int32_t> positions;         ///< [N] place of each in its own sequence
  std::span<const std::int32_t> starts;            ///< [S+1] first token of each; the last is N
  std::span<const std::int32_t> target_rows = {};  ///< [M] ascending
  std::span<const std::int32_t> labels = {};       ///< [M], or empty where only rows are asked for
};

/// A batch as the model takes it. Its tensors lie in the arena.
struct DeviceBatch {
  Context context;
  Tensor tokens;  ///< i32 [N]
  Targets targets;
};

/// Copies a batch into the arena. `dropout` is this micro-batch's key, or none; `cache` holds what
/// the sequences saw before, one slot each, or is null. InternalError: spans of sizes that
/// disagree.
DeviceBatch upload(Stream& stream, Arena& arena, const HostBatch& batch,
                   std::optional<RandomKey> dropout = {}, KvCache* cache = nullptr);

}  // namespace elenchus
