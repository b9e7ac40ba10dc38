#include "ops/adamw/adamw.h"

#include <cmath>

#include "ops/adamw/factors.h"
#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/adamw/adamw.cpp"
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

/// The operations of torch's single-tensor AdamW, in its order: lerp, addcmul, addcdiv.
void update(float* weight, float* m, float* v, const float* gradient, const AdamWFactors& f,
            std::size_t n) {
  const Floats d;
  const auto scale = hn::Set(d, f.gradient_scale), keep = hn::Set(d, f.keep);
  const auto blend = hn::Set(d, f.one_minus_beta1);
  const auto beta2 = hn::Set(d, f.beta2), fresh = hn::Set(d, f.one_minus_beta2);
  const auto root2 = hn::Set(d, f.root_of_correction2), epsilon = hn::Set(d, f.epsilon);
  const auto minus_step = hn::Set(d, -f.step_size);
  vec::for_vectors(d, n, [&](std::size_t i, auto extent) HWY_ATTR {
    const auto g = hn::Mul(vec::load(d, gradient + i, extent), scale);
    const auto old_m = vec::load(d, m + i, extent), old_v = vec::load(d, v + i, extent);
    const auto w = hn::Mul(vec::load(d, weight + i, extent), keep);
    const auto mean = hn::Add(old_m, hn::Mul(blend, hn::Sub(g, old_m)));
    const auto square = hn::Add(hn::Mul(old_v, beta2), hn::Mul(hn::Mul(fresh, g), g));
    const auto root = hn::Add(hn::Div(hn::Sqrt(square), root2), epsilon);
    vec::store(mean, d, m + i, extent);
    vec::store(square, d, v + i, extent);
    vec::store(hn::Add(w, hn::Div(hn::Mul(minus_step, mean), root)), d, weight + i, extent);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {

HWY_EXPORT(update);
}  // namespace

void adamw_step(Stream& stream, Tensor weight, Tensor m, Tensor v, ConstTensor gradient,
                const AdamWStep& step) {
  expect(weight.shape() == gradient.shape() && m.shape() == weight.shape() &&
             v.shape() == weight.shape(),
         "adamw: shapes differ");
  expect(weight.dtype() == DType::f32 && m.dtype() == DType::f32 && v.dtype() == DType::f32 &&
             gradient.dtype() == DType::f32,
         "adamw: a tensor is not f32");
  expect(step.step >= 1, "adamw: steps count from 1");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::adamw_step(stream, weight, m, v, gradient, step);
  const AdamWFactors factors(step);
  for_chunks(stream.pool(), weight.elements(), kTaskElements, [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(update)
    (weight.as<float>() + first, m.as<float>() + first, v.as<float>() + first,
     gradient.as<float>() + first, factors, std::size_t(last - first));
  });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
