#pragma once
// Panels of B out of dense matrices.

#include "ops/matmul/gemm.h"
#include "tensor/tensor.h"

namespace elenchus::ops {

/// Packs B = matrix: element (k, n) lies at data[k * row_stride + n]. f32, f16 or bf16.
PackPanels dense_panels(const void* data, DType dtype, std::int64_t row_stride);
/// Packs B = matrix^T: element (k, n) lies at data[n * row_stride + k].
PackPanels transposed_panels(const void* data, DType dtype, std::int64_t row_stride);

/// `count` values as f32, written to `out`; returns `out`.
const float* widen_run(const f16* from, std::int64_t count, float* out);
const float* widen_run(const bf16* from, std::int64_t count, float* out);

}  // namespace elenchus::ops
