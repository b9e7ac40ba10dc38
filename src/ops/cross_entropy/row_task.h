#pragma once

#include "ops/cross_entropy/cross_entropy.h"

namespace elenchus::ops {

/// The arguments of one call, for the CPU's rows.
struct CrossEntropyTask {
  Tensor row_loss;      // f32 [N]
  Tensor prediction;    // i32 [N] or empty
  Tensor logits;        // [N, V]
  ConstTensor targets;  // i32 [N]
  LogitsAfter after;
  const CrossEntropyOptions& options;
};

}  // namespace elenchus::ops
