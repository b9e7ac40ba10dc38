#include "ops/cuda/vector.cuh"
#include "ops/rope/rope.h"

namespace elenchus::ops::cuda {
namespace {

/// The tensors of one call, as elements.
struct Turn {
  const std::int32_t* positions;
  const float *cosine, *sine;
  std::int64_t row_stride;
  std::int64_t heads, head_size, half;
  std::int64_t packs;  // of V pairs, in all
  float direction;     // 1 forward, -1 back
};

/// V pairs of one head of one row.
template <int V, class T>
__global__ void rotate_kernel(T* x, Turn turn) {
  const std::int64_t i = thread_index();
  if (i >= turn.packs) return;
  const std::int64_t head_packs = turn.half / V;
  const std::int64_t column = i % head_packs * V, head = i / head_packs % turn.heads;
  const std::int64_t row = i / head_packs / turn.heads;
  const std::int64_t angle = std::int64_t(turn.positions[row]) * turn.half + column;
  T* const first = x + row * turn.row_stride + head * turn.head_size + column;
  T* const second = first + turn.half;
  Floats<V> a = load<V>(first), b = load<V>(second);
  const Floats<V> c = load<V>(turn.cosine + angle), s = load<V>(turn.sine + angle);
#pragma unroll
  for (int j = 0; j < V; ++j) {
    const float sine = turn.direction * s[j], old = a[j];
    a[j] = fmaf(-b[j], sine, old * c[j]);
    b[j] = fmaf(old, sine, b[j] * c[j]);
  }
  store<V>(first, a);
  store<V>(second, b);
}

void rotate(Stream& stream, Tensor x, ConstTensor positions, ConstTensor cosine, ConstTensor sine,
            RopeHeads heads, float direction) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t half = cosine.dim(1), pairs = x.dim(0) * heads.count * half;
  if (pairs == 0) return;
  const bool wide =
      takes_wide(half, x, cosine, sine) && x.dim(1) % kWide == 0 && heads.size % kWide == 0;
  visit_native(x.dtype(), [&]<class T>() {
    with_width(wide, [&]<int V>() {
      const Turn turn{positions.as<std::int32_t>(),
                      cosine.as<float>(),
                      sine.as<float>(),
                      x.dim(1),
                      heads.count,
                      heads.size,
                      half,
                      pairs / V,
                      direction};
      rotate_kernel<V>
          <<<blocks_for(turn.packs), kBlockThreads, 0, device.queue()>>>(data_as<T>(x), turn);
    });
  });
  check_launch("rope");
}

}  // namespace

void rope_forward(Stream& stream, Tensor x, ConstTensor positions, ConstTensor cosine,
                  ConstTensor sine, RopeHeads heads) {
  rotate(stream, x, positions, cosine, sine, heads, 1);
}

void rope_backward(Stream& stream, Tensor dx, ConstTensor positions, ConstTensor cosine,
                   ConstTensor sine, RopeHeads heads) {
  rotate(stream, dx, positions, cosine, sine, heads, -1);
}

}  // namespace elenchus::ops::cuda
