#pragma once
// Few rows of x against a weight whose rows lie along the sum: bound by reading the weight, so each
// of its rows is read once and meets several rows of x in registers.

#include <cstdint>

#include "tensor/dtype.h"

namespace elenchus::ops {

/// y[m, n] = x[m, :] W[n, :] + low_scale low[m, :] low_weight[n, :] + bias[n]
/// for `rows` rows of x and `count` rows of some W [count, depth]. Strides in elements. The order
/// of additions within an element follows from depth and rank alone.
struct RowDots {
  std::int64_t rows = 0, count = 0, depth = 0;
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  const float* bias = nullptr;        ///< [count], or null
  const float* low_weight = nullptr;  ///< [count, rank], or null for no second term
  const float* low = nullptr;         ///< [rows, rank]
  std::int64_t low_stride = 0, rank = 0;
  float low_scale = 0;
};

/// W f32 | f16 | bf16, its rows contiguous.
void dot_rows(const RowDots& dots, const void* weight, DType dtype);

}  // namespace elenchus::ops
