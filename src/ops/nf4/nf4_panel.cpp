#include "ops/nf4/nf4_panel.h"

#include "ops/nf4/nf4_source.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/nf4/nf4_panel.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/nf4/nf4_table-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using nf4::HWY_NAMESPACE::F;
using nf4::HWY_NAMESPACE::I;
using nf4::HWY_NAMESPACE::Table;
using nf4::HWY_NAMESPACE::V;
using Bytes = hn::Rebind<std::uint8_t, I>;

/// The 64 codes of a block, a byte each, in order.
HWY_INLINE void unpack_block(const std::uint8_t* HWY_RESTRICT codes,
                             std::uint8_t* HWY_RESTRICT bytes) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 32; ++i) {
    bytes[2 * i] = codes[i] >> 4;
    bytes[2 * i + 1] = codes[i] & 15;
  }
#else
  constexpr hn::FixedTag<std::uint8_t, 16> b16;
  for (int i = 0; i < 2; ++i) {
    const auto both = hn::LoadU(b16, codes + 16 * i);
    const auto first = hn::ShiftRight<4>(both);
    const auto second = hn::And(both, hn::Set(b16, 15));
    hn::Store(hn::InterleaveLower(b16, first, second), b16, bytes + 32 * i);
    hn::Store(hn::InterleaveUpper(b16, first, second), b16, bytes + 32 * i + 16);
  }
#endif
}

/// One whole block: out[i * stride / panel ...]. Panels of `width` floats lie `panel_stride` apart.
HWY_INLINE void dequantize_block(const Nf4Source& source, std::int64_t block, std::int64_t width,
                                 std::int64_t panel_stride, float* HWY_RESTRICT out) {
  constexpr std::int64_t kLanes = std::int64_t(hn::MaxLanes(F()));
  HWY_ALIGN std::uint8_t bytes[64];
  unpack_block(source.codes + block * (kNf4Block / 2), bytes);
  const Table table(source.values, source.scale(block));
  for (std::int64_t i = 0; i < kNf4Block; i += width, out += panel_stride)
    for (std::int64_t j = 0; j < width; j += kLanes)
      hn::StoreU(table[hn::PromoteTo(I(), hn::LoadU(Bytes(), bytes + i + j))], F(), out + j);
}

void DequantizeRun(const Nf4Source& source, std::int64_t first, std::int64_t count, float* out) {
  const std::int64_t end = first + count;
  std::int64_t i = first;
  for (; i < end && i % kNf4Block != 0; ++i) *out++ = source.value(i);
  for (; i + kNf4Block <= end; i += kNf4Block, out += kNf4Block)
    dequantize_block(source, i / kNf4Block, kNf4Block, 0, out);
  for (; i < end; ++i) *out++ = source.value(i);
}

/// Row by row, a block at a time where rows are whole blocks.
void PackAsIs(const Nf4Source& source, const PanelRange& range, float* HWY_RESTRICT out) {
  const std::int64_t width = 2 * std::int64_t(hn::Lanes(F()));
  const std::int64_t panel = range.depth * width;
  const bool whole_blocks = source.in % kNf4Block == 0 && range.columns % kNf4Block == 0;
  for (std::int64_t k = 0; k < range.depth; ++k) {
    const std::int64_t first = (range.first_row + k) * source.in + range.first_column;
    for (std::int64_t n = 0; n < range.columns; n += kNf4Block) {
      float* const to = out + n / width * panel + k * width;
      if (whole_blocks) {
        dequantize_block(source, (first + n) / kNf4Block, width, panel, to);
        continue;
      }
      HWY_ALIGN float values[kNf4Block] = {};
      const std::int64_t rest = range.columns - n < kNf4Block ? range.columns - n : kNf4Block;
      DequantizeRun(source, first + n, rest, values);
      for (std::int64_t j = 0; j < rest; ++j) to[j / width * panel + j % width] = values[j];
    }
  }
}

constexpr std::int64_t kGroup = 16;  // rows that are turned together

#if HWY_TARGET != HWY_SCALAR
/// Byte j of 16 rows becomes out[16 j ...]: four rounds of a perfect shuffle transpose 16 x 16.
HWY_INLINE void transpose_bytes(const std::uint8_t* const* rows, std::int64_t offset,
                                std::uint8_t* HWY_RESTRICT out) {
  constexpr hn::FixedTag<std::uint8_t, 16> b16;
  hn::Vec<hn::FixedTag<std::uint8_t, 16>> v[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) v[i] = hn::LoadU(b16, rows[i] + offset);
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      t[2 * i] = hn::InterleaveLower(b16, v[i], v[i + 8]);
      t[2 * i + 1] = hn::InterleaveUpper(b16, v[i], v[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) v[i] = t[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) hn::Store(v[i], b16, out + 16 * i);
}

/// 64 inner positions of 16 rows, whose blocks start at `blocks`. `out` is the first panel's row;
/// lanes from `columns` on are not stored.
HWY_INLINE void pack_group(const Nf4Source& source, const std::int64_t* blocks,
                           std::int64_t columns, std::int64_t panel, float* HWY_RESTRICT out) {
  constexpr F f;
  constexpr std::int64_t kLanes = std::int64_t(hn::MaxLanes(f)), kWidth = 2 * kLanes;
  HWY_ALIGN float scales[kGroup];
  const std::uint8_t* rows[kGroup];
  for (int i = 0; i < kGroup; ++i) {
    scales[i] = source.scale(blocks[i]);
    rows[i] = source.codes + blocks[i] * (kNf4Block / 2);
  }
  const Table table(source.values, 1.0f);
  HWY_ALIGN std::uint8_t bytes[256];
  for (int half = 0; half < 2; ++half) {
    transpose_bytes(rows, 16 * half, bytes);
    for (std::int64_t j = 0; j < kGroup && j < columns; j += kLanes) {
      const V scale = hn::Load(f, scales + j);
      float* to = out + j / kWidth * panel + j % kWidth + half * 32 * kWidth;
      for (int k = 0; k < 16; ++k, to += 2 * kWidth) {
        const auto both = hn::PromoteTo(I(), hn::LoadU(Bytes(), bytes + 16 * k + j));
        hn::Store(hn::Mul(table[hn::ShiftRight<4>(both)], scale), f, to);
        hn::Store(hn::Mul(table[both], scale), f, to + kWidth);
      }
    }
  }
}
#endif

void PackTransposed(const Nf4Source& source, const PanelRange& range, float* HWY_RESTRICT out) {
  const std::int64_t width = 2 * std::int64_t(hn::Lanes(F()));
  const std::int64_t panel = range.depth * width;
#if HWY_TARGET != HWY_SCALAR
  if (source.in % kNf4Block == 0 && range.depth % kNf4Block == 0) {
    const std::int64_t padded = (range.columns + width - 1) / width * width;
    for (std::int64_t n = 0; n < padded; n += kGroup) {
      std::int64_t blocks[kGroup];
      for (std::int64_t i = 0; i < kGroup; ++i) {  // past the edge the last row stands in
        const std::int64_t row = n + i < range.columns ? n + i : range.columns - 1;
        blocks[i] = ((range.first_column + row) * source.in + range.first_row) / kNf4Block;
      }
      float* to = out + n / width * panel + n % width;
      for (std::int64_t k = 0; k < range.depth; k += kNf4Block, to += kNf4Block * width) {
        pack_group(source, blocks, padded - n, panel, to);
        for (std::int64_t i = 0; i < kGroup; ++i) ++blocks[i];
      }
    }
    return;
  }
#endif
  for (std::int64_t n = 0; n < range.columns; ++n) {
    const std::int64_t first = (range.first_column + n) * source.in + range.first_row;
    float* const to = out + n / width * panel + n % width;
    float values[kNf4Block];
    for (std::int64_t k = 0; k < range.depth; k += kNf4Block) {
      const std::int64_t rest = range.depth - k < kNf4Block ? range.depth - k : kNf4Block;
      DequantizeRun(source, first + k, rest, values);
      for (std::int64_t i = 0; i < rest; ++i) to[(k + i) * width] = values[i];
    }
  }
}

/// The number of decision thresholds below each value: midpoints of neighbouring table values.
void count_thresholds(const float* thresholds, const float* values, float factor, bool divide,
                      std::uint8_t* codes) {
  constexpr F f;
  constexpr I i32;
  const V one = hn::Set(f, 1.0f), by = hn::Set(f, factor);
  HWY_ALIGN std::int32_t counts[kNf4Block];
  for (std::int64_t i = 0; i < kNf4Block; i += std::int64_t(hn::Lanes(f))) {
    const V given = hn::LoadU(f, values + i);
    const V x =
        hn::Min(hn::Max(divide ? hn::Div(given, by) : hn::Mul(given, by), hn::Neg(one)), one);
    auto count = hn::Zero(i32);
    for (int t = 0; t < 15; ++t) {
      const auto above = hn::RebindMask(i32, hn::Gt(x, hn::Set(f, thresholds[t])));
      count = hn::Sub(count, hn::VecFromMask(i32, above));
    }
    hn::Store(count, i32, counts + i);
  }
  for (int i = 0; i < kNf4Block; ++i) codes[i] = std::uint8_t(counts[i]);
}

void QuantizeRun(const float* table, const float* weights, std::int64_t count, float* absmax,
                 std::uint8_t* codes) {
  float thresholds[15];
  for (int t = 0; t < 15; ++t) thresholds[t] = (table[t] + table[t + 1]) / 2;
  for (std::int64_t first = 0; first < count; first += kNf4Block) {
    const bool partial = count - first < kNf4Block;
    const std::int64_t size = partial ? count - first : kNf4Block;
    float values[kNf4Block] = {}, largest = 0;
    for (std::int64_t i = 0; i < size; ++i) {
      values[i] = weights[first + i];
      const float magnitude = values[i] < 0 ? -values[i] : values[i];
      largest = magnitude > largest ? magnitude : largest;
    }
    const float divisor = largest < 1e-38f ? 1e-38f : largest;
    std::uint8_t here[kNf4Block];
    count_thresholds(thresholds, values, partial ? divisor : 1.0f / divisor, partial, here);
    *absmax++ = partial ? divisor : largest;
    for (std::int64_t i = 0; i < size; i += 2) *codes++ = std::uint8_t(here[i] << 4 | here[i + 1]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
HWY_EXPORT(PackAsIs);
HWY_EXPORT(PackTransposed);
HWY_EXPORT(DequantizeRun);
HWY_EXPORT(QuantizeRun);

PackPanels nf4_transposed_panels(const Nf4Weight& weight) {
  return [source = Nf4Source(weight)](PanelRange range, float* out) {
    HWY_DYNAMIC_DISPATCH(PackTransposed)(source, range, out);
  };
}

PackPanels nf4_panels(const Nf4Weight& weight) {
  return [source = Nf4Source(weight)](PanelRange range, float* out) {
    HWY_DYNAMIC_DISPATCH(PackAsIs)(source, range, out);
  };
}

void dequantize_run(const Nf4Weight& weight, std::int64_t first, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(DequantizeRun)(Nf4Source(weight), first, count, out);
}

void quantize_run(const float* weights, std::int64_t count, float* absmax, std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(QuantizeRun)(kNf4Values.data(), weights, count, absmax, codes);
}
}  // namespace elenchus::ops
#endif
