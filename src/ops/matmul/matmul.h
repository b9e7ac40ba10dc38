#pragma once
// Products of dense matrices that are trained or computed (adapters, mostly skinny). Frozen
// weights: ops/frozen_linear.

#include "tensor/arena.h"
#include "tensor/tensor.h"

namespace elenchus::ops {

enum class Transpose { as_is, transposed };

/// c = alpha op(a) op(b) + beta c.  c [M,N], op(a) [M,K], op(b) [K,N]; each f32, f16 or bf16: in
/// f32 on the CPU, on CUDA products in the narrowest type given; sums in f32, c rounded once. c
/// aliases nothing. beta = 0 overwrites whatever c held. The order of additions is fixed by the
/// shape alone. `scratch` holds temporaries until return.
void matmul(Stream&, Arena& scratch, Tensor c, ConstTensor a, Transpose ta, ConstTensor b,
            Transpose tb, float alpha = 1, float beta = 0);

namespace cuda {
decltype(ops::matmul) matmul;
}

}  // namespace elenchus::ops
