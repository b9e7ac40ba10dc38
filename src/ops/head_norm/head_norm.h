#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// The norms of an attention layer's queries and keys.
struct HeadNorm {
  ConstTensor q_weight, k_weight;  ///< f32 [D]
  std::int64_t heads = 0;          ///< H query heads, first in a row
  std::int64_t kv_heads = 0;       ///< K key heads after them
  float epsilon = 0;
};

/// RMSNorm of every query and key head by itself (Dehghani et al. 2023, arXiv:2302.05442, sec. 2):
///   y[n,h,d] = x[n,h,d] * rstd[n,h] * weight[d],   rstd[n,h] = 1 / sqrt(mean_d(x[n,h,d]^2) +
///   epsilon)
/// y, x [N, W] f32|f16|bf16 of one dtype, W >= (H+K) D: q and k of a q|k|v row; what follows is
/// copied. y may be x. Sums in f32.
void head_norm_forward(Stream&, Tensor y, ConstTensor x, const HeadNorm& norm);
/// dx: dL/dy before, dL/dx after; what follows the heads is left. The weights are frozen.
void head_norm_backward(Stream&, Tensor dx, ConstTensor x, const HeadNorm& norm);

namespace cuda {  // in head_norm.cu; the same signatures by construction
decltype(ops::head_norm_forward) head_norm_forward;
decltype(ops::head_norm_backward) head_norm_backward;
}  // namespace cuda

}  // namespace elenchus::ops
