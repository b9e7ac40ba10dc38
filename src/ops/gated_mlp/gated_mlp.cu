#include "ops/cuda/vector.cuh"
#include "ops/gated_mlp/gated_mlp.h"

namespace elenchus::ops::cuda {
namespace {

/// The value of an activation and its slope at one place.
struct Activated {
  float value, slope;
};

/// e^x: within 2 ulp for f32; for 16-bit elements as fast as the device has it.
template <class T>
__device__ float exponential(float x) {
  if constexpr (std::is_same_v<T, float>)
    return expf(x);
  else
    return __expf(x);
}

template <class T>
struct Silu {
  __device__ static Activated at(float x) {
    const float s = 1.0f / (1.0f + exponential<T>(-x));
    const float value = x * s;
    return {value, fmaf(value, 1.0f - s, s)};
  }
};

template <class T>
struct GeluTanh {
  __device__ static float hyperbolic_tangent(float x) {
    if constexpr (std::is_same_v<T, float>)
      return tanhf(x);
    else
      return 1.0f - 2.0f / (exponential<T>(2.0f * x) + 1.0f);
  }
  __device__ static Activated at(float x) {
    constexpr float k = 0.7978845608f, cubic = 0.044715f;
    const float xx = x * x;
    const float t = hyperbolic_tangent(k * x * fmaf(cubic, xx, 1.0f));
    const float half_x = 0.5f * x;
    const float inner_slope = k * fmaf(3 * cubic, xx, 1.0f);
    const float outer_slope = half_x * fmaf(-t, t, 1.0f);
    return {fmaf(half_x, t, half_x), fmaf(outer_slope, inner_slope, fmaf(0.5f, t, 0.5f))};
  }
};

template <class Act, int V, class T>
__global__ void forward_kernel(T* y, const T* gate_up, std::int64_t row_packs, std::int64_t packs) {
  const std::int64_t i = thread_index();
  if (i >= packs) return;
  const T* const gate = gate_up + (i + i / row_packs * row_packs) * V;
  Floats<V> out = load<V>(gate);
  const Floats<V> up = load<V>(gate + row_packs * V);
#pragma unroll
  for (int j = 0; j < V; ++j) out[j] = Act::at(out[j]).value * up[j];
  store<V>(y + i * V, out);
}

/// dgate_up may be gate_up: each thread has read what it overwrites. `y` may be null.
template <class Act, int V, class T>
__global__ void backward_kernel(T* dgate_up, T* y, const T* dy, const T* gate_up,
                                std::int64_t row_packs, std::int64_t packs) {
  const std::int64_t i = thread_index();
  if (i >= packs) return;
  const std::int64_t at = (i + i / row_packs * row_packs) * V, width = row_packs * V;
  Floats<V> gate = load<V>(gate_up + at), up = load<V>(gate_up + at + width), out;
  const Floats<V> dout = load<V>(dy + i * V);
#pragma unroll
  for (int j = 0; j < V; ++j) {
    const Activated a = Act::at(gate[j]);
    out[j] = a.value * up[j];
    gate[j] = dout[j] * up[j] * a.slope;
    up[j] = dout[j] * a.value;
  }
  if (y) store<V>(y + i * V, out);
  store<V>(dgate_up + at, gate);
  store<V>(dgate_up + at + width, up);
}

/// Calls f.operator()<T, Act>() for the dtype and the activation.
template <class F>
void visit_activation(DType dtype, Activation activation, F&& f) {
  visit_native(dtype, [&]<class T>() {
    if (activation == Activation::silu)
      f.template operator()<T, Silu<T>>();
    else
      f.template operator()<T, GeluTanh<T>>();
  });
}

}  // namespace

void gated_mlp_forward(Stream& stream, Tensor y, ConstTensor gate_up, Activation activation) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t width = y.dim(1), elements = y.elements();
  if (elements == 0) return;
  visit_activation(y.dtype(), activation, [&]<class T, class Act>() {
    with_width(takes_wide(width, y, gate_up), [&]<int V>() {
      forward_kernel<Act, V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
          data_as<T>(y), data_as<T>(gate_up), width / V, elements / V);
    });
  });
  check_launch("gated_mlp_forward");
}

void gated_mlp_backward(Stream& stream, Tensor dgate_up, Tensor y, ConstTensor dy,
                        ConstTensor gate_up, Activation activation) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t width = dy.dim(1), elements = dy.elements();
  if (elements == 0) return;
  visit_activation(dy.dtype(), activation, [&]<class T, class Act>() {
    with_width(takes_wide(width, dgate_up, y, dy, gate_up), [&]<int V>() {
      backward_kernel<Act, V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
          data_as<T>(dgate_up), data_as<T>(y), data_as<T>(dy), data_as<T>(gate_up), width / V,
          elements / V);
    });
  });
  check_launch("gated_mlp_backward");
}

}  // namespace elenchus::ops::cuda
