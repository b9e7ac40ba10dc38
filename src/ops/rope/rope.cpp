#include "ops/rope/rope.h"

#include "ops/dispatch.h"
#include "ops/rope/rotation.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rope/rope.cpp"
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

/// Turns the pairs (a[i], b[i]) by the angles of cosine and sine.
template <class T>
void rotate(T* a, T* b, const float* cosine, const float* sine, std::size_t pairs) {
  const Floats d;
  vec::for_vectors(d, pairs, [&](std::size_t i, auto extent) HWY_ATTR {
    const auto x = vec::load(d, a + i, extent), y = vec::load(d, b + i, extent);
    const auto c = vec::load(d, cosine + i, extent), s = vec::load(d, sine + i, extent);
    vec::store(hn::NegMulAdd(y, s, hn::Mul(x, c)), d, a + i, extent);
    vec::store(hn::MulAdd(x, s, hn::Mul(y, c)), d, b + i, extent);
  });
}
/// Turns them back.
template <class T>
void rotate_back(T* a, T* b, const float* cosine, const float* sine, std::size_t pairs) {
  const Floats d;
  vec::for_vectors(d, pairs, [&](std::size_t i, auto extent) HWY_ATTR {
    const auto x = vec::load(d, a + i, extent), y = vec::load(d, b + i, extent);
    const auto c = vec::load(d, cosine + i, extent), s = vec::load(d, sine + i, extent);
    vec::store(hn::MulAdd(y, s, hn::Mul(x, c)), d, a + i, extent);
    vec::store(hn::NegMulAdd(x, s, hn::Mul(y, c)), d, b + i, extent);
  });
}

void rotate_rows(const Rotation& r, std::int64_t first, std::int64_t last) {
  visit_float(r.x.dtype(), [&]<class T>() {
    const std::int64_t half = r.cosine.dim(1);
    for (std::int64_t n = first; n < last; ++n) {
      const std::int64_t position = r.positions.as<std::int32_t>()[n];
      expect(position >= 0 && position < r.cosine.dim(0), "rope: a position is past the tables");
      const float* const cosine = r.cosine.as<float>() + position * half;
      const float* const sine = r.sine.as<float>() + position * half;
      T* head = r.x.as<T>() + n * r.x.dim(1);
      for (std::int64_t h = 0; h < r.heads.count; ++h, head += r.heads.size) {
        if (r.direction == Rotation::Direction::forward)
          rotate(head, head + half, cosine, sine, std::size_t(half));
        else
          rotate_back(head, head + half, cosine, sine, std::size_t(half));
      }
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

HWY_EXPORT(rotate_rows);

void run(Stream& stream, const Rotation& r) {
  for_chunks(stream.pool(), r.x.dim(0), rows_per_task(2 * r.heads.count * r.cosine.dim(1)),
             [&](auto first, auto last) {
               HWY_DYNAMIC_DISPATCH(rotate_rows)
               (r, first, last);
             });
}

void check(const Rotation& r) {
  expect(r.x.shape().rank() == 2 && r.positions.shape() == Shape{r.x.dim(0)} &&
             r.positions.dtype() == DType::i32,
         "rope: positions is not i32 [N]");
  expect(r.cosine.shape().rank() == 2 && r.cosine.shape() == r.sine.shape() &&
             r.cosine.dtype() == DType::f32 && r.sine.dtype() == DType::f32,
         "rope: cosine and sine are not f32 [P, D/2]");
  expect(r.heads.count >= 0 && r.heads.count * r.heads.size <= r.x.dim(1),
         "rope: more heads than a row holds");
  expect(2 * r.cosine.dim(1) <= r.heads.size, "rope: more is turned than a head holds");
}
}  // namespace

void rope_forward(Stream& stream, Tensor x, ConstTensor positions, ConstTensor cosine,
                  ConstTensor sine, RopeHeads heads) {
  const Rotation rotation{x, positions, cosine, sine, heads, Rotation::Direction::forward};
  check(rotation);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::rope_forward(stream, x, positions, cosine, sine, heads);
  run(stream, rotation);
}

void rope_backward(Stream& stream, Tensor dx, ConstTensor positions, ConstTensor cosine,
                   ConstTensor sine, RopeHeads heads) {
  const Rotation rotation{dx, positions, cosine, sine, heads, Rotation::Direction::backward};
  check(rotation);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::rope_backward(stream, dx, positions, cosine, sine, heads);
  run(stream, rotation);
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
