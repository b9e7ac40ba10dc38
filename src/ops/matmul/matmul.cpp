#include "ops/matmul/matmul.h"

#include <algorithm>

#include "ops/dispatch.h"
#include "ops/elementwise/elementwise.h"
#include "ops/matmul/dense_panel.h"
#include "ops/matmul/dot_rows.h"
#include "ops/matmul/gemm.h"
#include "ops/matmul/widened.h"

namespace elenchus::ops {
namespace {

void check_matmul(ConstTensor c, ConstTensor a, Transpose ta, ConstTensor b, Transpose tb) {
  expect(c.shape().rank() == 2 && a.shape().rank() == 2 && b.shape().rank() == 2,
         "matmul: operands are matrices");
  const int a_flip = ta == Transpose::transposed, b_flip = tb == Transpose::transposed;
  expect(a.dim(a_flip) == c.dim(0) && b.dim(1 - b_flip) == c.dim(1) &&
             a.dim(1 - a_flip) == b.dim(b_flip),
         "matmul: shapes disagree");
  const auto overlap = [&](ConstTensor other) {
    const auto begin = [](ConstTensor t) { return static_cast<const std::byte*>(t.data()); };
    return begin(c) < begin(other) + other.bytes() && begin(other) < begin(c) + c.bytes();
  };
  expect(!overlap(a) && !overlap(b), "matmul: c aliases an operand");
}

Transpose flipped(Transpose t) {
  return t == Transpose::as_is ? Transpose::transposed : Transpose::as_is;
}

/// alpha op(a) op(b).
GemmTerm product_term(ConstTensor a, Transpose ta, ConstTensor b, Transpose tb, float alpha) {
  const bool a_transposed = ta == Transpose::transposed, b_transposed = tb == Transpose::transposed;
  const float* const b_data = b.as<float>();
  const std::int64_t b_stride = b.dim(1);
  return {.a = a.as<float>(),
          .row_stride = a_transposed ? 1 : a.dim(1),
          .depth_stride = a_transposed ? a.dim(1) : 1,
          .depth = a.dim(a_transposed ? 0 : 1),
          .pack_b = b_transposed ? transposed_panels(b_data, DType::f32, b_stride)
                                 : dense_panels(b_data, DType::f32, b_stride),
          .b = b_transposed ? nullptr : b_data,
          .b_stride = b_stride,
          .alpha = alpha};
}

// Up to how many rows of A packing B^T would cost more than the product.
constexpr std::int64_t kFewRows = 24;
constexpr std::int64_t kTaskWeights = 48 << 10;

/// c = a b^T
void multiply_few(Stream& stream, Tensor c, ConstTensor a, ConstTensor b) {
  const std::int64_t depth = b.dim(1), count = b.dim(0);
  const std::int64_t step =
      std::max<std::int64_t>(4, kTaskWeights / std::max<std::int64_t>(depth, 1) / 4 * 4);
  stream.pool().run((count + step - 1) / step, [&](std::int64_t task, int) {
    const std::int64_t first = task * step;
    dot_rows({.rows = a.dim(0),
              .count = std::min(step, count - first),
              .depth = depth,
              .x = a.as<float>(),
              .x_stride = depth,
              .y = c.as<float>() + first,
              .y_stride = count},
             b.as<float>() + first * depth, DType::f32);
  });
}

/// matmul of f32 operands.
void multiply(Stream& stream, Tensor c, ConstTensor a, Transpose ta, ConstTensor b, Transpose tb,
              float alpha, float beta) {
  if (ta == Transpose::as_is && tb == Transpose::transposed && c.dim(0) <= kFewRows && alpha == 1 &&
      beta == 0)
    return multiply_few(stream, c, a, b);
  // A transposed A whose result is tall is read along its rows by computing C^T = op(b)^T op(a)^T.
  if (ta == Transpose::transposed && c.dim(0) > c.dim(1)) {
    const GemmOutput output{.c = c.as<float>(),
                            .row_stride = c.dim(1),
                            .columns = c.dim(0),
                            .beta = beta,
                            .bias = nullptr,
                            .terms = {product_term(b, flipped(tb), a, Transpose::as_is, alpha)},
                            .transposed = true};
    return gemm(stream, c.dim(1), {&output, 1});
  }
  const GemmOutput output{.c = c.as<float>(),
                          .row_stride = c.dim(1),
                          .columns = c.dim(1),
                          .beta = beta,
                          .bias = nullptr,
                          .terms = {product_term(a, ta, b, tb, alpha)}};
  gemm(stream, c.dim(0), {&output, 1});
}

}  // namespace

void matmul(Stream& stream, Arena& scratch, Tensor c, ConstTensor a, Transpose ta, ConstTensor b,
            Transpose tb, float alpha, float beta) {
  check_matmul(c, a, ta, b, tb);
  if (stream.on_cuda()) {
    if constexpr (kCudaBuilt)
      if (!stream.dry()) cuda::matmul(stream, scratch, c, a, ta, b, tb, alpha, beta);
    return;
  }
  const Arena::Scope scope(scratch);
  const ConstTensor a_wide = widened(stream, scratch, a), b_wide = widened(stream, scratch, b);
  const Tensor c_wide = f32_room(scratch, c);
  if (stream.dry()) return;
  if (beta != 0 && c.dtype() != DType::f32) convert(stream, c_wide, c);
  multiply(stream, c_wide, a_wide, ta, b_wide, tb, alpha, beta);
  round_into(stream, c, c_wide);
}

}  // namespace elenchus::ops
