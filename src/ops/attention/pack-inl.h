// What the attention kernels share: packing heads into f32 blocks, scores, and which of them count.
// Compiled once for every instruction set.

#if defined(ELENCHUS_OPS_ATTENTION_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ELENCHUS_OPS_ATTENTION_PACK_INL_H_
#undef ELENCHUS_OPS_ATTENTION_PACK_INL_H_
#else
#define ELENCHUS_OPS_ATTENTION_PACK_INL_H_
#endif

#include "ops/attention/blocks.h"
#include "ops/simd/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops::attention_cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace vec = simd::HWY_NAMESPACE;
using vec::Floats;
using vec::FloatVector;

/// Rows of D elements as scaled f32 rows padded with zeros to `width`.
template <class T>
void pack_rows(float* to, const T* from, std::int64_t stride, std::int64_t rows, std::int64_t D,
               float scale) {
  const Floats d;
  const std::int64_t width = padded(D);
  const auto factor = hn::Set(d, scale);
  for (std::int64_t r = 0; r < rows; ++r, to += width, from += stride) {
    vec::transform(
        d, std::size_t(D), to, [factor](FloatVector v) HWY_ATTR { return hn::Mul(v, factor); },
        from);
    std::fill(to + D, to + width, 0.0f);
  }
}

/// `rows` packed rows [rows, padded(D)] as columns: to[c * kBlock + r]; columns past `rows` are
/// zero.
inline void transpose_rows(float* to, const float* from, std::int64_t rows, std::int64_t D) {
  const std::int64_t width = padded(D);
  for (std::int64_t c = 0; c < D; ++c) {
    float* const column = to + c * kBlock;
    for (std::int64_t r = 0; r < rows; ++r) column[r] = from[r * width + c];
    std::fill(column + rows, column + kBlock, 0.0f);
  }
}

/// scores[key][query] = keys . queries, for the visible part. keys [*, padded(D)] are packed rows,
/// `queries` packed columns.
inline void multiply_scores(float* scores, const float* keys, const float* queries, std::int64_t D,
                            std::int64_t key_count, std::int64_t query_count,
                            const Visibility& visible) {
  const std::int64_t lanes = std::int64_t(hn::Lanes(Floats())), width = padded(D);
  const std::int64_t group = std::int64_t(vec::kTileRows);
  for (std::int64_t k = 0; k < key_count; k += group) {
    const std::int64_t rows = std::min(group, key_count - k);
    const std::int64_t begin = visible.first_query(k) / lanes * lanes;
    const std::int64_t end = visible.end_query(k, rows, query_count);
    if (begin >= end) continue;
    vec::block_product(vec::Onto::zero, {scores + k * kBlock + begin, std::size_t(kBlock)},
                       {keys + k * width, std::size_t(width), 1},
                       {queries + begin, std::size_t(kBlock)}, std::size_t(rows),
                       std::size_t((end - begin + lanes - 1) / lanes * lanes), std::size_t(D));
  }
}

/// to[query] += sum over keys of weights[key][query] rows[key]: packed rows in and out.
inline void add_by_query(float* to, const float* weights, const float* rows, std::int64_t width,
                         std::int64_t key_count, std::int64_t query_count,
                         const Visibility& visible) {
  const std::int64_t group = std::int64_t(vec::kTileRows);
  for (std::int64_t q = 0; q < query_count; q += group) {
    const std::int64_t count = std::min(group, query_count - q);
    const std::int64_t begin = visible.first_key(q), end = visible.end_key(q, count, key_count);
    if (begin >= end) continue;
    vec::block_product(vec::Onto::result, {to + q * width, std::size_t(width)},
                       {weights + begin * kBlock + q, 1, std::size_t(kBlock)},
                       {rows + begin * width, std::size_t(width)}, std::size_t(count),
                       std::size_t(width), std::size_t(end - begin));
  }
}

/// to[key] += sum over queries of weights[key][query] rows[query]: packed rows in and out.
inline void add_by_key(float* to, const float* weights, const float* rows, std::int64_t width,
                       std::int64_t key_count, std::int64_t query_count,
                       const Visibility& visible) {
  const std::int64_t group = std::int64_t(vec::kTileRows);
  for (std::int64_t k = 0; k < key_count; k += group) {
    const std::int64_t count = std::min(group, key_count - k);
    const std::int64_t begin = visible.first_query(k);
    const std::int64_t end = visible.end_query(k, count, query_count);
    if (begin >= end) continue;
    vec::block_product(vec::Onto::result, {to + k * width, std::size_t(width)},
                       {weights + k * kBlock + begin, std::size_t(kBlock), 1},
                       {rows + begin * width, std::size_t(width)}, std::size_t(count),
                       std::size_t(width), std::size_t(end - begin));
  }
}

/// The visible lanes of one vector of scores: queries at `query` and after, one key.
HWY_INLINE hn::Mask<Floats> visible_lanes(Floats d, std::int64_t query, std::int64_t key,
                                          std::int64_t window) {
  const hn::RebindToSigned<Floats> integers;
  // Distances that matter are below 2^31; a window longer than that hides nothing.
  const auto distance = hn::Iota(integers, std::int32_t(query - key));
  auto mask = hn::Gt(distance, hn::Set(integers, -1));
  if (window > 0 && window < INT32_MAX)
    mask = hn::And(mask, hn::Lt(distance, hn::Set(integers, std::int32_t(window))));
  return hn::RebindMask(d, mask);
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops::attention_cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
