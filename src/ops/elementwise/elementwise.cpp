#include "ops/elementwise/elementwise.h"

#include <cstring>

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/elementwise/elementwise.cpp"
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

void add_elements(Tensor y, ConstTensor a, ConstTensor b, std::int64_t first, std::int64_t last) {
  visit_float(y.dtype(), [&]<class Y>() {
    visit_float(b.dtype(), [&]<class B>() {
      vec::transform(
          Floats(), std::size_t(last - first), y.as<Y>() + first,
          [](FloatVector u, FloatVector v) HWY_ATTR { return hn::Add(u, v); }, a.as<Y>() + first,
          b.as<B>() + first);
    });
  });
}

void convert_elements(Tensor y, ConstTensor x, std::int64_t first, std::int64_t last) {
  visit_float(y.dtype(), [&]<class Y>() {
    visit_float(x.dtype(), [&]<class X>() {
      vec::transform(
          Floats(), std::size_t(last - first), y.as<Y>() + first,
          [](FloatVector v) HWY_ATTR { return v; }, x.as<X>() + first);
    });
  });
}

void cap_elements(Tensor x, float cap, std::int64_t first, std::int64_t last) {
  const Floats d;
  const auto caps = hn::Set(d, cap);
  visit_float(x.dtype(), [&]<class T>() {
    vec::transform(
        d, std::size_t(last - first), x.as<T>() + first,
        [=](FloatVector v) HWY_ATTR { return hn::Mul(caps, vec::tanh(d, hn::Div(v, caps))); },
        x.as<T>() + first);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {

HWY_EXPORT(add_elements);
HWY_EXPORT(convert_elements);
HWY_EXPORT(cap_elements);

void check_rows(ConstTensor many, ConstTensor few, ConstTensor index) {
  expect(many.shape().rank() == 2 && few.shape().rank() == 2 && many.dim(1) == few.dim(1) &&
             many.dtype() == few.dtype(),
         "rows by index: x and y differ in columns or dtype");
  expect(index.shape() == Shape{few.dim(0)} && index.dtype() == DType::i32,
         "rows by index: index is not i32 [M]");
}
std::int64_t checked_row(ConstTensor index, std::int64_t i, std::int64_t rows) {
  const std::int64_t row = index.as<std::int32_t>()[i];
  expect(row >= 0 && row < rows, "rows by index: an index is outside the tensor");
  return row;
}
}  // namespace

void add(Stream& stream, Tensor y, ConstTensor a, ConstTensor b) {
  expect(y.shape() == a.shape() && y.shape() == b.shape(), "add: shapes differ");
  expect(y.dtype() == a.dtype(), "add: dtypes of y and a differ");
  expect(y.dtype() == b.dtype() || y.data() != b.data(), "add: y overwrites a b of another dtype");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::add(stream, y, a, b);
  for_chunks(stream.pool(), y.elements(), kTaskElements, [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(add_elements)(y, a, b, first, last);
  });
}

void fill(Stream& stream, Tensor y, float value) {
  expect(y.dtype() == DType::f32, "fill: y is not f32");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::fill(stream, y, value);
  for (float& each : y.values<float>()) each = value;
}

void convert(Stream& stream, Tensor y, ConstTensor x) {
  expect(y.shape() == x.shape(), "convert: shapes differ");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::convert(stream, y, x);
  for_chunks(stream.pool(), y.elements(), kTaskElements, [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(convert_elements)(y, x, first, last);
  });
}

void soft_cap(Stream& stream, Tensor x, float cap) {
  expect(cap > 0, "soft_cap: the cap is not above 0");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::soft_cap(stream, x, cap);
  for_chunks(stream.pool(), x.elements(), kTaskElements, [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(cap_elements)(x, cap, first, last);
  });
}

void gather_rows(Stream& stream, Tensor y, ConstTensor x, ConstTensor index) {
  check_rows(x, y, index);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::gather_rows(stream, y, x, index);
  for_chunks(stream.pool(), y.dim(0), rows_per_task(y.dim(1)), [&](auto first, auto last) {
    for (std::int64_t i = first; i < last; ++i) {
      const ConstTensor row = x.rows(checked_row(index, i, x.dim(0)), 1);
      std::memcpy(y.rows(i, 1).data(), row.data(), row.bytes());
    }
  });
}

void scatter_add_rows(Stream& stream, Tensor y, ConstTensor x, ConstTensor index) {
  check_rows(y, x, index);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::scatter_add_rows(stream, y, x, index);
  for_chunks(stream.pool(), x.dim(0), rows_per_task(x.dim(1)), [&](auto first, auto last) {
    for (std::int64_t i = first; i < last; ++i) {
      const Tensor sum = y.rows(checked_row(index, i, y.dim(0)), 1);
      HWY_DYNAMIC_DISPATCH(add_elements)(sum, sum, x.rows(i, 1), 0, x.dim(1));
    }
  });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
