#pragma once
// Products of row-major matrices through cuBLASLt.

#include "tensor/cuda_stream.cuh"

namespace elenchus::ops::cuda {

/// A row-major factor as it is stored, rows `stride` elements apart.
struct Factor {
  const void* data = nullptr;
  std::int64_t stride = 0;
  bool transposed = false;  ///< the product takes its transpose
};

/// c = alpha op(a) op(b) + beta c.  c [rows, columns], op(a) [rows, depth], op(b) [depth, columns].
/// a and b are of `dtype`, c of `result_dtype`: the same, or f32. Sums in f32; f32 factors are
/// multiplied in full f32.
struct Product {
  std::int64_t rows = 0, columns = 0, depth = 0;
  DType dtype = DType::f32, result_dtype = DType::f32;
  Factor a, b;
  void* c = nullptr;
  std::int64_t c_stride = 0;
  float alpha = 1, beta = 0;
};

/// The order of additions is fixed by the shapes, strides and alignments alone.
void multiply(CudaStream& device, const Product& product);

}  // namespace elenchus::ops::cuda
