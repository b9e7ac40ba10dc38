#include "ops/cuda/product.cuh"
#include "ops/elementwise/elementwise.h"
#include "ops/matmul/matmul.h"

namespace elenchus::ops::cuda {
namespace {

bool is_narrow(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

/// The narrowest dtype given; of two 16-bit ones the first.
DType product_dtype(ConstTensor a, ConstTensor b, ConstTensor c) {
  for (const ConstTensor& t : {a, b, c})
    if (is_narrow(t.dtype())) return t.dtype();
  return DType::f32;
}

std::size_t converted_bytes(ConstTensor t, DType dtype) {
  const std::size_t bytes = std::size_t(t.elements()) * size_of(dtype);
  return t.dtype() == dtype ? 0 : (bytes + 255) / 256 * 256;
}

/// The tensor in `dtype`: itself, or a copy in `room`.
ConstTensor converted(Stream& stream, std::byte* room, ConstTensor t, DType dtype) {
  if (t.dtype() == dtype) return t;
  const Tensor copy(room, t.shape(), dtype, t.device());
  convert(stream, copy, t);
  return copy;
}

}  // namespace

void matmul(Stream& stream, Arena&, Tensor c, ConstTensor a, Transpose ta, ConstTensor b,
            Transpose tb, float alpha, float beta) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const DType dtype = product_dtype(a, b, c);
  expect(c.dtype() == dtype || c.dtype() == DType::f32,
         "matmul: c is neither f32 nor of the factors' dtype");
  const std::size_t a_bytes = converted_bytes(a, dtype), b_bytes = converted_bytes(b, dtype);
  std::byte* const room = a_bytes + b_bytes > 0 ? device.scratch(a_bytes + b_bytes) : nullptr;
  const ConstTensor left = converted(stream, room, a, dtype);
  const ConstTensor right = converted(stream, room + a_bytes, b, dtype);
  const bool a_transposed = ta == Transpose::transposed;
  multiply(device, {.rows = c.dim(0),
                    .columns = c.dim(1),
                    .depth = a.dim(a_transposed ? 0 : 1),
                    .dtype = dtype,
                    .result_dtype = c.dtype(),
                    .a = {left.data(), a.dim(1), a_transposed},
                    .b = {right.data(), b.dim(1), tb == Transpose::transposed},
                    .c = c.data(),
                    .c_stride = c.dim(1),
                    .alpha = alpha,
                    .beta = beta});
}

}  // namespace elenchus::ops::cuda
