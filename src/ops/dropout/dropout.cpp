#include "ops/dropout/dropout.h"

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/dropout/dropout.cpp"
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

using Words = hn::ScalableTag<std::uint32_t>;
using WordVector = hn::Vec<Words>;

/// The high and low halves of the 64-bit products of the lanes with one factor.
struct Product {
  WordVector high, low;
};
template <class D>
HWY_INLINE Product multiply(D d, WordVector a, WordVector factor) {
  if constexpr (hn::MaxLanes(D()) == 1) {
    const std::uint64_t product = std::uint64_t{hn::GetLane(a)} * hn::GetLane(factor);
    return {hn::Set(d, std::uint32_t(product >> 32)), hn::Set(d, std::uint32_t(product))};
  } else {
    const hn::RepartitionToWide<D> wide;
    const auto even = hn::BitCast(d, hn::MulEven(a, factor));
    const auto shifted = hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, a)));
    const auto odd = hn::BitCast(d, hn::MulEven(shifted, factor));
    const auto even_high = hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, even)));
    const auto odd_low = hn::BitCast(d, hn::ShiftLeft<32>(hn::BitCast(wide, odd)));
    return {hn::OddEven(odd, even_high), hn::OddEven(odd_low, even)};
  }
}

/// The draws of `lanes` quads from `quad` on, in order: RandomKey::draw4 side by side.
HWY_INLINE void draw_quads(Words d, const RandomKey& key, std::uint32_t quad,
                           std::uint32_t* draws) {
  auto c0 = hn::Iota(d, quad), c1 = hn::Set(d, key.site);
  auto c2 = hn::Set(d, key.step), c3 = hn::Set(d, std::uint32_t(key.use));
  const auto factor_a = hn::Set(d, 0xD2511F53u), factor_b = hn::Set(d, 0xCD9E8D57u);
  std::uint32_t k0 = std::uint32_t(key.seed), k1 = std::uint32_t(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const Product a = multiply(d, c0, factor_a), b = multiply(d, c2, factor_b);
    c0 = hn::Xor(hn::Xor(b.high, c1), hn::Set(d, k0));
    c1 = b.low;
    c2 = hn::Xor(hn::Xor(a.high, c3), hn::Set(d, k1));
    c3 = a.low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  hn::StoreInterleaved4(c0, c1, c2, c3, d, draws);
}

/// x / (1 - p) where the draw keeps it, else 0.
HWY_INLINE FloatVector masked(Floats d, FloatVector x, const std::uint32_t* draws, float p) {
  const hn::RebindToSigned<Floats> integers;
  const auto bits = hn::BitCast(integers, hn::ShiftRight<8>(hn::LoadU(Words(), draws)));
  const auto uniform = hn::Mul(hn::ConvertTo(d, bits), hn::Set(d, 0x1p-24f));
  const auto scaled = hn::Div(x, hn::Set(d, 1.0f - p));
  return hn::IfThenElseZero(hn::Ge(uniform, hn::Set(d, p)), scaled);
}

template <bool kAdds, class T>
void drop_run(T* y, const T* x, float p, const RandomKey& key, std::int64_t first,
              std::int64_t last) {
  const Floats d;
  const Words words;
  const std::size_t lanes = hn::Lanes(words);
  std::uint32_t draws[4 * hn::MaxLanes(Words())];
  for (std::int64_t at = first; at < last; at += std::int64_t(4 * lanes)) {
    draw_quads(words, key, std::uint32_t(at / 4), draws);
    const auto n = std::min(std::size_t(last - at), 4 * lanes);
    vec::for_vectors(d, n, [&](std::size_t i, auto extent) HWY_ATTR {
      auto v = masked(d, vec::load(d, x + at + i, extent), draws + i, p);
      if constexpr (kAdds) v = hn::Add(vec::load(d, y + at + i, extent), v);
      vec::store(v, d, y + at + i, extent);
    });
  }
}

void drop(Tensor y, ConstTensor x, float p, const RandomKey& key, std::int64_t first,
          std::int64_t last) {
  visit_float(y.dtype(),
              [&]<class T>() { drop_run<false>(y.as<T>(), x.as<T>(), p, key, first, last); });
}
void drop_add(Tensor y, ConstTensor x, float p, const RandomKey& key, std::int64_t first,
              std::int64_t last) {
  visit_float(y.dtype(),
              [&]<class T>() { drop_run<true>(y.as<T>(), x.as<T>(), p, key, first, last); });
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {

HWY_EXPORT(drop);
HWY_EXPORT(drop_add);

// Tasks begin at a whole vector of quads, for every vector length.
static_assert(kTaskElements % 256 == 0);

void check(ConstTensor y, ConstTensor x, float p) {
  expect(y.shape() == x.shape() && y.dtype() == x.dtype(), "dropout: y and x differ");
  expect(p >= 0 && p < 1, "dropout: p is outside [0, 1)");
}
}  // namespace

void dropout(Stream& stream, Tensor y, ConstTensor x, float p, const RandomKey& key) {
  check(y, x, p);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::dropout(stream, y, x, p, key);
  for_chunks(stream.pool(), y.elements(), kTaskElements, [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(drop)(y, x, p, key, first, last);
  });
}

void dropout_add(Stream& stream, Tensor y, ConstTensor x, float p, const RandomKey& key) {
  check(y, x, p);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::dropout_add(stream, y, x, p, key);
  for_chunks(stream.pool(), y.elements(), kTaskElements, [&](auto first, auto last) {
    HWY_DYNAMIC_DISPATCH(drop_add)(y, x, p, key, first, last);
  });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
