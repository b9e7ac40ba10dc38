#include "ops/embedding/embedding.h"

#include <algorithm>
#include <vector>

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/embedding/embedding.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once for every instruction set
#include "hwy/highway.h"
#include "ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace vec = simd::HWY_NAMESPACE;
using vec::Floats;
using vec::FloatVector;

/// y = scale * x, rounded to Y before and after the product.
template <class Y, class X>
void scaled_row(Y* y, const X* x, std::size_t n, float scale) {
  const Floats d;
  vec::transform(
      d, n, y, [](FloatVector v) HWY_ATTR { return v; }, x);
  if (scale == 1.0f) return;
  const auto factor = hn::Set(d, scale);
  vec::transform(
      d, n, y, [factor](FloatVector v) HWY_ATTR { return hn::Mul(v, factor); }, y);
}

void embed_rows(Tensor y, ConstTensor table, ConstTensor tokens, float scale, std::int64_t first,
                std::int64_t last) {
  visit_float(y.dtype(), [&]<class Y>() {
    visit_float(table.dtype(), [&]<class X>() {
      const std::int64_t columns = y.dim(1);
      for (std::int64_t n = first; n < last; ++n) {
        const std::int64_t token = tokens.as<std::int32_t>()[n];
        expect(token >= 0 && token < table.dim(0), "embedding: a token is outside the table");
        scaled_row(y.as<Y>() + n * columns, table.as<X>() + token * columns, std::size_t(columns),
                   scale);
      }
    });
  });
}

/// sum += scale * x
template <class X>
void add_row(float* sum, const X* x, std::size_t n, float scale) {
  const Floats d;
  const auto factor = hn::Set(d, scale);
  vec::transform(
      d, n, sum,
      [factor](FloatVector a, FloatVector b) HWY_ATTR { return hn::MulAdd(factor, b, a); },
      static_cast<const float*>(sum), x);
}

/// `order` lists the rows of y token by token, each token's in their order; its part [first, last)
/// ends where a token's rows end.
void add_rows(Tensor dtable, ConstTensor dy, ConstTensor tokens, float scale,
              const std::int64_t* first, const std::int64_t* last) {
  const std::int32_t* const token = tokens.as<std::int32_t>();
  const std::size_t columns = std::size_t(dy.dim(1));
  std::vector<float> sum(columns);
  while (first < last) {
    const std::int32_t one = token[*first];
    std::ranges::fill(sum, 0.0f);
    visit_float(dy.dtype(), [&]<class T>() {
      for (; first < last && token[*first] == one; ++first)
        add_row(sum.data(), dy.as<T>() + *first * dy.dim(1), columns, 1.0f);
    });
    add_row(dtable.as<float>() + one * dtable.dim(1), sum.data(), columns, scale);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {

HWY_EXPORT(embed_rows);
HWY_EXPORT(add_rows);
}  // namespace

void embedding_forward(Stream& stream, Tensor y, ConstTensor table, ConstTensor tokens,
                       float scale) {
  expect(y.shape().rank() == 2 && table.shape().rank() == 2 && table.dim(1) == y.dim(1),
         "embedding: y and table differ in columns");
  expect(tokens.shape() == Shape{y.dim(0)} && tokens.dtype() == DType::i32,
         "embedding: tokens is not i32 [N]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::embedding_forward(stream, y, table, tokens, scale);
  for_chunks(stream.pool(), y.dim(0), rows_per_task(y.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(embed_rows)(y, table, tokens, scale, first, last);
  });
}

void embedding_backward(Stream& stream, Tensor dtable, ConstTensor dy, ConstTensor tokens,
                        float scale, std::int32_t padding) {
  expect(dy.shape().rank() == 2 && dtable.shape().rank() == 2 && dtable.dim(1) == dy.dim(1) &&
             dtable.dtype() == DType::f32,
         "embedding: dtable is not f32 [V,C] for dy [N,C]");
  expect(tokens.shape() == Shape{dy.dim(0)} && tokens.dtype() == DType::i32,
         "embedding: tokens is not i32 [N]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda())
      return cuda::embedding_backward(stream, dtable, dy, tokens, scale, padding);
  const std::int32_t* const token = tokens.as<std::int32_t>();
  std::vector<std::int64_t> order;
  for (std::int64_t n = 0; n < dy.dim(0); ++n) {
    expect(token[n] >= 0 && token[n] < dtable.dim(0), "embedding: a token is outside the table");
    if (token[n] != padding) order.push_back(n);
  }
  std::ranges::stable_sort(order, {}, [&](std::int64_t n) { return token[n]; });
  const std::int64_t count = std::int64_t(order.size());
  // A task takes the tokens whose first row lies in its part of `order`.
  const auto first_of_token = [&](std::int64_t at) {
    const auto token_at = [&](std::int64_t i) { return token[order[std::size_t(i)]]; };
    while (at > 0 && at < count && token_at(at) == token_at(at - 1)) ++at;
    return order.data() + at;
  };
  for_chunks(stream.pool(), count, rows_per_task(dy.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(add_rows)
    (dtable, dy, tokens, scale, first_of_token(first), first_of_token(last));
  });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
