#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// y[n] = scale * table[tokens[n]], scaled after conversion to y's dtype, rounded once more
///   y [N,C] f32|f16|bf16    table [V,C] f32|f16|bf16    tokens i32 [N] in [0, V): the caller
///   checks
void embedding_forward(Stream&, Tensor y, ConstTensor table, ConstTensor tokens, float scale = 1);

/// dtable[tokens[n]] += scale * dy[n]: rows of one token are added up in the order of n first, so the
/// result does not depend on how the work is shared out.
///   dtable f32 [V,C]    dy [N,C] f32|f16|bf16    tokens as above; rows of the token `padding` are
///   left out
void embedding_backward(Stream&, Tensor dtable, ConstTensor dy, ConstTensor tokens, float scale = 1,
                        std::int32_t padding = -1);

namespace cuda {  // in embedding.cu; the same signatures by construction
decltype(ops::embedding_forward) embedding_forward;
decltype(ops::embedding_backward) embedding_backward;
}  // namespace cuda

}  // namespace elenchus::ops
