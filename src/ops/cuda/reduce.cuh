#pragma once
// Sums over warps and blocks in one fixed order.

namespace elenchus::ops::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

/// combine(...) over the lanes of a warp, in a butterfly; every lane gets the result. `combine` is
/// commutative.
template <class T, class Combine>
__device__ T warp_reduce(T value, const Combine& combine) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}
template <class T>
__device__ T warp_sum(T value) {
  return warp_reduce(value, [](T a, T b) { return a + b; });
}
__device__ inline float warp_max(float value) {
  return warp_reduce(value, [](float a, float b) { return fmaxf(a, b); });
}

/// The sum over a block of whole warps; every thread gets it. `room` holds one value a warp; the
/// block meets before it is used and after it is written.
template <class T>
__device__ T block_sum(T value, T* room) {
  value = warp_sum(value);
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  const int warps = int(blockDim.x) / kWarp;
  __syncthreads();
  if (lane == 0) room[warp] = value;
  __syncthreads();
  return warp_sum(lane < warps ? room[lane] : T(0));
}

}  // namespace elenchus::ops::cuda
