#include "ops/matmul/dense_panel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matmul/dense_panel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef ELENCHUS_OPS_DENSE_PANEL_ONCE
#define ELENCHUS_OPS_DENSE_PANEL_ONCE
namespace elenchus::ops {
namespace {
struct DenseSource {
  const void* data;
  std::int64_t row_stride;
};
}  // namespace
}  // namespace elenchus::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const f16* from) {
  const hn::Rebind<hwy::float16_t, D> half;
  return hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(from)));
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const bf16* from) {
  const hn::Rebind<hwy::bfloat16_t, D> half;
  return hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::bfloat16_t*>(from)));
}

// Rows are short pieces of long ones: too short for the machine to see them coming.
constexpr std::int64_t kRowsAhead = 8;

/// Row by row: full panels vector by vector, the last one element by element.
template <class T>
void pack_as_is(const DenseSource& source, const PanelRange& range, float* HWY_RESTRICT out) {
  constexpr F f;
  const std::int64_t lanes = std::int64_t(hn::Lanes(f)), width = 2 * lanes;
  const T* const data = static_cast<const T*>(source.data) + range.first_column;
  const std::int64_t full = range.columns / width, rest = range.columns % width;
  for (std::int64_t k = 0; k < range.depth; ++k) {
    const T* from = data + (range.first_row + k) * source.row_stride;
    float* to = out + k * width;
    for (std::int64_t p = 0; p < full; ++p, from += width, to += range.depth * width) {
      hwy::Prefetch(from + kRowsAhead * source.row_stride);
      hwy::Prefetch(from + kRowsAhead * source.row_stride + lanes);
      hn::Store(load(f, from), f, to);
      hn::Store(load(f, from + lanes), f, to + lanes);
    }
    for (std::int64_t j = 0; rest > 0 && j < width; ++j)
      to[j] = j < rest ? static_cast<float>(from[j]) : 0.0f;
  }
}

#if HWY_TARGET != HWY_SCALAR
using F4 = hn::FixedTag<float, 4>;

HWY_INLINE hn::Vec<F4> join(F4, const hn::Vec<F4>* quarters) { return quarters[0]; }
template <class D>
HWY_INLINE hn::Vec<D> join(D d, const hn::Vec<F4>* quarters) {
  const hn::Half<D> half;
  return hn::Combine(d, join(half, quarters + hn::Lanes(half) / 4), join(half, quarters));
}

/// Four columns k..k+3 of as many rows as there are lanes, turned into four vectors. `rows` holds
/// the address of each row. The shuffles stay within 128-bit blocks: block b of vector j holds row
/// 4 b + j.
template <class T>
HWY_INLINE void transpose_four(const T* const* rows, std::int64_t k, float* HWY_RESTRICT out,
                               std::int64_t out_stride) {
  constexpr F f;
  constexpr hn::RepartitionToWide<F> wide;
  constexpr int kBlocks = int(hn::MaxLanes(F())) / 4;
  hn::Vec<F> row[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    hn::Vec<F4> quarters[kBlocks];
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) quarters[b] = load(F4(), rows[4 * b + j] + k);
    row[j] = join(f, quarters);
  }
  const auto low01 = hn::BitCast(wide, hn::InterleaveLower(f, row[0], row[1]));
  const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(f, row[0], row[1]));
  const auto low23 = hn::BitCast(wide, hn::InterleaveLower(f, row[2], row[3]));
  const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(f, row[2], row[3]));
  hn::Store(hn::BitCast(f, hn::InterleaveLower(wide, low01, low23)), f, out);
  hn::Store(hn::BitCast(f, hn::InterleaveUpper(wide, low01, low23)), f, out + out_stride);
  hn::Store(hn::BitCast(f, hn::InterleaveLower(wide, high01, high23)), f, out + 2 * out_stride);
  hn::Store(hn::BitCast(f, hn::InterleaveUpper(wide, high01, high23)), f, out + 3 * out_stride);
}
#endif

template <class T>
void pack_transposed(const DenseSource& source, const PanelRange& range, float* HWY_RESTRICT out) {
  constexpr F f;
  const std::int64_t lanes = std::int64_t(hn::Lanes(f)), width = 2 * lanes;
  const std::int64_t half_panels = (range.columns + width - 1) / width * 2;
  for (std::int64_t h = 0; h < half_panels; ++h) {
    const T* rows[16];
    for (std::int64_t i = 0; i < lanes; ++i) {
      const std::int64_t n = h * lanes + i;  // past the edge the last row stands in
      rows[i] =
          static_cast<const T*>(source.data) + range.first_row +
          (range.first_column + (n < range.columns ? n : range.columns - 1)) * source.row_stride;
    }
    float* const to = out + h / 2 * range.depth * width + h % 2 * lanes;
    std::int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; k + 4 <= range.depth; k += 4) {
      if (k % 16 == 0)
        for (std::int64_t i = 0; i < lanes; ++i)
          hwy::Prefetch(rows[i] + lanes * source.row_stride + k);
      transpose_four(rows, k, to + k * width, width);
    }
#endif
    for (; k < range.depth; ++k)
      for (std::int64_t i = 0; i < lanes; ++i) to[k * width + i] = static_cast<float>(rows[i][k]);
  }
}

void AsIsF32(const DenseSource& s, const PanelRange& r, float* out) {
  pack_as_is<float>(s, r, out);
}
void AsIsF16(const DenseSource& s, const PanelRange& r, float* out) { pack_as_is<f16>(s, r, out); }
void AsIsBf16(const DenseSource& s, const PanelRange& r, float* out) {
  pack_as_is<bf16>(s, r, out);
}
void TransposedF32(const DenseSource& s, const PanelRange& r, float* out) {
  pack_transposed<float>(s, r, out);
}
void TransposedF16(const DenseSource& s, const PanelRange& r, float* out) {
  pack_transposed<f16>(s, r, out);
}
void TransposedBf16(const DenseSource& s, const PanelRange& r, float* out) {
  pack_transposed<bf16>(s, r, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
HWY_EXPORT(AsIsF32);
HWY_EXPORT(AsIsF16);
HWY_EXPORT(AsIsBf16);
HWY_EXPORT(TransposedF32);
HWY_EXPORT(TransposedF16);
HWY_EXPORT(TransposedBf16);

PackPanels dense_panels(const void* data, DType dtype, std::int64_t row_stride) {
  const DenseSource source{data, row_stride};
  switch (dtype) {
    case DType::f32:
      return [=](PanelRange r, float* out) { HWY_DYNAMIC_DISPATCH(AsIsF32)(source, r, out); };
    case DType::f16:
      return [=](PanelRange r, float* out) { HWY_DYNAMIC_DISPATCH(AsIsF16)(source, r, out); };
    case DType::bf16:
      return [=](PanelRange r, float* out) { HWY_DYNAMIC_DISPATCH(AsIsBf16)(source, r, out); };
    default:
      throw InternalError("dense_panels: not a floating dtype");
  }
}

PackPanels transposed_panels(const void* data, DType dtype, std::int64_t row_stride) {
  const DenseSource source{data, row_stride};
  switch (dtype) {
    case DType::f32:
      return [=](PanelRange r, float* out) { HWY_DYNAMIC_DISPATCH(TransposedF32)(source, r, out); };
    case DType::f16:
      return [=](PanelRange r, float* out) { HWY_DYNAMIC_DISPATCH(TransposedF16)(source, r, out); };
    case DType::bf16:
      return [=](PanelRange r, float* out) {
        HWY_DYNAMIC_DISPATCH(TransposedBf16)(source, r, out);
      };
    default:
      throw InternalError("transposed_panels: not a floating dtype");
  }
}
}  // namespace elenchus::ops
#endif
