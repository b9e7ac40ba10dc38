// Pieces that the CPU code of several ops repeats: loads and stores that convert to f32, loops with
// a tail, sums in a fixed order, and exp, tanh and sigmoid. Compiled once for every instruction set
// (Highway's foreach_target), so the include guard is per target.

#if defined(ELENCHUS_OPS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ELENCHUS_OPS_SIMD_INL_H_
#undef ELENCHUS_OPS_SIMD_INL_H_
#else
#define ELENCHUS_OPS_SIMD_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using FloatVector = hn::Vec<Floats>;

/// How much of a vector a loop step covers: all of it, or the first `count` lanes.
struct Whole {};
struct Part {
  std::size_t count;
};

/// Whether the instruction set converts f16. Highway's own code for the others rounds otherwise and
/// knows no infinity.
inline constexpr bool kConvertsHalf = HWY_TARGET != HWY_SSE4 && HWY_TARGET != HWY_SSSE3 &&
                                      HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128;

// Loads of f32, f16 or bf16 as f32.
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* p, Whole = {}) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const f16* p, Whole = {}) {
  if constexpr (kConvertsHalf) {
    const hn::Rebind<hwy::float16_t, D> half;
    return hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(p)));
  } else {
    float lanes[hn::MaxLanes(D())];
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = static_cast<float>(p[i]);
    return hn::LoadU(d, lanes);
  }
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const bf16* p, Whole = {}) {
  const hn::Rebind<std::uint16_t, D> narrow;
  const hn::Rebind<std::uint32_t, D> wide;
  const auto bits = hn::LoadU(narrow, reinterpret_cast<const std::uint16_t*>(p));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, bits)));
}
/// The lanes past `part.count` are zero.
template <class D, class T>
HWY_INLINE hn::Vec<D> load(D d, const T* p, Part part) {
  T lanes[hn::MaxLanes(D())] = {};
  std::memcpy(lanes, p, part.count * sizeof(T));
  return load(d, lanes, Whole{});
}

// Stores of f32 as f32, f16 or bf16, rounded to nearest, ties to even.
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, float* p, Whole = {}) {
  hn::StoreU(v, d, p);
}
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, f16* p, Whole = {}) {
  if constexpr (kConvertsHalf) {
    const hn::Rebind<hwy::float16_t, D> half;
    hn::StoreU(hn::DemoteTo(half, v), half, reinterpret_cast<hwy::float16_t*>(p));
  } else {
    float lanes[hn::MaxLanes(D())];
    hn::StoreU(v, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) p[i] = f16(lanes[i]);
  }
}
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, bf16* p, Whole = {}) {
  const hn::Rebind<std::uint16_t, D> narrow;
  const hn::Rebind<std::uint32_t, D> wide;
  const auto bits = hn::BitCast(wide, v);
  const auto upper = hn::ShiftRight<16>(bits);
  const auto odd = hn::And(upper, hn::Set(wide, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(wide, 0x7FFFu)), odd));
  const auto quiet = hn::Or(upper, hn::Set(wide, 0x40u));
  const auto is_nan = hn::RebindMask(wide, hn::IsNaN(v));
  (void)d;
  hn::StoreU(hn::TruncateTo(narrow, hn::IfThenElse(is_nan, quiet, rounded)), narrow,
             reinterpret_cast<std::uint16_t*>(p));
}
template <class D, class T>
HWY_INLINE void store(hn::Vec<D> v, D d, T* p, Part part) {
  T lanes[hn::MaxLanes(D())];
  store(v, d, lanes, Whole{});
  std::memcpy(p, lanes, part.count * sizeof(T));
}

/// Calls step(i, extent) for each vector of [0, n): extent is Whole, and Part for what is left.
template <class D, class Step>
HWY_INLINE void for_vectors(D d, std::size_t n, const Step& step) {
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) step(i, Whole{});
  if (i < n) step(i, Part{n - i});
}

/// y[i] = f(x[i]...), where f maps vectors.
template <class D, class Y, class F, class... X>
HWY_INLINE void transform(D d, std::size_t n, Y* y, const F& f, const X*... x) {
  for_vectors(d, n, [&](std::size_t i, auto extent) HWY_ATTR {
    store(f(load(d, x + i, extent)...), d, y + i, extent);
  });
}

/// The sum that acc = f(acc, x[i]...) builds, in an order given by n and the vector length alone.
/// f(acc, 0...) must be acc.
template <class D, class F, class... X>
HWY_INLINE float sum(D d, std::size_t n, const F& f, const X*... x) {
  const std::size_t lanes = hn::Lanes(d);
  auto a = hn::Zero(d), b = a, c = a, e = a;
  std::size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a = f(a, load(d, x + i)...);
    b = f(b, load(d, x + i + lanes)...);
    c = f(c, load(d, x + i + 2 * lanes)...);
    e = f(e, load(d, x + i + 3 * lanes)...);
  }
  for (; i + lanes <= n; i += lanes) a = f(a, load(d, x + i)...);
  if (i < n) b = f(b, load(d, x + i, Part{n - i})...);
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

/// e^x within 2 ulp; 0 below -87.3, infinity above 88.37, NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<D> exp(D d, hn::Vec<D> x) {
  const hn::RebindToSigned<D> integers;
  const auto low = hn::Set(d, -87.33f), high = hn::Set(d, 88.37f);
  const auto under = hn::Lt(x, low), over = hn::Gt(x, high);
  const auto inside = hn::IfThenElse(under, low, hn::IfThenElse(over, high, x));
  const auto n = hn::Round(hn::Mul(inside, hn::Set(d, 1.44269504f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), inside);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  auto p = hn::Set(d, 1.3814465233e-03f);
  p = hn::MulAdd(p, r, hn::Set(d, 8.3687808380e-03f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1668394267e-02f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666520104e-01f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.9999993412e-01f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  const auto exponent =
      hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(integers, n), hn::Set(integers, 127)));
  const auto y = hn::Mul(p, hn::BitCast(d, exponent));
  return hn::IfThenZeroElse(under, hn::IfThenElse(over, hn::Inf(d), y));
}

/// tanh(x) within 4 ulp.
template <class D>
HWY_INLINE hn::Vec<D> tanh(D d, hn::Vec<D> x) {
  const auto size = hn::Abs(x);
  const auto z = hn::Mul(x, x);
  auto p = hn::Set(d, -5.7049482058e-03f);
  p = hn::MulAdd(p, z, hn::Set(d, 2.0639058359e-02f));
  p = hn::MulAdd(p, z, hn::Set(d, -5.3739708035e-02f));
  p = hn::MulAdd(p, z, hn::Set(d, 1.3331442135e-01f));
  p = hn::MulAdd(p, z, hn::Set(d, -3.3333281940e-01f));
  const auto near_zero = hn::MulAdd(hn::Mul(p, z), x, x);
  const auto one = hn::Set(d, 1.0f);
  const auto e = exp(d, hn::Add(size, size));
  const auto far = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  return hn::IfThenElse(hn::Lt(size, hn::Set(d, 0.625f)), near_zero, hn::CopySign(far, x));
}

/// 1 / (1 + e^-x).
template <class D>
HWY_INLINE hn::Vec<D> sigmoid(D d, hn::Vec<D> x) {
  const auto one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp(d, hn::Neg(x))));
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops::simd
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
