#pragma once

#include <cstdint>

#include "tensor/stream.h"

namespace elenchus::ops {

/// The heads at the front of a row; of each the first elements are turned, or all.
struct RopeHeads {
  std::int64_t count = 0, size = 0;
};

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864), in the half-split order of Hugging
/// Face models: for each of the first heads of every row, with D what is turned of a head, c =
/// cosine[position][i], s = sine[position][i], i < D/2:
///   (a, b) = (x[i], x[i + D/2])  ->  (a c - b s, b c + a s)
/// x [N, W] f32|f16|bf16 in place, W >= heads.count * heads.size (q and k of a q|k|v row; what
/// follows is left)    positions i32 [N]    cosine, sine f32 [P, D/2], every position < P
void rope_forward(Stream&, Tensor x, ConstTensor positions, ConstTensor cosine, ConstTensor sine,
                  RopeHeads heads);
/// The gradient: the inverse rotation, in place.
void rope_backward(Stream&, Tensor dx, ConstTensor positions, ConstTensor cosine, ConstTensor sine,
                   RopeHeads heads);

namespace cuda {  // in rope.cu; the same signatures by construction
decltype(ops::rope_forward) rope_forward;
decltype(ops::rope_backward) rope_backward;
}  // namespace cuda

}  // namespace elenchus::ops
