#pragma once
// Loads and stores of V elements as f32, 16 bytes at a time where V allows it.

#include "ops/cuda/launch.cuh"

namespace elenchus::ops::cuda {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

/// Rounded to nearest, ties to even.
template <class T>
__device__ T from_float(float x) {
  if constexpr (std::is_same_v<T, __half>)
    return __float2half_rn(x);
  else if constexpr (std::is_same_v<T, __nv_bfloat16>)
    return __float2bfloat16_rn(x);
  else
    return x;
}

template <int V>
struct Floats {
  float v[V];
  __device__ float& operator[](int i) { return v[i]; }
  __device__ float operator[](int i) const { return v[i]; }
};

template <class T, int V>
struct alignas(V * sizeof(T) < 16 ? V * sizeof(T) : 16) Elements {
  T v[V];
};

template <int V, class T>
__device__ Floats<V> load(const T* from) {
  const Elements<T, V> elements = *reinterpret_cast<const Elements<T, V>*>(from);
  Floats<V> out;
#pragma unroll
  for (int i = 0; i < V; ++i) out[i] = to_float(elements.v[i]);
  return out;
}
template <int V, class T>
__device__ void store(T* to, const Floats<V>& values) {
  Elements<T, V> elements;
#pragma unroll
  for (int i = 0; i < V; ++i) elements.v[i] = from_float<T>(values[i]);
  *reinterpret_cast<Elements<T, V>*>(to) = elements;
}

}  // namespace elenchus::ops::cuda
