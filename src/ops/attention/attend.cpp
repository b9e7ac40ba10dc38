// The forward pass over one block of queries.

#include <cmath>
#include <limits>
#include <utility>

#include "ops/attention/blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/attend.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once for every instruction set
#include "hwy/highway.h"
#include "ops/attention/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace {
namespace HWY_NAMESPACE {

using namespace attention_cpu::HWY_NAMESPACE;  // NOLINT: the kernel's own pieces

/// What one query head has gathered over the keys seen so far.
struct HeadState {
  float* queries;  // packed columns [D, kBlock], scaled
  float* sums;     // sum of exp(score - maximum) value, [kBlock, width]
  float* maximum;  // [kBlock]
  float* weight;   // sum of exp(score - maximum), [kBlock]
};

/// Scores of queries [first, first + one vector) of a block: the keys that any of them sees.
struct Column {
  float* scores;  // of the first key, kBlock apart
  std::int64_t query;
  std::int64_t begin, end;
};

/// Caps the scores and hides those that do not count behind minus infinity.
void finish_scores(const Column& column, float cap, const Visibility& visible) {
  const Floats d;
  const auto hidden = hn::Neg(hn::Inf(d));
  for (std::int64_t k = column.begin; k < column.end; ++k) {
    float* const at = column.scores + k * kBlock;
    auto s = hn::LoadU(d, at);
    if (cap != 0) s = hn::Mul(hn::Set(d, cap), vec::tanh(d, hn::Div(s, hn::Set(d, cap))));
    const auto seen =
        visible_lanes(d, visible.query + column.query, visible.key + k, visible.window);
    hn::StoreU(hn::IfThenElse(seen, s, hidden), d, at);
  }
}

/// The largest score of each lane, and at least `least`.
HWY_INLINE FloatVector column_maximum(const Column& column, FloatVector least) {
  const Floats d;
  auto even = least, odd = least;
  std::int64_t k = column.begin;
  for (; k + 2 <= column.end; k += 2) {
    even = hn::Max(even, hn::LoadU(d, column.scores + k * kBlock));
    odd = hn::Max(odd, hn::LoadU(d, column.scores + (k + 1) * kBlock));
  }
  if (k < column.end) even = hn::Max(even, hn::LoadU(d, column.scores + k * kBlock));
  return hn::Max(even, odd);
}

/// Turns scores into exp(score - maximum), zero where a query does not see a key, carrying the
/// head's maximum and weight along. `shrink` [kBlock] gets the factor that the sums so far are to
/// be multiplied by.
void fold_scores(float* scores, std::int64_t keys, std::int64_t queries, const HeadState& head,
                 float cap, const Visibility& visible, float* shrink) {
  const Floats d;
  const std::int64_t lanes = std::int64_t(hn::Lanes(d));
  const bool finishes = cap != 0 || !visible.all(queries, keys);
  for (std::int64_t q = 0; q < queries; q += lanes) {
    const std::int64_t end = visible.end_key(q, lanes, keys);
    const Column column{scores + q, q, std::min(visible.first_key(q), end), end};
    if (finishes) finish_scores(column, cap, visible);
    const auto before = hn::LoadU(d, head.maximum + q);
    const auto maximum = column_maximum(column, before);
    auto sum = hn::Zero(d);
    for (std::int64_t k = 0; k < column.begin; ++k)
      hn::StoreU(hn::Zero(d), d, column.scores + k * kBlock);
    for (std::int64_t k = column.begin; k < column.end; ++k) {
      float* const at = column.scores + k * kBlock;
      const auto p = vec::exp(d, hn::Sub(hn::LoadU(d, at), maximum));
      sum = hn::Add(sum, p);
      hn::StoreU(p, d, at);
    }
    for (std::int64_t k = column.end; k < keys; ++k)
      hn::StoreU(hn::Zero(d), d, column.scores + k * kBlock);
    const auto factor = vec::exp(d, hn::Sub(before, maximum));
    hn::StoreU(factor, d, shrink + q);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, head.weight + q), factor, sum), d, head.weight + q);
    hn::StoreU(maximum, d, head.maximum + q);
  }
}

void shrink_sums(float* sums, const float* shrink, std::int64_t rows, std::int64_t width) {
  const Floats d;
  for (std::int64_t r = 0; r < rows; ++r, sums += width) {
    if (shrink[r] == 1.0f) continue;
    const auto factor = hn::Set(d, shrink[r]);
    vec::transform(
        d, std::size_t(width), sums,
        [factor](FloatVector v) HWY_ATTR { return hn::Mul(v, factor); }, sums);
  }
}

template <class T>
void write_head(const QueryBlock& block, const AttentionShape& shape, const HeadState& head,
                std::int64_t h) {
  const Floats d;
  const std::int64_t width = padded(shape.head_dim);
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const auto weight = hn::Set(d, head.weight[r]);
    T* const out = static_cast<T*>(block.out) + r * block.out_stride + h * shape.head_dim;
    vec::transform(
        d, std::size_t(shape.head_dim), out,
        [weight](FloatVector v) HWY_ATTR { return hn::Div(v, weight); }, head.sums + r * width);
    if (block.log_sum_exp)
      block.log_sum_exp[r * shape.heads + h] = head.maximum[r] + std::log(head.weight[r]);
  }
}

/// Heads [first, last) of the group together, so that each block of keys is packed once for them.
template <class T>
void attend_heads(const QueryBlock& block, const AttentionShape& shape, std::int64_t first,
                  std::int64_t last, float* scratch) {
  const std::int64_t D = shape.head_dim, width = padded(D);
  const std::int64_t lanes = std::int64_t(hn::Lanes(Floats()));
  const std::int64_t queries = (block.rows + lanes - 1) / lanes * lanes;
  const auto take = [&](std::int64_t n) { return std::exchange(scratch, scratch + n); };
  float* const keys = take(kBlock * width);
  float* const values = take(kBlock * width);
  float* const scores = take(kBlock * kBlock);
  float* const shrink = take(kBlock);
  const auto head_state = [&, base = scratch](std::int64_t h) {
    float* const at = base + (h - first) * (2 * kBlock * width + 2 * kBlock);
    return HeadState{at, at + kBlock * width, at + 2 * kBlock * width,
                     at + 2 * kBlock * width + kBlock};
  };
  for (std::int64_t h = first; h < last; ++h) {
    const HeadState head = head_state(h);
    pack_rows(keys, static_cast<const T*>(block.queries) + h * D, block.query_stride, block.rows, D,
              shape.scale);
    transpose_rows(head.queries, keys, block.rows, D);
    std::fill(head.sums, head.sums + kBlock * width, 0.0f);
    std::fill(head.maximum, head.maximum + kBlock, -std::numeric_limits<float>::max());
    std::fill(head.weight, head.weight + kBlock, 0.0f);
  }
  const std::int64_t end = block.position + block.rows;
  const std::int64_t begin =
      shape.window > 0 ? std::max<std::int64_t>(0, block.position - shape.window + 1) : 0;
  for (std::int64_t k = begin / kBlock * kBlock; k < end; k += kBlock) {
    const std::int64_t count = std::min(kBlock, end - k);
    const Visibility visible{block.position, k, shape.window};
    pack_rows(keys, static_cast<const T*>(block.keys) + k * block.key_stride, block.key_stride,
              count, D, 1);
    pack_rows(values, static_cast<const T*>(block.values) + k * block.key_stride, block.key_stride,
              count, D, 1);
    for (std::int64_t h = first; h < last; ++h) {
      const HeadState head = head_state(h);
      multiply_scores(scores, keys, head.queries, D, count, queries, visible);
      fold_scores(scores, count, queries, head, shape.soft_cap, visible, shrink);
      shrink_sums(head.sums, shrink, block.rows, width);
      add_by_query(head.sums, scores, values, width, count, block.rows, visible);
    }
  }
  for (std::int64_t h = first; h < last; ++h) write_head<T>(block, shape, head_state(h), h);
}

void attend(const QueryBlock& block, const AttentionShape& shape, float* scratch) {
  const std::int64_t heads = shape.heads / shape.kv_heads, width = padded(shape.head_dim);
  const std::int64_t room = std::int64_t(Stream::kWorkerScratchBytes / sizeof(float));
  const std::int64_t shared = kBlock * (2 * width + kBlock + 1);
  const std::int64_t at_once =
      std::max<std::int64_t>(1, (room - shared) / (kBlock * (2 * width + 2)));
  visit_float(block.dtype, [&]<class T>() {
    for (std::int64_t h = 0; h < heads; h += at_once)
      attend_heads<T>(block, shape, h, std::min(heads, h + at_once), scratch);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {
HWY_EXPORT(attend);
}  // namespace

void attend_block(const QueryBlock& block, const AttentionShape& shape, std::byte* scratch) {
  HWY_DYNAMIC_DISPATCH(attend)(block, shape, reinterpret_cast<float*>(scratch));
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
