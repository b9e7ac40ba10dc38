#include "ops/nf4/nf4_dot_rows.h"

#include "ops/nf4/nf4_source.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/nf4/nf4_dot_rows.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/matmul/row_tile-inl.h"
#include "ops/nf4/nf4_table-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace tile = row_tile::HWY_NAMESPACE;

using F = tile::F;
using V = tile::V;
using I = hn::RebindToSigned<F>;
using U = hn::RebindToUnsigned<F>;
constexpr int kLanes = int(hn::MaxLanes(F()));
constexpr int kVectors = int(kNf4Block) / kLanes;

/// The codes of a block as eight 32-bit words; word d's nibble s is element 8 d + (s ^ 1). Vector j
/// of indices holds nibble s = j kLanes / 8 of the words (with 16 lanes, s and s + 1).
struct Codes {
#if HWY_TARGET <= HWY_AVX3
  hn::Vec<U> words;  // twice, the second time one nibble on
  Codes() = default;
  HWY_INLINE explicit Codes(const std::uint8_t* from) {
    constexpr hn::Half<U> half;
    const auto once = hn::LoadU(half, reinterpret_cast<const std::uint32_t*>(from));
    const auto nibble = hn::Combine(U(), hn::Set(half, 4u), hn::Zero(half));
    words = hn::Shr(hn::Combine(U(), once, once), nibble);
  }
  template <int j>
  HWY_INLINE hn::Vec<I> indices() const {
    return hn::BitCast(I(), hn::ShiftRight<8 * j>(words));
  }
#else
  static constexpr int kParts = kLanes >= 8 ? 1 : 8 / kLanes;
  hn::Vec<U> words[kParts];
  Codes() = default;
  HWY_INLINE explicit Codes(const std::uint8_t* from) {
    for (int i = 0; i < kParts; ++i)
      words[i] = hn::LoadU(U(), reinterpret_cast<const std::uint32_t*>(from + 4 * kLanes * i));
  }
  template <int j>
  HWY_INLINE hn::Vec<I> indices() const {
    return hn::BitCast(I(), hn::ShiftRight<4 * (j / kParts)>(words[j % kParts]));
  }
#endif
};

struct Nf4Rows {
  const Nf4Source& source;
  std::int64_t first_row;

  template <int N, int M>
  HWY_INLINE void accumulate(tile::Sums<N, M>& sums, const std::int64_t (&rows)[N], const float* x,
                             std::int64_t x_stride, std::int64_t depth) const {
    const std::int64_t blocks = depth / kNf4Block;
    std::int64_t block[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) block[n] = (first_row + rows[n]) * blocks;
    for (std::int64_t b = 0; b < blocks; ++b, x += kNf4Block) {
      nf4::HWY_NAMESPACE::Table tables[N];
      Codes codes[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n, ++block[n - 1]) {
        const std::uint8_t* const from = source.codes + block[n] * (kNf4Block / 2);
        hwy::Prefetch(from + N * blocks * (kNf4Block / 2));
        tables[n] = nf4::HWY_NAMESPACE::Table(source.values, source.scale(block[n]));
        codes[n] = Codes(from);
      }
      add_vectors<0, N, M>(sums, tables, codes, x, x_stride);
    }
  }

  /// Vectors j and on of one block.
  template <int j, int N, int M>
  static HWY_INLINE void add_vectors(tile::Sums<N, M>& sums,
                                     const nf4::HWY_NAMESPACE::Table (&tables)[N],
                                     const Codes (&codes)[N], const float* x,
                                     std::int64_t x_stride) {
    V w[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) w[n] = tables[n][codes[n].template indices<j>()];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const V right = hn::LoadU(F(), x + m * x_stride + j * kLanes);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sums[m * N + n] = hn::MulAdd(w[n], right, sums[m * N + n]);
    }
    if constexpr (j + 1 < kVectors) add_vectors<j + 1, N, M>(sums, tables, codes, x, x_stride);
  }
};

void DotRowsNf4(const RowDots& dots, const Nf4Source& source, std::int64_t first_row) {
  tile::multiply_rows(Nf4Rows{source, first_row}, dots);
}

void OrderForNf4(const float* x, std::int64_t count, float* out) {
  HWY_ALIGN std::int32_t order[kNf4Block];
  for (int i = 0; i < kNf4Block; ++i) order[i] = 8 * (i % 8) + ((i / 8) ^ 1);
  for (std::int64_t first = 0; first < count; first += kNf4Block)
    for (int j = 0; j < kNf4Block; j += kLanes)
      hn::StoreU(hn::GatherIndex(F(), x + first, hn::Load(I(), order + j)), F(), out + first + j);
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
HWY_EXPORT(DotRowsNf4);
HWY_EXPORT(OrderForNf4);

bool has_nf4_dot_rows(const Nf4Weight& weight) { return weight.shape[1] % kNf4Block == 0; }

void order_for_nf4(const float* x, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(OrderForNf4)(x, count, out);
}

void nf4_dot_rows(const RowDots& dots, const Nf4Weight& weight, std::int64_t first_row) {
  const Nf4Source source(weight);
  HWY_DYNAMIC_DISPATCH(DotRowsNf4)(dots, source, first_row);
}
}  // namespace elenchus::ops
#endif
