#pragma once
// The blocked matrix product behind matmul and frozen_linear: A is read where it lies, B comes
// through a function that packs it, whatever format it is kept in.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ops/matmul/gemm_kernel.h"
#include "tensor/stream.h"

namespace elenchus::ops {

/// A rectangle of a B [K, N]: `depth` rows from `first_row`, `columns` columns from `first_column`.
struct PanelRange {
  std::int64_t first_row, depth, first_column, columns;
};

/// Writes a rectangle of B as panels of kernel_shape().columns columns, one after the other, each
/// [depth][panel columns]; what lies past the last column is written too (any finite value).
/// `out` is 64-byte aligned. Called by several threads at once. first_column is a multiple of
/// kColumnStep, first_row of kDepthStep.
using PackPanels = std::function<void(PanelRange, float* out)>;
inline constexpr std::int64_t kColumnStep = 64;
inline constexpr std::int64_t kDepthStep = 64;

/// alpha A B: A [M, depth] f32 with strides in elements.
struct GemmTerm {
  const float* a = nullptr;
  std::int64_t row_stride = 0, depth_stride = 0;
  std::int64_t depth = 0;
  PackPanels pack_b;
  /// Element (k, n) of an f32 B at b[k * b_stride + n], or null. Where C has few rows it is read in
  /// place, for packing would cost as much as the product.
  const float* b = nullptr;
  std::int64_t b_stride = 0;
  float alpha = 1;
};

/// C = beta C + bias + sum of terms, for C [M, columns] with rows `row_stride` elements apart.
struct GemmOutput {
  float* c = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t columns = 0;
  float beta = 0;
  const float* bias = nullptr;  ///< f32 [columns], or null
  std::vector<GemmTerm> terms;
  /// Element (m, n) of C lies at c[n * row_stride + m]; then without bias.
  bool transposed = false;
};

/// Computes outputs that share M. The order of additions within an element follows from the depths
/// of its terms alone.
void gemm(Stream& stream, std::int64_t rows, std::span<const GemmOutput> outputs);

}  // namespace elenchus::ops
