// The forward pass of few queries over a long cache: bound by reading it, so keys and values are
// read where they lie if they are f32, and converted a block at a time if not.

#include <cmath>
#include <limits>
#include <utility>

#include "ops/attention/blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/attention/attend_rows.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once for every instruction set
#include "hwy/highway.h"
#include "ops/attention/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace {
namespace HWY_NAMESPACE {

using namespace attention_cpu::HWY_NAMESPACE;  // NOLINT: the kernel's own pieces

/// Rows of f32 keys or values.
struct Block {
  const float* data;
  std::int64_t stride;
};

/// `rows` rows as padded f32: in place where they are that already, else packed into `room`.
template <class T>
Block as_floats(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t D,
                float* room) {
  if constexpr (std::is_same_v<T, float>)
    if (D == padded(D)) return {from, stride};
  pack_rows(room, from, stride, rows, D, 1);
  return {room, padded(D)};
}

/// scores[k] = query . keys[k], four keys at a time.
void score_keys(float* scores, const float* query, Block keys, std::int64_t count,
                std::int64_t width) {
  const Floats d;
  const std::int64_t lanes = std::int64_t(hn::Lanes(d));
  std::int64_t k = 0;
  for (; k + 4 <= count; k += 4) {
    const float* const row = keys.data + k * keys.stride;
    auto a = hn::Zero(d), b = a, c = a, e = a;
    for (std::int64_t i = 0; i < width; i += lanes) {
      const auto q = hn::LoadU(d, query + i);
      a = hn::MulAdd(q, hn::LoadU(d, row + i), a);
      b = hn::MulAdd(q, hn::LoadU(d, row + keys.stride + i), b);
      c = hn::MulAdd(q, hn::LoadU(d, row + 2 * keys.stride + i), c);
      e = hn::MulAdd(q, hn::LoadU(d, row + 3 * keys.stride + i), e);
    }
    scores[k] = hn::GetLane(hn::SumOfLanes(d, a));
    scores[k + 1] = hn::GetLane(hn::SumOfLanes(d, b));
    scores[k + 2] = hn::GetLane(hn::SumOfLanes(d, c));
    scores[k + 3] = hn::GetLane(hn::SumOfLanes(d, e));
  }
  for (; k < count; ++k) {
    auto a = hn::Zero(d);
    for (std::int64_t i = 0; i < width; i += lanes)
      a = hn::MulAdd(hn::LoadU(d, query + i), hn::LoadU(d, keys.data + k * keys.stride + i), a);
    scores[k] = hn::GetLane(hn::SumOfLanes(d, a));
  }
}

/// Query heads that go through the cache together.
constexpr std::int64_t kHeadsAtOnce = 16;

/// What one head of the row has gathered.
struct HeadState {
  float maximum = -std::numeric_limits<float>::max();
  float weight = 0;
};

/// Turns `count` <= kBlock scores into exp(score - maximum); the tail up to kBlock becomes zero.
void fold_scores(float* scores, std::int64_t count, float cap, HeadState& head, float* sums,
                 std::int64_t width) {
  const Floats d;
  const std::int64_t lanes = std::int64_t(hn::Lanes(d));
  std::fill(scores + count, scores + kBlock, -std::numeric_limits<float>::infinity());
  auto best = hn::Set(d, head.maximum);
  for (std::int64_t k = 0; k < count; k += lanes) {
    auto s = hn::LoadU(d, scores + k);
    if (cap != 0) {
      const auto capped = hn::Mul(hn::Set(d, cap), vec::tanh(d, hn::Div(s, hn::Set(d, cap))));
      s = k + lanes <= count ? capped
                             : hn::IfThenElse(hn::FirstN(d, std::size_t(count - k)), capped, s);
      hn::StoreU(s, d, scores + k);
    }
    best = hn::Max(best, s);
  }
  const float maximum = hn::GetLane(hn::MaxOfLanes(d, best));
  auto sum = hn::Zero(d);
  for (std::int64_t k = 0; k < count; k += lanes) {
    const auto p = vec::exp(d, hn::Sub(hn::LoadU(d, scores + k), hn::Set(d, maximum)));
    sum = hn::Add(sum, p);
    hn::StoreU(p, d, scores + k);
  }
  const float shrink = std::exp(head.maximum - maximum);
  if (shrink != 1.0f)
    for (std::int64_t i = 0; i < width; ++i) sums[i] *= shrink;
  head.weight = head.weight * shrink + hn::GetLane(hn::SumOfLanes(d, sum));
  head.maximum = maximum;
}

/// One query row, heads [first, last) of the group together: each block of the cache is read once.
template <class T>
void attend_row(const QueryBlock& block, const AttentionShape& shape, std::int64_t row,
                std::int64_t first, std::int64_t last, float* scratch) {
  const std::int64_t D = shape.head_dim, width = padded(D), heads = last - first;
  const auto take = [&](std::int64_t n) { return std::exchange(scratch, scratch + n); };
  float* const key_room = take(kBlock * width);
  float* const value_room = take(kBlock * width);
  float* const queries = take(heads * width);
  float* const sums = take(heads * width);
  float* const scores = take(heads * kBlock);
  HeadState states[kHeadsAtOnce];
  // The heads of a row lie D apart, as rows do elsewhere.
  pack_rows(queries, static_cast<const T*>(block.queries) + row * block.query_stride + first * D, D,
            heads, D, shape.scale);
  std::fill(sums, sums + heads * width, 0.0f);
  const std::int64_t end = block.position + row + 1;
  const std::int64_t begin = shape.window > 0 ? std::max<std::int64_t>(0, end - shape.window) : 0;
  for (std::int64_t k = begin; k < end; k += kBlock) {
    const std::int64_t count = std::min(kBlock, end - k), at = k * block.key_stride;
    const Block keys =
        as_floats(static_cast<const T*>(block.keys) + at, block.key_stride, count, D, key_room);
    const Block values =
        as_floats(static_cast<const T*>(block.values) + at, block.key_stride, count, D, value_room);
    for (std::int64_t h = 0; h < heads; ++h) {
      score_keys(scores + h * kBlock, queries + h * width, keys, count, width);
      fold_scores(scores + h * kBlock, count, shape.soft_cap, states[h], sums + h * width, width);
    }
    vec::block_product(vec::Onto::result, {sums, std::size_t(width)},
                       {scores, std::size_t(kBlock), 1}, {values.data, std::size_t(values.stride)},
                       std::size_t(heads), std::size_t(width), std::size_t(count));
  }
  for (std::int64_t h = 0; h < heads; ++h) {
    const auto weight = hn::Set(Floats(), states[h].weight);
    vec::transform(
        Floats(), std::size_t(D),
        static_cast<T*>(block.out) + row * block.out_stride + (first + h) * D,
        [weight](FloatVector v) HWY_ATTR { return hn::Div(v, weight); }, sums + h * width);
  }
}

void attend(const QueryBlock& block, const AttentionShape& shape, float* scratch) {
  const std::int64_t heads = shape.heads / shape.kv_heads;
  visit_float(block.dtype, [&]<class T>() {
    for (std::int64_t row = 0; row < block.rows; ++row)
      for (std::int64_t h = 0; h < heads; h += kHeadsAtOnce)
        attend_row<T>(block, shape, row, h, std::min(heads, h + kHeadsAtOnce), scratch);
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

void attend_rows(const QueryBlock& block, const AttentionShape& shape, std::byte* scratch) {
  HWY_DYNAMIC_DISPATCH(attend)(block, shape, reinterpret_cast<float*>(scratch));
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
