#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// y[n] = scale * table[tokens[n]], scaled after conversion to y's dtype, rounded once more
///   y [N,C] f32|f16|bf16    table [V,C] f32|f16|bf16    tokens i32 [N] in [0, V): the caller
///   checks
void embedding_forward(Stream&, Tensor y, ConstTensor table, ConstTensor tokens, float scale = 1);

namespace cuda {  // in embedding.cu; the same signatures by construction
decltype(ops::embedding_forward) embedding_forward;
}  // namespace cuda

}  // namespace elenchus::ops
