#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// y[n,c] = x[n,c] * rstd[n] * weight[c],   rstd[n] = 1 / sqrt(mean_c(x[n,c]^2) + epsilon)
/// Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4.  Sums in f32 whatever the dtype.
///   y, x [N,C] f32|f16|bf16, each its own; may alias if of one dtype
///   rstd f32 [N], may be empty    weight f32 [C]
void rms_norm_forward(Stream&, Tensor y, Tensor rstd, ConstTensor x, ConstTensor weight,
                      float epsilon);

/// dx += rstd (w dy - x rstd^2/C sum_c(w dy x)).  Accumulates. The weight is frozen: no dweight.
///   dx, x of one dtype, dy of its own
void rms_norm_backward(Stream&, Tensor dx, ConstTensor dy, ConstTensor x, ConstTensor weight,
                       ConstTensor rstd);

namespace cuda {  // in rms_norm.cu; the same signatures by construction
decltype(ops::rms_norm_forward) rms_norm_forward;
decltype(ops::rms_norm_backward) rms_norm_backward;
}  // namespace cuda

}  // namespace elenchus::ops
