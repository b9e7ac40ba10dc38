#include "ops/matmul/dot_rows.h"

#include "base/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matmul/dot_rows.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/matmul/row_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace tile = row_tile::HWY_NAMESPACE;

/// Rows of f32, f16 or bf16.
template <class T>
struct DenseRows {
  const T* weight;

  template <int N, int M>
  HWY_INLINE void accumulate(tile::Sums<N, M>& sums, const std::int64_t (&rows)[N], const float* x,
                             std::int64_t x_stride, std::int64_t depth) const {
    const T* from[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) from[n] = weight + rows[n] * depth;
    const auto add = [&](std::size_t k, auto extent) HWY_ATTR {
      constexpr tile::F f;
      tile::V w[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        hwy::Prefetch(from[n] + k + N * depth);  // the next tile's, which may lie on another page
        w[n] = simd::HWY_NAMESPACE::load(f, from[n] + k, extent);
      }
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        const tile::V right =
            simd::HWY_NAMESPACE::load(f, x + m * x_stride + std::int64_t(k), extent);
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) sums[m * N + n] = hn::MulAdd(w[n], right, sums[m * N + n]);
      }
    };
    simd::HWY_NAMESPACE::for_vectors(tile::F(), std::size_t(depth), add);
  }
};

void DotRowsF32(const RowDots& dots, const float* weight) {
  tile::multiply_rows(DenseRows<float>{weight}, dots);
}
void DotRowsF16(const RowDots& dots, const f16* weight) {
  tile::multiply_rows(DenseRows<f16>{weight}, dots);
}
void DotRowsBf16(const RowDots& dots, const bf16* weight) {
  tile::multiply_rows(DenseRows<bf16>{weight}, dots);
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
HWY_EXPORT(DotRowsF32);
HWY_EXPORT(DotRowsF16);
HWY_EXPORT(DotRowsBf16);

void dot_rows(const RowDots& dots, const void* weight, DType dtype) {
  switch (dtype) {
    case DType::f32:
      return HWY_DYNAMIC_DISPATCH(DotRowsF32)(dots, static_cast<const float*>(weight));
    case DType::f16:
      return HWY_DYNAMIC_DISPATCH(DotRowsF16)(dots, static_cast<const f16*>(weight));
    case DType::bf16:
      return HWY_DYNAMIC_DISPATCH(DotRowsBf16)(dots, static_cast<const bf16*>(weight));
    default:
      throw InternalError("dot_rows: not a floating dtype");
  }
}
}  // namespace elenchus::ops
#endif
