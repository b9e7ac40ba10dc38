#pragma once
// Few rows of x against whole weights: bound by reading the weights, so each of their rows is
// expanded once, in registers, and meets all of x.

#include <cstdint>
#include <span>

#include "ops/matmul/gemm_kernel.h"
#include "tensor/arena.h"
#include "tensor/frozen_weight.h"

namespace elenchus::ops {

/// y[m, n] = x[m, :] W[n, :] + bias[n] + lora_scale xa[m, :] lora_b[n, :]
/// for one part of a group; strides in elements.
struct RowProduct {
  const FrozenWeight* weight = nullptr;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  const float* bias = nullptr;    ///< null for none
  const float* lora_b = nullptr;  ///< [out, rank], null for none
  const float* xa = nullptr;
  std::int64_t rank = 0, xa_stride = 0;
  float lora_scale = 0;
};

/// Whether this beats the blocked product, for x [rows, in]; `quantised`: some weight is NF4.
bool suits_row_products(std::int64_t rows, std::int64_t in, bool quantised);

/// The most rows that suit where a weight is NF4.
inline constexpr std::int64_t kMostQuantisedRows = kMaxKernelRows;

/// For x f32 [rows, in]. `ordered` is f32 of x's shape, to be written: x in another order. Empty
/// where no weight is NF4.
void row_products(Stream& stream, ConstTensor x, Tensor ordered,
                  std::span<const RowProduct> products);

}  // namespace elenchus::ops
