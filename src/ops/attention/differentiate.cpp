// The gradient of one query head of one sequence. Blocks of queries are the outer loop: the head's
// dqueries finish one block at a time, its share of dkeys and dvalues grows in place.

#include <utility>

#include "ops/attention/blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/differentiate.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once for every instruction set
#include "hwy/highway.h"
#include "ops/attention/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace {
namespace HWY_NAMESPACE {

using namespace attention_cpu::HWY_NAMESPACE;  // NOLINT: the kernel's own pieces

/// A block of queries and the buffers that it is differentiated in. Packed rows are [kBlock,
/// padded(D)], packed columns [D, kBlock], blocks of scores [key][query].
struct Workspace {
  float* queries;         // rows, scaled
  float* query_columns;   // the same as columns
  float* dout;            // rows
  float* dout_columns;    // the same as columns
  float* dqueries;        // rows
  float* keys;            // rows
  float* values;          // rows
  float* scores;          // then probabilities
  float* dprobabilities;  // then gradients of the scores
  float* log_sum_exp;     // [kBlock]
  float* delta;           // dout . out of each query, [kBlock]

  Workspace(float* scratch, std::int64_t width) {
    const auto take = [&](std::int64_t n) { return std::exchange(scratch, scratch + n); };
    for (float** rows : {&queries, &query_columns, &dout, &dout_columns, &dqueries, &keys, &values})
      *rows = take(kBlock * width);
    scores = take(kBlock * kBlock);
    dprobabilities = take(kBlock * kBlock);
    log_sum_exp = take(kBlock);
    delta = take(kBlock);
  }
};

template <class T>
void load_queries(const Workspace& w, const HeadGradient& head, const AttentionShape& shape,
                  std::int64_t first, std::int64_t count) {
  const std::int64_t D = shape.head_dim;
  pack_rows(w.queries, static_cast<const T*>(head.queries) + first * head.row_stride,
            head.row_stride, count, D, shape.scale);
  transpose_rows(w.query_columns, w.queries, count, D);
  const T* dout = static_cast<const T*>(head.dout) + first * head.out_stride;
  const T* out = static_cast<const T*>(head.out) + first * head.out_stride;
  pack_rows(w.dout, dout, head.out_stride, count, D, 1);
  transpose_rows(w.dout_columns, w.dout, count, D);
  std::fill(w.dqueries, w.dqueries + count * padded(D), 0.0f);
  std::fill(w.log_sum_exp, w.log_sum_exp + kBlock, 0.0f);
  std::fill(w.delta, w.delta + kBlock, 0.0f);
  for (std::int64_t r = 0; r < count; ++r) {
    w.log_sum_exp[r] = head.log_sum_exp[(first + r) * head.log_sum_exp_stride];
    w.delta[r] = vec::sum(
        Floats(), std::size_t(D),
        [](FloatVector acc, FloatVector a, FloatVector b)
            HWY_ATTR { return hn::MulAdd(a, b, acc); },
        dout + r * head.out_stride, out + r * head.out_stride);
  }
}

/// scores -> probabilities, dprobabilities -> dscores; zero where a query does not see a key.
void differentiate_softmax(const Workspace& w, std::int64_t keys, std::int64_t queries, float cap,
                           const Visibility& visible) {
  const Floats d;
  const std::int64_t lanes = std::int64_t(hn::Lanes(d));
  const bool masks = !visible.all(queries, keys);
  const auto one = hn::Set(d, 1.0f), caps = hn::Set(d, cap);
  for (std::int64_t q = 0; q < queries; q += lanes) {
    const auto log_sum_exp = hn::LoadU(d, w.log_sum_exp + q), delta = hn::LoadU(d, w.delta + q);
    const std::int64_t begin = visible.first_key(q), end = visible.end_key(q, lanes, keys);
    for (std::int64_t k = 0; k < keys; ++k) {
      float* const score = w.scores + k * kBlock + q;
      float* const dscore = w.dprobabilities + k * kBlock + q;
      if (k < begin || k >= end) {
        hn::StoreU(hn::Zero(d), d, score);
        hn::StoreU(hn::Zero(d), d, dscore);
        continue;
      }
      auto s = hn::LoadU(d, score);
      auto slope = one;
      if (cap != 0) {
        const auto t = vec::tanh(d, hn::Div(s, caps));
        s = hn::Mul(caps, t);
        slope = hn::NegMulAdd(t, t, one);
      }
      auto p = vec::exp(d, hn::Sub(s, log_sum_exp));
      auto ds = hn::Mul(p, hn::Sub(hn::LoadU(d, dscore), delta));
      if (cap != 0) ds = hn::Mul(ds, slope);
      if (masks) {
        const auto seen = visible_lanes(d, visible.query + q, visible.key + k, visible.window);
        p = hn::IfThenElseZero(seen, p);
        ds = hn::IfThenElseZero(seen, ds);
      }
      hn::StoreU(p, d, score);
      hn::StoreU(ds, d, dscore);
    }
  }
}

template <class T>
void write_queries(const Workspace& w, const HeadGradient& head, const AttentionShape& shape,
                   std::int64_t first, std::int64_t count) {
  const Floats d;
  const auto scale = hn::Set(d, shape.scale);
  for (std::int64_t r = 0; r < count; ++r)
    vec::transform(
        d, std::size_t(shape.head_dim),
        static_cast<T*>(head.dqueries) + (first + r) * head.row_stride,
        [scale](FloatVector v) HWY_ATTR { return hn::Mul(v, scale); },
        w.dqueries + r * padded(shape.head_dim));
}

template <class T>
void differentiate_typed(const HeadGradient& head, const AttentionShape& shape, float* scratch) {
  const std::int64_t D = shape.head_dim, width = padded(D);
  const std::int64_t lanes = std::int64_t(hn::Lanes(Floats()));
  const Workspace w(scratch, width);
  std::fill(head.dkeys, head.dkeys + head.rows * width, 0.0f);
  std::fill(head.dvalues, head.dvalues + head.rows * width, 0.0f);
  for (std::int64_t q = 0; q < head.rows; q += kBlock) {
    const std::int64_t rows = std::min(kBlock, head.rows - q);
    const std::int64_t queries = (rows + lanes - 1) / lanes * lanes;
    load_queries<T>(w, head, shape, q, rows);
    const std::int64_t begin =
        shape.window > 0 ? std::max<std::int64_t>(0, q - shape.window + 1) : 0;
    for (std::int64_t k = begin / kBlock * kBlock; k < q + rows; k += kBlock) {
      const std::int64_t keys = std::min(kBlock, q + rows - k);
      const Visibility visible{q, k, shape.window};
      pack_rows(w.keys, static_cast<const T*>(head.keys) + k * head.row_stride, head.row_stride,
                keys, D, 1);
      pack_rows(w.values, static_cast<const T*>(head.values) + k * head.row_stride, head.row_stride,
                keys, D, 1);
      multiply_scores(w.scores, w.keys, w.query_columns, D, keys, queries, visible);
      multiply_scores(w.dprobabilities, w.values, w.dout_columns, D, keys, queries, visible);
      differentiate_softmax(w, keys, queries, shape.soft_cap, visible);
      add_by_key(head.dvalues + k * width, w.scores, w.dout, width, keys, rows, visible);
      add_by_key(head.dkeys + k * width, w.dprobabilities, w.queries, width, keys, rows, visible);
      add_by_query(w.dqueries, w.dprobabilities, w.keys, width, keys, rows, visible);
    }
    write_queries<T>(w, head, shape, q, rows);
  }
}

void differentiate(const HeadGradient& head, const AttentionShape& shape, float* scratch) {
  visit_float(head.dtype, [&]<class T>() { differentiate_typed<T>(head, shape, scratch); });
}

void add_heads(const HeadShares& shares, std::int64_t first, std::int64_t last) {
  visit_float(shares.dtype, [&]<class T>() {
    const Floats d;
    const std::int64_t D = shares.head_dim;
    for (std::int64_t r = first; r < last; ++r) {
      T* const to = static_cast<T*>(shares.to) + r * shares.to_stride;
      const float* const from = shares.from + r * padded(D);
      vec::for_vectors(d, std::size_t(D), [&](std::size_t i, auto extent) HWY_ATTR {
        auto sum = vec::load(d, from + i, extent);
        for (std::int64_t h = 1; h < shares.heads; ++h)
          sum = hn::Add(sum, vec::load(d, from + h * shares.head_stride + std::int64_t(i), extent));
        vec::store(sum, d, to + i, extent);
      });
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {
HWY_EXPORT(differentiate);
HWY_EXPORT(add_heads);
}  // namespace

void differentiate_head(const HeadGradient& head, const AttentionShape& shape, std::byte* scratch) {
  HWY_DYNAMIC_DISPATCH(differentiate)(head, shape, reinterpret_cast<float*>(scratch));
}

void add_head_shares(const HeadShares& shares, std::int64_t first, std::int64_t last) {
  HWY_DYNAMIC_DISPATCH(add_heads)(shares, first, last);
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
