#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"
#include "ops/head_norm/head_norm.h"

namespace elenchus::ops::cuda {
namespace {

/// The tensors of one call, as elements.
struct Heads {
  const float *q_weight, *k_weight;
  std::int64_t row;            // elements of a row
  std::int64_t per_row;        // warps of a row: its normed heads, and one for what follows
  std::int64_t heads, normed;  // query heads; query and key heads
  int head_dim;
  std::int64_t warps;
  float epsilon;
};

template <int V, class T>
__device__ float reciprocal_deviation(const T* x, int head_dim, float epsilon) {
  float squares = 0;
  for (int c = int(threadIdx.x) % kWarp * V; c < head_dim; c += kWarp * V) {
    const Floats<V> v = load<V>(x + c);
#pragma unroll
    for (int j = 0; j < V; ++j) squares = fmaf(v[j], v[j], squares);
  }
  return 1.0f / sqrtf(warp_sum(squares) / float(head_dim) + epsilon);
}

/// One warp a head, or what follows the heads of a row. y may be x: a thread writes only what it
/// alone has read.
template <int V, class T>
__global__ void forward_kernel(T* y, const T* x, Heads a) {
  const std::int64_t warp = thread_index() / kWarp;
  if (warp >= a.warps) return;
  const std::int64_t head = warp % a.per_row;
  const std::int64_t at = warp / a.per_row * a.row + head * a.head_dim;
  const int lane = int(threadIdx.x) % kWarp;
  if (head == a.normed) {
    const std::int64_t rest = a.row - a.normed * a.head_dim;
    for (std::int64_t c = lane * V; c < rest; c += kWarp * V)
      store<V>(y + at + c, load<V>(x + at + c));
    return;
  }
  const float* const weight = head < a.heads ? a.q_weight : a.k_weight;
  const float scale = reciprocal_deviation<V>(x + at, a.head_dim, a.epsilon);
  for (int c = lane * V; c < a.head_dim; c += kWarp * V) {
    Floats<V> v = load<V>(x + at + c);
    const Floats<V> w = load<V>(weight + c);
#pragma unroll
    for (int j = 0; j < V; ++j) v[j] = v[j] * scale * w[j];
    store<V>(y + at + c, v);
  }
}

template <int V, class T>
__global__ void backward_kernel(T* dx, const T* x, Heads a) {
  const std::int64_t warp = thread_index() / kWarp;
  if (warp >= a.warps) return;
  const std::int64_t head = warp % a.per_row;
  const std::int64_t at = warp / a.per_row * a.row + head * a.head_dim;
  const int first = int(threadIdx.x) % kWarp * V;
  const float* const weight = head < a.heads ? a.q_weight : a.k_weight;
  const float scale = reciprocal_deviation<V>(x + at, a.head_dim, a.epsilon);
  float dot = 0;
  for (int c = first; c < a.head_dim; c += kWarp * V) {
    const Floats<V> g = load<V>(dx + at + c), v = load<V>(x + at + c), w = load<V>(weight + c);
#pragma unroll
    for (int j = 0; j < V; ++j) dot = fmaf(w[j] * g[j], v[j], dot);
  }
  const float along = warp_sum(dot) * scale * scale / float(a.head_dim);
  for (int c = first; c < a.head_dim; c += kWarp * V) {
    Floats<V> g = load<V>(dx + at + c);
    const Floats<V> v = load<V>(x + at + c), w = load<V>(weight + c);
#pragma unroll
    for (int j = 0; j < V; ++j) g[j] = scale * fmaf(-v[j], along, w[j] * g[j]);
    store<V>(dx + at + c, g);
  }
}

Heads heads_of(ConstTensor x, const HeadNorm& norm, bool rest) {
  const std::int64_t normed = norm.heads + norm.kv_heads, per_row = normed + (rest ? 1 : 0);
  return {norm.q_weight.as<float>(),
          norm.k_weight.as<float>(),
          x.dim(1),
          per_row,
          norm.heads,
          normed,
          int(norm.q_weight.dim(0)),
          x.dim(0) * per_row,
          norm.epsilon};
}

bool wide(ConstTensor x, ConstTensor y, const HeadNorm& norm) {
  return takes_wide(norm.q_weight.dim(0), x, y, norm.q_weight, norm.k_weight) &&
         x.dim(1) % kWide == 0;
}

}  // namespace

void head_norm_forward(Stream& stream, Tensor y, ConstTensor x, const HeadNorm& norm) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const Heads heads = heads_of(x, norm, y.data() != x.data());
  if (heads.warps == 0) return;
  visit_native(x.dtype(), [&]<class T>() {
    with_width(wide(x, y, norm), [&]<int V>() {
      forward_kernel<V><<<blocks_for(heads.warps * kWarp), kBlockThreads, 0, device.queue()>>>(
          data_as<T>(y), data_as<T>(x), heads);
    });
  });
  check_launch("head_norm_forward");
}

void head_norm_backward(Stream& stream, Tensor dx, ConstTensor x, const HeadNorm& norm) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const Heads heads = heads_of(x, norm, false);
  if (heads.warps == 0) return;
  visit_native(x.dtype(), [&]<class T>() {
    with_width(wide(x, dx, norm), [&]<int V>() {
      backward_kernel<V><<<blocks_for(heads.warps * kWarp), kBlockThreads, 0, device.queue()>>>(
          data_as<T>(dx), data_as<T>(x), heads);
    });
  });
  check_launch("head_norm_backward");
}

}  // namespace elenchus::ops::cuda
