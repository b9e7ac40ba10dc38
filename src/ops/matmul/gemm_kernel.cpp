#include "ops/matmul/gemm_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/matmul/gemm_kernel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Wider than 16 lanes gains nothing and would not fit the packed layouts.
using F = hn::CappedTag<float, 16>;
using V = hn::Vec<F>;

// As many accumulators as the registers hold beside two vectors of B and one of A.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kRows = 12, kMiddleRows = 8, kFewRows = 4;
#else
constexpr int kRows = 6, kMiddleRows = 4, kFewRows = 2;
#endif
static_assert(kRows <= kMaxKernelRows);

int columns_of_kernel() { return int(2 * hn::Lanes(F())); }

KernelShape Shape() { return {kRows, columns_of_kernel()}; }

/// acc += a b over one segment. Rows are addressed in threes from one pointer, as x86 does without
/// extra instructions.
template <int rows, int vectors>
HWY_INLINE void accumulate(V (&acc)[rows][vectors], const float* a, std::int64_t row_stride,
                           std::int64_t depth_stride, const float* HWY_RESTRICT b,
                           std::int64_t b_stride, std::int64_t depth) {
  constexpr F f;
  const std::int64_t lanes = std::int64_t(hn::Lanes(f));
  constexpr int kGroups = (rows + 2) / 3;
  const float* group[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) group[g] = a + 3 * g * row_stride;
  for (std::int64_t k = 0; k < depth; ++k) {
    V right[vectors];
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j) right[j] = hn::LoadU(f, b + j * lanes);
    b += b_stride;
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const V left = hn::Set(f, group[i / 3][i % 3 * row_stride]);
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) acc[i][j] = hn::MulAdd(left, right[j], acc[i][j]);
    }
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) group[g] += depth_stride;
  }
}

/// One tile of c, `rows` by `vectors` vectors, from panel number `panel` of every segment.
template <int rows, int vectors>
HWY_NOINLINE void multiply_tile(const StripSegment* segments, int count, std::int64_t panel,
                                float* c, std::int64_t c_stride, float beta, const float* bias) {
  constexpr F f;
  const std::int64_t lanes = std::int64_t(hn::Lanes(f));
  for (int i = 0; i < rows; ++i) hwy::Prefetch(c + i * c_stride);
  V acc[rows][vectors];
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j) acc[i][j] = hn::Zero(f);
  for (int s = 0; s < count; ++s) {
    const StripSegment& segment = segments[s];
    accumulate<rows, vectors>(acc, segment.a, segment.row_stride, segment.depth_stride,
                              segment.b + panel * segment.panel_stride, segment.b_stride,
                              segment.depth);
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j) {
      float* const at = c + i * c_stride + j * lanes;
      V sum = acc[i][j];
      if (bias) sum = hn::Add(sum, hn::LoadU(f, bias + j * lanes));
      if (beta != 0) sum = hn::MulAdd(hn::Set(f, beta), hn::LoadU(f, at), sum);
      hn::StoreU(sum, f, at);
    }
  }
}

using TileFunction = void (*)(const StripSegment*, int, std::int64_t, float*, std::int64_t, float,
                              const float*);

template <int vectors>
TileFunction tile_for(std::int64_t rows) {
  if (rows <= kFewRows) return multiply_tile<kFewRows, vectors>;
  return rows <= kMiddleRows ? multiply_tile<kMiddleRows, vectors> : multiply_tile<kRows, vectors>;
}

/// A tile that reaches over the edge of c: computed whole beside it, then the part inside copied.
void multiply_edge(const Strip& strip, TileFunction tile, const StripSegment* segments,
                   std::int64_t panel, std::int64_t first, std::int64_t columns) {
  constexpr int kWidth = 32;
  HWY_ALIGN float whole[kMaxKernelRows * kWidth] = {};
  HWY_ALIGN float bias[kWidth] = {};
  for (std::int64_t i = 0; strip.beta != 0 && i < strip.rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      whole[i * kWidth + j] = strip.c[i * strip.c_stride + first + j];
  for (std::int64_t j = 0; strip.bias && j < columns; ++j) bias[j] = strip.bias[first + j];
  tile(segments, strip.segment_count, panel, whole, kWidth, strip.beta,
       strip.bias ? bias : nullptr);
  for (std::int64_t i = 0; i < strip.rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      strip.c[i * strip.c_stride + first + j] = whole[i * kWidth + j];
}

/// The same for a c that is kept the other way round.
void multiply_transposed(const Strip& strip, TileFunction tile, const StripSegment* segments,
                         std::int64_t panel, std::int64_t first, std::int64_t columns) {
  constexpr int kWidth = 32;
  HWY_ALIGN float sums[kMaxKernelRows * kWidth];
  tile(segments, strip.segment_count, panel, sums, kWidth, 0, nullptr);
  for (std::int64_t j = 0; j < columns; ++j) {
    float* const to = strip.c + (first + j) * strip.c_stride;
    for (std::int64_t i = 0; i < strip.rows; ++i) {
      const float sum = sums[i * kWidth + j];
      to[i] = strip.beta == 0 ? sum : strip.beta * to[i] + sum;
    }
  }
}

/// Rows that lie side by side for each k. Loads beyond the page come one line ahead of their use.
void pack_columns(const StripSegment& segment, std::int64_t rows, std::int64_t width,
                  float* HWY_RESTRICT out) {
  constexpr std::int64_t kAhead = 16;
  for (std::int64_t k = 0; k < segment.depth; ++k, out += width) {
    const float* const from = segment.a + k * segment.depth_stride;
    if (k + kAhead < segment.depth) hwy::Prefetch(from + kAhead * segment.depth_stride);
    std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    constexpr hn::FixedTag<float, 4> f4;
    for (; i + 4 <= rows; i += 4) hn::StoreU(hn::LoadU(f4, from + i), f4, out + i);
#endif
    for (; i < rows; ++i) out[i] = from[i];
    for (; i < width; ++i) out[i] = 0.0f;
  }
}

#if HWY_TARGET != HWY_SCALAR
/// Four rows, four steps of k at a time.
std::int64_t pack_four_rows(const StripSegment& segment, std::int64_t first, std::int64_t width,
                            float* HWY_RESTRICT out) {
  constexpr hn::FixedTag<float, 4> f4;
  constexpr hn::RepartitionToWide<hn::FixedTag<float, 4>> wide;
  const float* const row0 = segment.a + first * segment.row_stride;
  const float *const row1 = row0 + segment.row_stride, *const row2 = row1 + segment.row_stride,
                     *const row3 = row2 + segment.row_stride;
  std::int64_t k = 0;
  for (float* to = out + first; k + 4 <= segment.depth; k += 4, to += 4 * width) {
    const auto v0 = hn::LoadU(f4, row0 + k), v1 = hn::LoadU(f4, row1 + k);
    const auto v2 = hn::LoadU(f4, row2 + k), v3 = hn::LoadU(f4, row3 + k);
    const auto low01 = hn::BitCast(wide, hn::InterleaveLower(f4, v0, v1));
    const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(f4, v0, v1));
    const auto low23 = hn::BitCast(wide, hn::InterleaveLower(f4, v2, v3));
    const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(f4, v2, v3));
    hn::StoreU(hn::BitCast(f4, hn::InterleaveLower(wide, low01, low23)), f4, to);
    hn::StoreU(hn::BitCast(f4, hn::InterleaveUpper(wide, low01, low23)), f4, to + width);
    hn::StoreU(hn::BitCast(f4, hn::InterleaveLower(wide, high01, high23)), f4, to + 2 * width);
    hn::StoreU(hn::BitCast(f4, hn::InterleaveUpper(wide, high01, high23)), f4, to + 3 * width);
  }
  return k;
}
#endif

/// Copies rows of a into [depth][width], zeros below the last row.
void pack_rows(const StripSegment& segment, std::int64_t rows, std::int64_t width, float* out) {
  if (segment.row_stride == 1) return pack_columns(segment, rows, width, out);
  std::int64_t done = 0;  // steps of k that the rows at hand need no more
  for (std::int64_t i = 0; i < width; ++i) {
    if (i % 4 == 0) done = 0;
#if HWY_TARGET != HWY_SCALAR
    if (i % 4 == 0 && i + 4 <= rows && segment.depth_stride == 1)
      done = pack_four_rows(segment, i, width, out);
#endif
    const float* const from = segment.a + i * segment.row_stride;
    for (std::int64_t k = done; k < segment.depth; ++k)
      out[k * width + i] = i < rows ? from[k * segment.depth_stride] : 0.0f;
  }
}

void MultiplyStrip(const Strip& strip) {
  const std::int64_t width = columns_of_kernel();
  const int tile_rows =
      strip.rows <= kFewRows ? kFewRows : (strip.rows <= kMiddleRows ? kMiddleRows : kRows);
  StripSegment segments[kMaxSegments];
  float* room = strip.packed_a;
  for (int s = 0; s < strip.segment_count; ++s) {
    segments[s] = strip.segments[s];
    if (strip.rows == tile_rows) continue;
    pack_rows(strip.segments[s], strip.rows, tile_rows, room);
    segments[s].a = room;
    segments[s].row_stride = 1;
    segments[s].depth_stride = tile_rows;
    room += tile_rows * segments[s].depth;
  }
  for (std::int64_t panel = 0; panel * width < strip.columns; ++panel) {
    const std::int64_t first = panel * width;
    const std::int64_t columns = strip.columns - first < width ? strip.columns - first : width;
    const bool narrow = columns <= width / 2;
    const TileFunction tile = narrow ? tile_for<1>(strip.rows) : tile_for<2>(strip.rows);
    if (strip.c_transposed)
      multiply_transposed(strip, tile, segments, panel, first, columns);
    else if (strip.rows == tile_rows && columns == (narrow ? width / 2 : width))
      tile(segments, strip.segment_count, panel, strip.c + first, strip.c_stride, strip.beta,
           strip.bias ? strip.bias + first : nullptr);
    else
      multiply_edge(strip, tile, segments, panel, first, columns);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
HWY_EXPORT(Shape);
HWY_EXPORT(MultiplyStrip);

KernelShape kernel_shape() { return HWY_DYNAMIC_DISPATCH(Shape)(); }
void multiply_strip(const Strip& strip) { HWY_DYNAMIC_DISPATCH(MultiplyStrip)(strip); }
}  // namespace elenchus::ops
#endif
