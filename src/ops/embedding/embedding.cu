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

}  // namespace

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
