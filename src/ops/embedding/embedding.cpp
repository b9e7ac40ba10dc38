#include "ops/embedding/embedding.h"

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

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {

HWY_EXPORT(embed_rows);
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

}  // namespace elenchus::ops
#endif  // HWY_ONCE
