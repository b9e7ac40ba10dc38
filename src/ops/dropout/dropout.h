#pragma once

#include "base/rng.h"
#include "tensor/stream.h"

namespace elenchus::ops {

/// y[i] = x[i] / (1 - p) where key.uniform(i) >= p, else 0      (i: row-major index)
/// The mask is a function of the key alone; backward is the same call on dy. x, y of one shape, may
/// alias; f32|f16|bf16; 0 <= p < 1.
void dropout(Stream&, Tensor y, ConstTensor x, float p, const RandomKey& key);

/// y += the same. For adding a masked gradient.
void dropout_add(Stream&, Tensor y, ConstTensor x, float p, const RandomKey& key);

namespace cuda {  // in dropout.cu; the same signatures by construction
decltype(ops::dropout) dropout;
decltype(ops::dropout_add) dropout_add;
}  // namespace cuda

}  // namespace elenchus::ops
