#include "ops/columns/columns.h"
#include "ops/cuda/vector.cuh"

namespace elenchus::ops::cuda {
namespace {

template <class T>
__global__ void scale_kernel(T* y, const T* x, const float* factor, const float* bias,
                             std::int64_t columns, std::int64_t elements) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  const std::int64_t c = i % columns;
  y[i] = from_float<T>(__fadd_rn(__fmul_rn(to_float(x[i]), factor[c]), bias ? bias[c] : 0.0f));
}

constexpr int kColumns = 32, kRows = 8;

/// A block for 32 columns: 8 threads a column take every eighth row; their sums are added in order.
template <class T>
__global__ void sum_kernel(float* out, const T* x, const T* z, const float* divisor,
                           std::int64_t rows, std::int64_t width, std::int64_t first,
                           std::int64_t columns) {
  __shared__ float room[kRows][kColumns];
  const std::int64_t c = blockIdx.x * kColumns + threadIdx.x;
  float sum = 0;
  if (c < columns)
    for (std::int64_t n = threadIdx.y; n < rows; n += kRows) {
      const std::int64_t at = n * width + first + c;
      sum = fmaf(to_float(x[at]), z ? to_float(z[at]) : 1.0f, sum);
    }
  room[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || c >= columns) return;
  for (int i = 1; i < kRows; ++i) sum += room[i][threadIdx.x];
  out[c] += sum / (divisor ? divisor[c] : 1.0f);
}

}  // namespace

void scale_columns(Stream& stream, Tensor y, ConstTensor x, ConstTensor factor, ConstTensor bias) {
  CudaStream& device = cuda_side(stream);
  const std::int64_t elements = x.elements();
  if (elements == 0) return;
  visit_native(x.dtype(), [&]<class T>() {
    scale_kernel<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(
        data_as<T>(y), data_as<T>(x), factor.as<float>(), data_as<float>(bias), x.dim(1), elements);
  });
  check_launch("scale_columns");
}

void add_column_sums(Stream& stream, Tensor out, ConstTensor x, ConstTensor z, ConstTensor divisor,
                     std::int64_t first) {
  CudaStream& device = cuda_side(stream);
  const std::int64_t columns = out.dim(0);
  if (columns == 0) return;
  visit_native(x.dtype(), [&]<class T>() {
    sum_kernel<<<unsigned((columns + kColumns - 1) / kColumns), dim3(kColumns, kRows), 0,
                 device.queue()>>>(out.as<float>(), data_as<T>(x), data_as<T>(z),
                                   data_as<float>(divisor), x.dim(0), x.dim(1), first, columns);
  });
  check_launch("add_column_sums");
}

}  // namespace elenchus::ops::cuda
