// Dot products of some rows of a weight with some rows of x, all in registers at once. The weight
// comes through a source that expands it. Compiled once for every instruction set.

#if defined(ELENCHUS_OPS_ROW_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ELENCHUS_OPS_ROW_TILE_INL_H_
#undef ELENCHUS_OPS_ROW_TILE_INL_H_
#else
#define ELENCHUS_OPS_ROW_TILE_INL_H_
#endif

#include "ops/matmul/dot_rows.h"
#include "ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops::row_tile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using V = hn::Vec<F>;

// Rows of x in one tile, and how many of them still leave registers for four rows of W, not two.
inline constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON;
inline constexpr int kMostX = kManyRegisters ? 8 : 4;
inline constexpr int kFewX = kManyRegisters ? 4 : 1;

/// One sum for each pair of a row of W and a row of x, [x row][w row], rounded up to whole fours.
template <int N, int M>
using Sums = V[(N * M + 3) / 4 * 4];

/// The sums over the lanes of four vectors, always in the same order.
HWY_INLINE void sum_lanes_of_four(const V* v, float* HWY_RESTRICT out) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) out[i] = hn::GetLane(v[i]);
#else
  constexpr F f;
  constexpr hn::RepartitionToWide<F> wide;
  const V ab = hn::Add(hn::InterleaveLower(f, v[0], v[1]), hn::InterleaveUpper(f, v[0], v[1]));
  const V cd = hn::Add(hn::InterleaveLower(f, v[2], v[3]), hn::InterleaveUpper(f, v[2], v[3]));
  const auto wide_ab = hn::BitCast(wide, ab), wide_cd = hn::BitCast(wide, cd);
  const V low = hn::BitCast(f, hn::InterleaveLower(wide, wide_ab, wide_cd));
  const V high = hn::BitCast(f, hn::InterleaveUpper(wide, wide_ab, wide_cd));
  HWY_ALIGN float blocks[hn::MaxLanes(F())];
  hn::Store(hn::Add(low, high), f, blocks);
  constexpr hn::FixedTag<float, 4> f4;
  auto total = hn::Load(f4, blocks);
  for (std::size_t b = 4; b < hn::MaxLanes(f); b += 4)
    total = hn::Add(total, hn::Load(f4, blocks + b));
  hn::StoreU(total, f4, out);
#endif
}

/// sums += low_scale low low_weight.
template <int N, int M>
HWY_INLINE void add_low_rank(Sums<N, M>& sums, const RowDots& dots, const std::int64_t* rows,
                             std::int64_t first_x) {
  constexpr F f;
  const auto add = [&](std::int64_t r, auto extent) HWY_ATTR {
    V w[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n)
      w[n] = simd::HWY_NAMESPACE::load(f, dots.low_weight + rows[n] * dots.rank + r, extent);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const V low =
          simd::HWY_NAMESPACE::load(f, dots.low + (first_x + m) * dots.low_stride + r, extent);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sums[m * N + n] = hn::MulAdd(w[n], low, sums[m * N + n]);
    }
  };
  simd::HWY_NAMESPACE::for_vectors(f, std::size_t(dots.rank), add);
  const V scale = hn::Set(f, dots.low_scale);
#pragma GCC unroll 32
  for (int i = 0; i < N * M; ++i) sums[i] = hn::Mul(sums[i], scale);
}

/// Rows [first, first + N) of W by rows [first_x, first_x + M) of x. Past the end of W its last row
/// stands in.
template <int N, int M, class Source>
HWY_NOINLINE void multiply_tile(const Source& source, const RowDots& dots, std::int64_t first,
                                std::int64_t first_x) {
  std::int64_t rows[N];
  for (int n = 0; n < N; ++n) rows[n] = first + n < dots.count ? first + n : dots.count - 1;
  Sums<N, M> sums;
#pragma GCC unroll 32
  for (V& sum : sums) sum = hn::Zero(F());
  if (dots.low_weight) add_low_rank<N, M>(sums, dots, rows, first_x);
  source.template accumulate<N, M>(sums, rows, dots.x + first_x * dots.x_stride, dots.x_stride,
                                   dots.depth);
  constexpr int kSums = int(sizeof(sums) / sizeof(V));
  float totals[kSums];
#pragma GCC unroll 8
  for (int i = 0; i < kSums; i += 4) sum_lanes_of_four(sums + i, totals + i);
  for (int n = 0; n < N && first + n < dots.count; ++n) {
    const float bias = dots.bias ? dots.bias[first + n] : 0.0f;
    float* const to = dots.y + first_x * dots.y_stride + first + n;
    for (int m = 0; m < M; ++m) to[m * dots.y_stride] = totals[m * N + n] + bias;
  }
}

template <int N, int M, class Source>
HWY_INLINE void tile_of(std::int64_t x_rows, const Source& source, const RowDots& dots,
                        std::int64_t first, std::int64_t first_x) {
  if (x_rows == M) return multiply_tile<N, M>(source, dots, first, first_x);
  if constexpr (M > 1) tile_of<N, M - 1>(x_rows, source, dots, first, first_x);
}

/// All of `dots`, W read from `source`.
template <class Source>
HWY_INLINE void multiply_rows(const Source& source, const RowDots& dots) {
  const std::int64_t groups = (dots.rows + kMostX - 1) / kMostX;
  if (groups == 0) return;
  const std::int64_t step = (dots.rows + groups - 1) / groups, n_step = step <= kFewX ? 4 : 2;
  for (std::int64_t n = 0; n < dots.count; n += n_step)
    for (std::int64_t m = 0; m < dots.rows; m += step) {
      const std::int64_t x_rows = dots.rows - m < step ? dots.rows - m : step;
      if (n_step == 4)
        tile_of<4, kFewX>(x_rows, source, dots, n, m);
      else
        tile_of<2, kMostX>(x_rows, source, dots, n, m);
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops::row_tile
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
