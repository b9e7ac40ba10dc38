#pragma once
// DoRA's magnitudes. Liu et al. 2024, arXiv:2402.09353, eq. 5: W' = m (W + s B A) / ||W + s B A||,
// norms along rows, taken as constants in backward (sec. 4.3).

#include "tensor/stream.h"

namespace elenchus::ops {

/// out[n] = sum_c x[n,c]^2.   out f32 [N]   x f32 [N,C]
void row_squares(Stream&, Tensor out, ConstTensor x);

/// What the norms of one projection's rows follow from, without the rows themselves.
struct DoraPart {
  ConstTensor squares;    ///< f32 [out] ||W_j||^2
  ConstTensor magnitude;  ///< f32 [out] m
  ConstTensor lora_b;     ///< f32 [out, R]
  ConstTensor gram;       ///< f32 [R, R] A A^T
  ConstTensor projected;  ///< [sum R, sum out] f32|f16|bf16: every A of the group times W^T
  std::int64_t first_rank = 0, first_column = 0;  ///< this part's place in `projected`
  float scale = 0;                                ///< s
};

/// norm[j] = sqrt(||W_j||^2 + 2 s sum_r B[j,r] (A W^T)[r,j] + s^2 B_j A A^T B_j^T);
/// factor[j] = m[j] / norm[j], 0 where the norm is 0.   factor, norm f32 [out]
void dora_factors(Stream&, Tensor factor, Tensor norm, const DoraPart& part);

namespace cuda {  // in dora.cu; the same signatures by construction
decltype(ops::row_squares) row_squares;
decltype(ops::dora_factors) dora_factors;
}  // namespace cuda

}  // namespace elenchus::ops
