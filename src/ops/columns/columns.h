#pragma once
// Matrices by their columns: scaled, and summed over rows.

#include "tensor/stream.h"

namespace elenchus::ops {

/// y[n,c] = x[n,c] * factor[c] + bias[c], in f32, rounded once.
///   y, x [N,C] f32|f16|bf16 of one dtype, may alias    factor f32 [C]    bias f32 [C], or empty
void scale_columns(Stream&, Tensor y, ConstTensor x, ConstTensor factor, ConstTensor bias);

/// out[c] += sum_n x[n, first+c] * z[n, first+c] / divisor[c]: a bias's gradient without z and
/// divisor, a magnitude's with both. Sums in f32, row after row in an order that N alone gives.
///   out f32 [C]    x [N,W] f32|f16|bf16, W >= first + C    z like x, or empty
///   divisor f32 [C], or empty
void add_column_sums(Stream&, Tensor out, ConstTensor x, ConstTensor z, ConstTensor divisor,
                     std::int64_t first);

namespace cuda {  // in columns.cu; the same signatures by construction
decltype(ops::scale_columns) scale_columns;
decltype(ops::add_column_sums) add_column_sums;
}  // namespace cuda

}  // namespace elenchus::ops
