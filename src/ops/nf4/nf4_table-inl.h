// The sixteen NF4 values as a table in registers. Compiled once for every instruction set.

#if defined(ELENCHUS_OPS_NF4_TABLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ELENCHUS_OPS_NF4_TABLE_INL_H_
#undef ELENCHUS_OPS_NF4_TABLE_INL_H_
#else
#define ELENCHUS_OPS_NF4_TABLE_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops::nf4 {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using I = hn::RebindToSigned<F>;
using V = hn::Vec<F>;

/// The sixteen values, each times a factor. An index counts by its lowest four bits, whatever lies
/// above them: the shuffles of x86 look no further, so nothing is masked there.
struct Table {
#if HWY_TARGET <= HWY_AVX3
  V all;
  Table() = default;
  HWY_INLINE Table(const float* values, float factor)
      : all(hn::Mul(hn::LoadU(F(), values), hn::Set(F(), factor))) {}
  HWY_INLINE V operator[](hn::Vec<I> index) const {
    return hn::TableLookupLanes(all, hn::Indices512<float>{index.raw});
  }
#elif HWY_TARGET == HWY_AVX2
  V low, high;
  Table() = default;
  HWY_INLINE Table(const float* values, float factor)
      : low(hn::Mul(hn::LoadU(F(), values), hn::Set(F(), factor))),
        high(hn::Mul(hn::LoadU(F(), values + 8), hn::Set(F(), factor))) {}
  HWY_INLINE V operator[](hn::Vec<I> index) const {
    const hn::Indices256<float> within{index.raw};
    const V in_high = hn::BitCast(F(), hn::ShiftLeft<28>(index));
    return hn::IfNegativeThenElse(in_high, hn::TableLookupLanes(high, within),
                                  hn::TableLookupLanes(low, within));
  }
#else
  float all[16];
  Table() = default;
  Table(const float* values, float factor) {
    for (int i = 0; i < 16; ++i) all[i] = values[i] * factor;
  }
  HWY_INLINE V operator[](hn::Vec<I> index) const {
    return hn::GatherIndex(F(), all, hn::And(index, hn::Set(I(), 15)));
  }
#endif
};

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops::nf4
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
