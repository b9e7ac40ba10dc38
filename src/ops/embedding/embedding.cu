#include "ops/cuda/vector.cuh"
#include "ops/embedding/embedding.h"

namespace elenchus::ops::cuda {
namespace {

template <int V, class Y, class X>
__global__ void embed_kernel(Y* y, const X* table, const std::int32_t* tokens, float scale,
                             std::int64_t row_packs, std::int64_t packs) {
  const std::int64_t i = thread_index();
  if (i >= packs) return;
  const std::int64_t row = i / row_packs, column = i % row_packs;
  Floats<V> values = load<V>(table + (tokens[row] * row_packs + column) * V);
#pragma unroll
  for (int j = 0; j < V; ++j) values[j] = to_float(from_float<Y>(values[j])) * scale;
  store<V>(y + i * V, values);
}

/// A block for one row n and some columns, a thread each. It works if n is the first row of its
/// token, and then adds up all of that token's rows in order.
template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    add_rows_kernel(float* dtable, const T* dy, const std::int32_t* tokens, float scale,
                    std::int32_t padding, std::int64_t rows, std::int64_t columns) {
  const std::int64_t n = blockIdx.x;
  const std::int32_t token = tokens[n];
  if (token == padding) return;
  bool earlier = false;
  for (std::int64_t m = threadIdx.x; m < n && !earlier; m += blockDim.x)
    earlier = tokens[m] == token;
  if (__syncthreads_or(earlier)) return;
  const std::int64_t c = std::int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (c >= columns) return;
  float sum = 0;
  for (std::int64_t m = n; m < rows; ++m)
    if (tokens[m] == token) sum += to_float(dy[m * columns + c]);
  float& out = dtable[token * columns + c];
  out = fmaf(scale, sum, out);
}

}  // namespace

void embedding_backward(Stream& stream, Tensor dtable, ConstTensor dy, ConstTensor tokens,
                        float scale, std::int32_t padding) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  if (dy.elements() == 0) return;
  const dim3 grid(unsigned(dy.dim(0)), blocks_for(dy.dim(1)));
  visit_native(dy.dtype(), [&]<class T>() {
    add_rows_kernel<<<grid, kBlockThreads, 0, device.queue()>>>(dtable.as<float>(), data_as<T>(dy),
                                                                tokens.as<std::int32_t>(), scale,
                                                                padding, dy.dim(0), dy.dim(1));
  });
  check_launch("embedding_backward");
}

void embedding_forward(Stream& stream, Tensor y, ConstTensor table, ConstTensor tokens,
                       float scale) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t columns = y.dim(1), elements = y.elements();
  if (elements == 0) return;
  visit_native(y.dtype(), [&]<class Y>() {
    visit_native(table.dtype(), [&]<class X>() {
      with_width(takes_wide(columns, y, table), [&]<int V>() {
        embed_kernel<V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
            data_as<Y>(y), data_as<X>(table), tokens.as<std::int32_t>(), scale, columns / V,
            elements / V);
      });
    });
  });
  check_launch("embedding");
}

}  // namespace elenchus::ops::cuda
