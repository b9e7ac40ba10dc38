#pragma once
// What every layer may use while it runs, and nothing else.

#include <optional>

#include "base/rng.h"
#include "nn/kv_cache.h"
#include "tensor/arena.h"
#include "tensor/sequences.h"

namespace elenchus {

struct Context {
  Stream& stream;         ///< where to queue work
  Arena& arena;           ///< where activations go
  ConstTensor positions;  ///< i32 [N] place of each row in its sequence
  Sequences sequences;    ///< how the rows divide into sequences
  std::optional<RandomKey>
      dropout;               ///< this micro-batch's key, site unset; none: nothing is dropped
  KvCache* cache = nullptr;  ///< keys and values of earlier calls; null while training
};

}  // namespace elenchus
