#include "ops/matmul/matmul.h"

#include "ops/dispatch.h"
#include "ops/matmul/dense_panel.h"
#include "ops/matmul/gemm.h"

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

}  // namespace

void matmul(Stream& stream, Tensor c, ConstTensor a, Transpose ta, ConstTensor b, Transpose tb,
            float alpha, float beta) {
  check_matmul(c, a, ta, b, tb);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::matmul(stream, c, a, ta, b, tb, alpha, beta);
  const bool a_transposed = ta == Transpose::transposed, b_transposed = tb == Transpose::transposed;
  const std::int64_t a_stride = a.dim(1), b_stride = b.dim(1);
  const float* const b_data = b.as<float>();
  const GemmOutput output{
      .c = c.as<float>(),
      .row_stride = c.dim(1),
      .columns = c.dim(1),
      .beta = beta,
      .bias = nullptr,
      .terms = {{.a = a.as<float>(),
                 .row_stride = a_transposed ? 1 : a_stride,
                 .depth_stride = a_transposed ? a_stride : 1,
                 .depth = a.dim(a_transposed ? 0 : 1),
                 .pack_b = b_transposed ? transposed_panels(b_data, DType::f32, b_stride)
                                        : dense_panels(b_data, DType::f32, b_stride),
                 .alpha = alpha}}};
  gemm(stream, c.dim(0), {&output, 1});
}

}  // namespace elenchus::ops
