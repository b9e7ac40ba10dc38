#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"
#include "ops/rms_norm/rms_norm.h"

namespace elenchus::ops::cuda {
namespace {

/// One block a row. y may be x: a thread writes only what it alone has read.
template <int V, class Y, class X>
__global__ void __launch_bounds__(kBlockThreads)
    forward_kernel(Y* y, float* rstd, const X* x, const float* weight, std::int64_t columns,
                   float epsilon) {
  __shared__ float room[kWarp];
  const X* const row = x + blockIdx.x * columns;
  Y* const out = y + blockIdx.x * columns;
  const std::int64_t step = std::int64_t(blockDim.x) * V;
  float squares = 0;
  for (std::int64_t c = threadIdx.x * V; c < columns; c += step) {
    const Floats<V> v = load<V>(row + c);
#pragma unroll
    for (int j = 0; j < V; ++j) squares = fmaf(v[j], v[j], squares);
  }
  squares = block_sum(squares, room);
  const float scale = 1.0f / sqrtf(squares / float(columns) + epsilon);
  if (rstd && threadIdx.x == 0) rstd[blockIdx.x] = scale;
  for (std::int64_t c = threadIdx.x * V; c < columns; c += step) {
    Floats<V> v = load<V>(row + c);
    const Floats<V> w = load<V>(weight + c);
#pragma unroll
    for (int j = 0; j < V; ++j) v[j] = v[j] * scale * w[j];
    store<V>(out + c, v);
  }
}

template <int V, class X, class Y>
__global__ void __launch_bounds__(kBlockThreads)
    backward_kernel(X* dx, const Y* dy, const X* x, const float* weight, const float* rstd,
                    std::int64_t columns) {
  __shared__ float room[kWarp];
  const std::int64_t first = blockIdx.x * columns;
  const std::int64_t step = std::int64_t(blockDim.x) * V;
  float dot = 0;
  for (std::int64_t c = threadIdx.x * V; c < columns; c += step) {
    const Floats<V> g = load<V>(dy + first + c), v = load<V>(x + first + c),
                    w = load<V>(weight + c);
#pragma unroll
    for (int j = 0; j < V; ++j) dot = fmaf(w[j] * g[j], v[j], dot);
  }
  dot = block_sum(dot, room);
  const float scale = rstd[blockIdx.x];
  const float along = dot * scale * scale / float(columns);
  for (std::int64_t c = threadIdx.x * V; c < columns; c += step) {
    const Floats<V> g = load<V>(dy + first + c), v = load<V>(x + first + c),
                    w = load<V>(weight + c);
    Floats<V> sum = load<V>(dx + first + c);
#pragma unroll
    for (int j = 0; j < V; ++j) sum[j] = fmaf(scale, fmaf(-v[j], along, w[j] * g[j]), sum[j]);
    store<V>(dx + first + c, sum);
  }
}

/// Threads for a row: enough for one load each, whole warps, at most kBlockThreads.
int row_threads(std::int64_t columns, int width) {
  const std::int64_t packs = (columns + width - 1) / width;
  return int(std::clamp<std::int64_t>((packs + kWarp - 1) / kWarp * kWarp, kWarp, kBlockThreads));
}

}  // namespace

void rms_norm_forward(Stream& stream, Tensor y, Tensor rstd, ConstTensor x, ConstTensor weight,
                      float epsilon) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t columns = x.dim(1);
  if (x.elements() == 0) return;
  visit_native(y.dtype(), [&]<class Y>() {
    visit_native(x.dtype(), [&]<class X>() {
      with_width(takes_wide(columns, y, x, weight), [&]<int V>() {
        forward_kernel<V><<<unsigned(x.dim(0)), row_threads(columns, V), 0, device.queue()>>>(
            data_as<Y>(y), data_as<float>(rstd), data_as<X>(x), weight.as<float>(), columns,
            epsilon);
      });
    });
  });
  check_launch("rms_norm_forward");
}

void rms_norm_backward(Stream& stream, Tensor dx, ConstTensor dy, ConstTensor x, ConstTensor weight,
                       ConstTensor rstd) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t columns = x.dim(1);
  if (x.elements() == 0) return;
  visit_native(x.dtype(), [&]<class X>() {
    visit_native(dy.dtype(), [&]<class Y>() {
      with_width(takes_wide(columns, dx, dy, x, weight), [&]<int V>() {
        backward_kernel<V><<<unsigned(x.dim(0)), row_threads(columns, V), 0, device.queue()>>>(
            data_as<X>(dx), data_as<Y>(dy), data_as<X>(x), weight.as<float>(), rstd.as<float>(),
            columns);
      });
    });
  });
  check_launch("rms_norm_backward");
}

}  // namespace elenchus::ops::cuda
