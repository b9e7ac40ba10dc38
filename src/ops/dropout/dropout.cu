#include "ops/cuda/vector.cuh"
#include "ops/dropout/dropout.h"

namespace elenchus::ops::cuda {
namespace {

/// V elements from element `first` on, first % 4 == 0 unless V is 1.
template <bool kAdds, int V, class T>
__device__ void drop(T* y, const T* x, std::int64_t first, float p, const RandomKey& key) {
  const Floats<V> given = load<V>(x + first);
  Floats<V> out;
  if constexpr (kAdds) out = load<V>(y + first);
#pragma unroll
  for (int j = 0; j < V; j += 4) {
    const auto draws = key.draw4(std::uint32_t((first + j) / 4));
#pragma unroll
    for (int k = 0; k < 4 && k < V; ++k) {
      const std::uint32_t draw = V == 1 ? draws[std::size_t(first % 4)] : draws[std::size_t(k)];
      const bool kept = float(draw >> 8) * 0x1p-24f >= p;
      const float value = kept ? given[j + k] / (1.0f - p) : 0.0f;
      out[j + k] = kAdds ? out[j + k] + value : value;
    }
  }
  store<V>(y + first, out);
}

template <bool kAdds, int V, class T>
__global__ void drop_kernel(T* y, const T* x, std::int64_t packs, float p, RandomKey key) {
  const std::int64_t i = thread_index();
  if (i < packs) drop<kAdds, V>(y, x, i * V, p, key);
}

template <bool kAdds>
void launch(Stream& stream, Tensor y, ConstTensor x, float p, const RandomKey& key) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t elements = y.elements();
  if (elements == 0) return;
  visit_native(y.dtype(), [&]<class T>() {
    with_width(takes_wide(elements, y, x), [&]<int V>() {
      drop_kernel<kAdds, V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
          data_as<T>(y), data_as<T>(x), elements / V, p, key);
    });
  });
  check_launch("dropout");
}

}  // namespace

void dropout(Stream& stream, Tensor y, ConstTensor x, float p, const RandomKey& key) {
  launch<false>(stream, y, x, p, key);
}

void dropout_add(Stream& stream, Tensor y, ConstTensor x, float p, const RandomKey& key) {
  launch<true>(stream, y, x, p, key);
}

}  // namespace elenchus::ops::cuda
