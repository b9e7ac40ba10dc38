#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// y = a + b; f32|f16|bf16, one shape; y and a of one dtype, b of its own; those of one dtype may
/// alias. Added in f32, rounded once.
void add(Stream&, Tensor y, ConstTensor a, ConstTensor b);
/// Every element of y f32 becomes `value`.
void fill(Stream&, Tensor y, float value);
/// y = x in y's dtype, rounded to nearest even. One shape.
void convert(Stream&, Tensor y, ConstTensor x);
/// x = cap * tanh(x / cap) in place; f32|f16|bf16, cap > 0.
void soft_cap(Stream&, Tensor x, float cap);
/// y[i] = x[index[i]]: rows gathered.   y [M,C]  x [N,C]  index i32 [M]
void gather_rows(Stream&, Tensor y, ConstTensor x, ConstTensor index);
/// y[index[i]] += x[i]: rows added back; indices are distinct.   y [N,C]  x [M,C]  index i32 [M]
void scatter_add_rows(Stream&, Tensor y, ConstTensor x, ConstTensor index);

namespace cuda {  // in elementwise.cu; the same signatures by construction
decltype(ops::add) add;
decltype(ops::fill) fill;
decltype(ops::convert) convert;
decltype(ops::soft_cap) soft_cap;
decltype(ops::gather_rows) gather_rows;
decltype(ops::scatter_add_rows) scatter_add_rows;
}  // namespace cuda

}  // namespace elenchus::ops
