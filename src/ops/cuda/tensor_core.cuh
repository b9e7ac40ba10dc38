#pragma once
// Matrix instructions on 16-bit elements: 16 x 8 results in f32, summed over 16.
// Lane l holds rows l/4 and l/4 + 8, columns 2 (l%4) and the next, of a result.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace elenchus::ops::cuda {

// Turing (sm_75) has neither asynchronous copies nor bf16 products, and sums over 8 at a time.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
inline constexpr bool kAmpere = false;
#else
inline constexpr bool kAmpere = true;
#endif

__device__ inline std::uint32_t shared_address(const void* p) {
  return std::uint32_t(__cvta_generic_to_shared(p));
}

/// 16 bytes from device to shared memory, without waiting; zeros unless `present`.
__device__ inline void copy_async(void* to, const void* from, bool present) {
  if constexpr (kAmpere)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(present ? 16 : 0)
                 : "memory");
  else
    *static_cast<uint4*>(to) = present ? *static_cast<const uint4*>(from) : uint4{};
}
__device__ inline void end_copy_group() {
  if constexpr (kAmpere) asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most kLeft groups of this thread are under way.
template <int kLeft>
__device__ void await_copy_groups() {
  if constexpr (kAmpere) asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

/// Four 8 x 8 blocks; lane l gives the address of row l % 8 of block l / 8.
__device__ inline void load_blocks(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void load_blocks_transposed(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

/// c += a b over 8, in f16.
__device__ inline void multiply_add_8(float (&c)[4], std::uint32_t a0, std::uint32_t a1,
                                      std::uint32_t b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(b));
}

/// c += a b
template <class T>
__device__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1) {
  if constexpr (!kAmpere) {
    if constexpr (!std::is_same_v<T, __half>) __trap();  // the host does not launch it there
    multiply_add_8(c, a[0], a[1], b0);
    multiply_add_8(c, a[2], a[3], b1);
  } else if constexpr (std::is_same_v<T, __half>)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Two values rounded, the first in the low half.
template <class T>
__device__ std::uint32_t rounded_pair(float low, float high) {
  if constexpr (std::is_same_v<T, __half>) {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  } else {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  }
}

}  // namespace elenchus::ops::cuda
