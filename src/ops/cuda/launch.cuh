#pragma once
// What every kernel launch needs: element types as the device has them, grids, and the check
// afterwards.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <type_traits>

#include "tensor/cuda_stream.cuh"

namespace elenchus::ops::cuda {

/// The device's type with the bits of an element type.
template <class T>
struct Native {
  using type = T;
};
template <>
struct Native<f16> {
  using type = __half;
};
template <>
struct Native<bf16> {
  using type = __nv_bfloat16;
};

/// Calls f.operator()<T>() with the device's type behind a floating dtype.
template <class F>
decltype(auto) visit_native(DType dtype, F&& f) {
  return visit_float(dtype, [&]<class T>() -> decltype(auto) {
    return f.template operator()<typename Native<T>::type>();
  });
}
template <class T>
T* data_as(const Tensor& tensor) {
  return static_cast<T*>(tensor.data());
}
template <class T>
const T* data_as(const ConstTensor& tensor) {
  return static_cast<const T*>(tensor.data());
}

inline constexpr int kBlockThreads = 256;

/// Blocks of kBlockThreads for one thread an item.
inline unsigned blocks_for(std::int64_t items) {
  const std::int64_t blocks = (items + kBlockThreads - 1) / kBlockThreads;
  expect(blocks < (std::int64_t{1} << 31), "a tensor is too long for one launch");
  return unsigned(blocks);
}
__device__ inline std::int64_t thread_index() {
  return std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
}
inline void check_launch(const char* op) { check_cuda(cudaGetLastError(), op); }

/// Elements that a thread takes at once where rows allow it: 16 bytes of 16-bit elements, twice 16
/// of f32.
inline constexpr int kWide = 8;

/// Whether kWide elements at a time can be read and written: rows are a multiple of it, and begin
/// at 16 bytes.
template <class... Tensors>
bool takes_wide(std::int64_t row, const Tensors&... tensors) {
  const auto aligned = [](const ConstTensor& t) {
    return reinterpret_cast<std::uintptr_t>(t.data()) % 16 == 0;
  };
  return row % kWide == 0 && (aligned(tensors) && ...);
}
/// Calls f.operator()<V>() with kWide or 1.
template <class F>
void with_width(bool wide, F&& f) {
  if (wide)
    f.template operator()<kWide>();
  else
    f.template operator()<1>();
}

}  // namespace elenchus::ops::cuda
