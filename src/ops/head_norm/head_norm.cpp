#include "ops/head_norm/head_norm.h"

#include <algorithm>
#include <cmath>

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/head_norm/head_norm.cpp"
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

template <class T>
float reciprocal_deviation(const T* x, std::size_t n, float epsilon) {
  const float squares = vec::sum(
      Floats(), n, [](FloatVector acc, FloatVector v) HWY_ATTR { return hn::MulAdd(v, v, acc); },
      x);
  return 1.0f / std::sqrt(squares / float(n) + epsilon);
}

template <class T>
void forward_head(T* y, const T* x, const float* weight, std::size_t n, float epsilon) {
  const Floats d;
  const auto scale = hn::Set(d, reciprocal_deviation(x, n, epsilon));
  vec::transform(
      d, n, y,
      [scale](FloatVector v, FloatVector w) HWY_ATTR { return hn::Mul(hn::Mul(v, scale), w); }, x,
      weight);
}

template <class T>
void backward_head(T* dx, const T* x, const float* weight, std::size_t n, float epsilon) {
  const Floats d;
  const float rstd = reciprocal_deviation(x, n, epsilon);
  const float dot = vec::sum(
      d, n,
      [](FloatVector acc, FloatVector g, FloatVector v, FloatVector w)
          HWY_ATTR { return hn::MulAdd(hn::Mul(w, g), v, acc); },
      dx, x, weight);
  const auto along = hn::Set(d, dot * rstd * rstd / float(n)), scale = hn::Set(d, rstd);
  vec::transform(
      d, n, dx,
      [=](FloatVector g, FloatVector v, FloatVector w)
          HWY_ATTR { return hn::Mul(scale, hn::NegMulAdd(v, along, hn::Mul(w, g))); },
      dx, x, weight);
}

void forward_rows(Tensor y, ConstTensor x, const HeadNorm& norm, std::int64_t first,
                  std::int64_t last) {
  const std::int64_t width = x.dim(1), D = norm.q_weight.dim(0), heads = norm.heads + norm.kv_heads;
  visit_float(x.dtype(), [&]<class T>() {
    for (std::int64_t n = first; n < last; ++n) {
      const T* const from = x.as<T>() + n * width;
      T* const to = y.as<T>() + n * width;
      for (std::int64_t h = 0; h < heads; ++h)
        forward_head(to + h * D, from + h * D,
                     (h < norm.heads ? norm.q_weight : norm.k_weight).as<float>(), std::size_t(D),
                     norm.epsilon);
      if (to != from) std::copy(from + heads * D, from + width, to + heads * D);
    }
  });
}

void backward_rows(Tensor dx, ConstTensor x, const HeadNorm& norm, std::int64_t first,
                   std::int64_t last) {
  const std::int64_t width = x.dim(1), D = norm.q_weight.dim(0), heads = norm.heads + norm.kv_heads;
  visit_float(x.dtype(), [&]<class T>() {
    for (std::int64_t n = first; n < last; ++n)
      for (std::int64_t h = 0; h < heads; ++h) {
        const std::int64_t at = n * width + h * D;
        backward_head(dx.as<T>() + at, x.as<T>() + at,
                      (h < norm.heads ? norm.q_weight : norm.k_weight).as<float>(), std::size_t(D),
                      norm.epsilon);
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
HWY_EXPORT(forward_rows);
HWY_EXPORT(backward_rows);

void check(ConstTensor y, ConstTensor x, const HeadNorm& norm) {
  expect(x.shape().rank() == 2 && y.shape() == x.shape() && y.dtype() == x.dtype(),
         "head_norm: shapes or dtypes differ");
  expect(norm.q_weight.shape().rank() == 1 && norm.q_weight.shape() == norm.k_weight.shape() &&
             norm.q_weight.dtype() == DType::f32 && norm.k_weight.dtype() == DType::f32,
         "head_norm: weights are not f32 [D]");
  expect((norm.heads + norm.kv_heads) * norm.q_weight.dim(0) <= x.dim(1),
         "head_norm: more heads than a row holds");
}
}  // namespace

void head_norm_forward(Stream& stream, Tensor y, ConstTensor x, const HeadNorm& norm) {
  check(y, x, norm);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::head_norm_forward(stream, y, x, norm);
  for_chunks(stream.pool(), x.dim(0), rows_per_task(x.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(forward_rows)(y, x, norm, first, last);
  });
}

void head_norm_backward(Stream& stream, Tensor dx, ConstTensor x, const HeadNorm& norm) {
  check(dx, x, norm);
  expect(dx.data() != x.data() || x.elements() == 0, "head_norm: dx overwrites x");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::head_norm_backward(stream, dx, x, norm);
  for_chunks(stream.pool(), x.dim(0), rows_per_task(x.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(backward_rows)(dx, x, norm, first, last);
  });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
