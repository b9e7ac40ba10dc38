#include "ops/rms_norm/rms_norm.h"

#include <cmath>

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rms_norm/rms_norm.cpp"
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

template <class Y, class X>
void forward_row(Y* y, const X* x, const float* weight, std::size_t columns, float rstd) {
  const Floats d;
  const auto scale = hn::Set(d, rstd);
  vec::transform(
      d, columns, y,
      [scale](FloatVector v, FloatVector w) HWY_ATTR { return hn::Mul(hn::Mul(v, scale), w); }, x,
      weight);
}

template <class T>
float reciprocal_deviation(const T* x, std::size_t columns, float epsilon) {
  const float squares = vec::sum(
      Floats(), columns,
      [](FloatVector acc, FloatVector v) HWY_ATTR { return hn::MulAdd(v, v, acc); }, x);
  return 1.0f / std::sqrt(squares / float(columns) + epsilon);
}

template <class X, class Y>
void backward_row(X* dx, const Y* dy, const X* x, const float* weight, std::size_t columns,
                  float rstd) {
  const Floats d;
  const float dot = vec::sum(
      d, columns,
      [](FloatVector acc, FloatVector g, FloatVector v, FloatVector w)
          HWY_ATTR { return hn::MulAdd(hn::Mul(w, g), v, acc); },
      dy, x, weight);
  const auto along = hn::Set(d, dot * rstd * rstd / float(columns));
  const auto scale = hn::Set(d, rstd);
  vec::transform(
      d, columns, dx,
      [=](FloatVector old, FloatVector g, FloatVector v, FloatVector w)
          HWY_ATTR { return hn::MulAdd(scale, hn::NegMulAdd(v, along, hn::Mul(w, g)), old); },
      dx, dy, x, weight);
}

void forward_rows(Tensor y, Tensor rstd, ConstTensor x, ConstTensor weight, float epsilon,
                  std::int64_t first, std::int64_t last) {
  const std::int64_t columns = x.dim(1);
  visit_float(y.dtype(), [&]<class Y>() {
    visit_float(x.dtype(), [&]<class X>() {
      for (std::int64_t n = first; n < last; ++n) {
        const X* const row = x.as<X>() + n * columns;
        const float r = reciprocal_deviation(row, std::size_t(columns), epsilon);
        forward_row(y.as<Y>() + n * columns, row, weight.as<float>(), std::size_t(columns), r);
        if (rstd) rstd.as<float>()[n] = r;
      }
    });
  });
}

void backward_rows(Tensor dx, ConstTensor dy, ConstTensor x, ConstTensor weight, ConstTensor rstd,
                   std::int64_t first, std::int64_t last) {
  const std::int64_t columns = x.dim(1);
  visit_float(x.dtype(), [&]<class X>() {
    visit_float(dy.dtype(), [&]<class Y>() {
      for (std::int64_t n = first; n < last; ++n) {
        const std::int64_t at = n * columns;
        backward_row(dx.as<X>() + at, dy.as<Y>() + at, x.as<X>() + at, weight.as<float>(),
                     std::size_t(columns), rstd.as<float>()[n]);
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
HWY_EXPORT(forward_rows);
HWY_EXPORT(backward_rows);
}  // namespace

void rms_norm_forward(Stream& stream, Tensor y, Tensor rstd, ConstTensor x, ConstTensor weight,
                      float epsilon) {
  expect(x.shape().rank() == 2 && y.shape() == x.shape(), "rms_norm: shapes of y and x differ");
  expect(y.dtype() == x.dtype() || y.data() != x.data(),
         "rms_norm: y overwrites an x of another dtype");
  expect(weight.shape() == Shape{x.dim(1)} && weight.dtype() == DType::f32,
         "rms_norm: weight is not f32 [C]");
  expect(!rstd || (rstd.shape() == Shape{x.dim(0)} && rstd.dtype() == DType::f32),
         "rms_norm: rstd is not f32 [N]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::rms_norm_forward(stream, y, rstd, x, weight, epsilon);
  for_chunks(stream.pool(), x.dim(0), rows_per_task(x.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(forward_rows)(y, rstd, x, weight, epsilon, first, last);
  });
}

void rms_norm_backward(Stream& stream, Tensor dx, ConstTensor dy, ConstTensor x, ConstTensor weight,
                       ConstTensor rstd) {
  expect(x.shape().rank() == 2 && dx.shape() == x.shape() && dy.shape() == x.shape(),
         "rms_norm: shapes of dx, dy and x differ");
  expect(dx.dtype() == x.dtype(), "rms_norm: dtypes of dx and x differ");
  expect(weight.shape() == Shape{x.dim(1)} && weight.dtype() == DType::f32,
         "rms_norm: weight is not f32 [C]");
  expect(rstd.shape() == Shape{x.dim(0)} && rstd.dtype() == DType::f32,
         "rms_norm: rstd is not f32 [N]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::rms_norm_backward(stream, dx, dy, x, weight, rstd);
  for_chunks(stream.pool(), x.dim(0), rows_per_task(x.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(backward_rows)(dx, dy, x, weight, rstd, first, last);
  });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
