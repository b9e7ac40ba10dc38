#pragma once
// Few rows of x against a whole weight: bound by reading the weight, so each of its rows is
// expanded once and meets all of x.

#include <cstdint>
#include <functional>
#include <span>

#include "tensor/stream.h"

namespace elenchus::ops {

/// `count` weights from row-major element `first` on, as f32: in place, or expanded into `buffer`.
using FetchRun = std::function<const float*(std::int64_t first, std::int64_t count, float* buffer)>;

/// y[m, n] = x[m, :] W[n, :] + bias[n] + lora_scale xa[m, :] lora_b[n, :]
/// for one part of a group; strides in elements.
struct RowProduct {
  FetchRun fetch;
  std::int64_t out, in;
  float* y;
  std::int64_t y_stride;
  const float* bias;    ///< null for none
  const float* lora_b;  ///< [out, rank], null for none
  const float* xa;
  std::int64_t rank, xa_stride;
  float lora_scale;
};

/// The most rows of x for which this beats the blocked product.
inline constexpr std::int64_t kFewRows = 8;

/// For `rows` rows of x [rows, in], contiguous.
void row_products(Stream& stream, std::int64_t rows, const float* x,
                  std::span<const RowProduct> products);

}  // namespace elenchus::ops
