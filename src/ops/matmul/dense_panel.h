#pragma once
// Panels of B out of dense matrices.

#include "ops/matmul/gemm.h"
#include "tensor/tensor.h"

namespace elenchus::ops {

/// Packs B = matrix: element (k, n) lies at data[k * row_stride + n]. f32, f16 or bf16.
PackPanels dense_panels(const void* data, DType dtype, std::int64_t row_stride);
/// Packs B = matrix^T: element (k, n) lies at data[n * row_stride + k].
PackPanels transposed_panels(const void* data, DType dtype, std::int64_t row_stride);

}  // namespace elenchus::ops
