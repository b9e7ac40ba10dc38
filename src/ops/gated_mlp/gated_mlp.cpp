#include "ops/gated_mlp/gated_mlp.h"

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/gated_mlp/gated_mlp.cpp"
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

/// The value of an activation and its slope at one place.
struct Activated {
  FloatVector value, slope;
};

struct Silu {
  HWY_INLINE Activated operator()(Floats d, FloatVector x) const {
    const auto one = hn::Set(d, 1.0f);
    const auto s = vec::sigmoid(d, x);
    const auto value = hn::Mul(x, s);
    return {value, hn::MulAdd(value, hn::Sub(one, s), s)};
  }
};

struct GeluTanh {
  HWY_INLINE Activated operator()(Floats d, FloatVector x) const {
    const auto one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f);
    const auto k = hn::Set(d, 0.7978845608f), cubic = hn::Set(d, 0.044715f);
    const auto xx = hn::Mul(x, x);
    const auto t = vec::tanh(d, hn::Mul(hn::Mul(k, x), hn::MulAdd(cubic, xx, one)));
    const auto half_x = hn::Mul(half, x);
    const auto value = hn::MulAdd(half_x, t, half_x);
    const auto inner_slope = hn::Mul(k, hn::MulAdd(hn::Set(d, 3 * 0.044715f), xx, one));
    const auto outer_slope = hn::Mul(half_x, hn::NegMulAdd(t, t, one));
    return {value, hn::MulAdd(outer_slope, inner_slope, hn::MulAdd(half, t, half))};
  }
};

template <class Act, class T>
void forward_row(T* y, const T* gate, const T* up, std::size_t n) {
  const Floats d;
  vec::transform(
      d, n, y, [d](FloatVector g, FloatVector u) HWY_ATTR { return hn::Mul(Act()(d, g).value, u); },
      gate, up);
}

/// The 2n gradients of a row, and its output where `y` is given.
template <class Act, class T>
void backward_row(T* dgate_up, T* y, const T* dy, const T* gate_up, std::size_t n) {
  const Floats d;
  vec::for_vectors(d, n, [&](std::size_t i, auto extent) HWY_ATTR {
    const auto g = vec::load(d, gate_up + i, extent), u = vec::load(d, gate_up + n + i, extent);
    const auto dout = vec::load(d, dy + i, extent);
    const Activated a = Act()(d, g);
    if (y) vec::store(hn::Mul(a.value, u), d, y + i, extent);
    vec::store(hn::Mul(hn::Mul(dout, u), a.slope), d, dgate_up + i, extent);
    vec::store(hn::Mul(dout, a.value), d, dgate_up + n + i, extent);
  });
}

void forward_rows(Tensor y, ConstTensor gate_up, Activation activation, std::int64_t first,
                  std::int64_t last) {
  visit_float(y.dtype(), [&]<class T>() {
    const std::int64_t width = y.dim(1);
    for (std::int64_t n = first; n < last; ++n) {
      T* const out = y.as<T>() + n * width;
      const T* const gate = gate_up.as<T>() + n * 2 * width;
      if (activation == Activation::silu)
        forward_row<Silu>(out, gate, gate + width, std::size_t(width));
      else
        forward_row<GeluTanh>(out, gate, gate + width, std::size_t(width));
    }
  });
}

void backward_rows(Tensor dgate_up, Tensor y, ConstTensor dy, ConstTensor gate_up,
                   Activation activation, std::int64_t first, std::int64_t last) {
  visit_float(dy.dtype(), [&]<class T>() {
    const std::int64_t width = dy.dim(1);
    for (std::int64_t n = first; n < last; ++n) {
      T* const dgate = dgate_up.as<T>() + n * 2 * width;
      T* const out = y ? y.as<T>() + n * width : nullptr;
      const T* const dout = dy.as<T>() + n * width;
      const T* const gate = gate_up.as<T>() + n * 2 * width;
      if (activation == Activation::silu)
        backward_row<Silu>(dgate, out, dout, gate, std::size_t(width));
      else
        backward_row<GeluTanh>(dgate, out, dout, gate, std::size_t(width));
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

void check(ConstTensor y, ConstTensor gate_up) {
  expect(y.shape().rank() == 2 && gate_up.shape() == Shape{y.dim(0), 2 * y.dim(1)},
         "gated_mlp: gate_up is not [N, 2F]");
  expect(y.dtype() == gate_up.dtype(), "gated_mlp: dtypes differ");
}
}  // namespace

void gated_mlp_forward(Stream& stream, Tensor y, ConstTensor gate_up, Activation activation) {
  check(y, gate_up);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::gated_mlp_forward(stream, y, gate_up, activation);
  for_chunks(stream.pool(), y.dim(0), rows_per_task(y.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(forward_rows)(y, gate_up, activation, first, last);
  });
}

void gated_mlp_backward(Stream& stream, Tensor dgate_up, Tensor y, ConstTensor dy,
                        ConstTensor gate_up, Activation activation) {
  check(dy, gate_up);
  check(dy, dgate_up);
  expect(!y || (y.shape() == dy.shape() && y.dtype() == dy.dtype()), "gated_mlp: y and dy differ");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda())
      return cuda::gated_mlp_backward(stream, dgate_up, y, dy, gate_up, activation);
  for_chunks(stream.pool(), dy.dim(0), rows_per_task(dy.dim(1)), [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(backward_rows)(dgate_up, y, dy, gate_up, activation, first, last);
  });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
