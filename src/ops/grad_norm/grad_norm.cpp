#include "ops/grad_norm/grad_norm.h"

#include <algorithm>
#include <vector>

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/grad_norm/grad_norm.cpp"
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

/// The squares of up to kChunk values, added in 16 columns that are then added in pairs: an order
/// that no vector length changes.
double chunk_sum(const float* x, std::size_t n) {
  constexpr std::size_t kColumns = 16;
  const hn::CappedTag<double, kColumns> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const std::size_t lanes = hn::Lanes(d);
  double columns[kColumns] = {};
  const std::size_t whole = n / kColumns * kColumns;
  for (std::size_t c = 0; c < kColumns; c += lanes) {
    auto acc = hn::Zero(d);
    for (std::size_t i = c; i < whole; i += kColumns) {
      const auto v = hn::PromoteTo(d, hn::LoadU(narrow, x + i));
      acc = hn::Add(acc, hn::Mul(v, v));
    }
    hn::StoreU(acc, d, columns + c);
  }
  for (std::size_t i = whole; i < n; ++i) columns[i - whole] += double(x[i]) * double(x[i]);
  for (std::size_t half = kColumns / 2; half > 0; half /= 2)
    for (std::size_t c = 0; c < half; ++c) columns[c] += columns[c + half];
  return columns[0];
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {

HWY_EXPORT(chunk_sum);

constexpr std::int64_t kChunk = 4096;

/// Neighbours added in pairs until one is left; an odd last one moves up.
double pairwise_sum(std::vector<double> values) {
  if (values.empty()) return 0;
  for (std::size_t n = values.size(); n > 1; n = (n + 1) / 2)
    for (std::size_t i = 0; i < (n + 1) / 2; ++i)
      values[i] = 2 * i + 1 < n ? values[2 * i] + values[2 * i + 1] : values[2 * i];
  return values[0];
}
}  // namespace

double sum_of_squares(Stream& stream, ConstTensor x) {
  expect(x.dtype() == DType::f32, "sum_of_squares: x is not f32");
  if (stream.dry()) return 0;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::sum_of_squares(stream, x);
  std::vector<double> sums(std::size_t((x.elements() + kChunk - 1) / kChunk));
  const std::int64_t chunks_per_task = kTaskElements / kChunk;
  for_chunks(stream.pool(), std::int64_t(sums.size()), chunks_per_task, [&](auto first, auto last) {
    for (std::int64_t c = first; c < last; ++c) {
      const std::int64_t begin = c * kChunk;
      sums[std::size_t(c)] = HWY_DYNAMIC_DISPATCH(chunk_sum)(
          x.as<float>() + begin, std::size_t(std::min(kChunk, x.elements() - begin)));
    }
  });
  return pairwise_sum(std::move(sums));
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
