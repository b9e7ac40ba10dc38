// Products of small blocks of f32 held in cache, with as much of the result in registers as fits.
// Compiled once for every instruction set.

#if defined(ELENCHUS_OPS_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ELENCHUS_OPS_PRODUCT_INL_H_
#undef ELENCHUS_OPS_PRODUCT_INL_H_
#else
#define ELENCHUS_OPS_PRODUCT_INL_H_
#endif

#include "ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops::simd {
namespace HWY_NAMESPACE {

/// Rows that a tile of the result has at most.
inline constexpr std::size_t kTileRows = 6;
/// Vectors in a row of a tile: with 32 registers four, with 16 two.
inline constexpr std::size_t kTileVectors =
    HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 4 : 2;

/// The left factor: element (i, p) lies at data[i * row + p * column].
struct Left {
  const float* data;
  std::size_t row, column;
};
/// A row-major block whose rows lie `row` apart.
struct Rows {
  const float* data;
  std::size_t row;
};
struct Result {
  float* data;
  std::size_t row;
};

/// What a product is added to.
enum class Onto { zero, result };

template <int R, int V>
HWY_INLINE void product_tile(Onto onto, Result c, Left a, Rows b, std::size_t depth) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  FloatVector sum[R][V];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j)
      sum[i][j] = onto == Onto::result ? hn::LoadU(d, c.data + i * c.row + j * lanes) : hn::Zero(d);
  const float* left = a.data;
  const float* right = b.data;
  for (std::size_t p = 0; p < depth; ++p, left += a.column, right += b.row) {
    FloatVector row[V];
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) row[j] = hn::LoadU(d, right + j * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const auto factor = hn::Set(d, left[i * a.row]);
#pragma GCC unroll 8
      for (int j = 0; j < V; ++j) sum[i][j] = hn::MulAdd(factor, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) hn::StoreU(sum[i][j], d, c.data + i * c.row + j * lanes);
}

/// A strip of R rows: tiles of V vectors, then of fewer.
template <int R, int V = int(kTileVectors)>
HWY_NOINLINE void product_strip(Onto onto, Result c, Left a, Rows b, std::size_t vectors,
                                std::size_t depth) {
  const std::size_t lanes = hn::Lanes(Floats());
  for (; vectors >= V; vectors -= V) {
    product_tile<R, V>(onto, c, a, b, depth);
    c.data += V * lanes;
    b.data += V * lanes;
  }
  if constexpr (V > 1)
    if (vectors > 0) product_strip<R, V - 1>(onto, c, a, b, vectors, depth);
}

/// c = a b, or c += a b. c is rows x columns, the sum runs over `depth`; columns are a
/// multiple of the vector length. Each element is one chain of additions in the order of `depth`.
inline HWY_NOINLINE void block_product(Onto onto, Result c, Left a, Rows b, std::size_t rows,
                                       std::size_t columns, std::size_t depth) {
  const std::size_t vectors = columns / hn::Lanes(Floats());
  const auto strip = [&]<int R>() {
    product_strip<R>(onto, c, a, b, vectors, depth);
    c.data += R * c.row;
    a.data += R * a.row;
    rows -= R;
  };
  while (rows >= kTileRows) strip.template operator()<int(kTileRows)>();
  if (rows >= 4) strip.template operator()<4>();
  if (rows >= 2) strip.template operator()<2>();
  if (rows >= 1) strip.template operator()<1>();
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops::simd
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
