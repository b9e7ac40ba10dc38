#pragma once

#include <cstdint>

#include "tensor/stream.h"

namespace elenchus::ops {

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864), in the half-split order of Hugging
/// Face models: for each of the first `heads` heads of every row, with D = head size, c =
/// cosine[position][i], s = sine[position][i], i < D/2:
///   (a, b) = (x[i], x[i + D/2])  ->  (a c - b s, b c + a s)
/// x [N, W] f32|f16|bf16 in place, W >= heads * D (q and k of a q|k|v row; what follows is left)
/// positions i32 [N]    cosine, sine f32 [P, D/2], every position < P
void rope_forward(Stream&, Tensor x, ConstTensor positions, ConstTensor cosine, ConstTensor sine,
                  std::int64_t heads);
/// The gradient: the inverse rotation, in place.
void rope_backward(Stream&, Tensor dx, ConstTensor positions, ConstTensor cosine, ConstTensor sine,
                   std::int64_t heads);

namespace cuda {  // in rope.cu; the same signatures by construction
decltype(ops::rope_forward) rope_forward;
decltype(ops::rope_backward) rope_backward;
}  // namespace cuda

}  // namespace elenchus::ops
