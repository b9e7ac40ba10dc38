#include "ops/frozen_linear/row_products.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/frozen_linear/row_products.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using V = hn::Vec<F>;

/// sums[m] += x[m, :] w for `rows` rows of x. `chains` sums a row hide the latency of the adds.
template <int rows, int chains>
HWY_INLINE void dot(const float* HWY_RESTRICT w, std::int64_t count, const float* HWY_RESTRICT x,
                    std::int64_t x_stride, float* sums) {
  constexpr F f;
  const std::int64_t lanes = std::int64_t(hn::Lanes(f));
  V acc[rows][chains];
#pragma GCC unroll 4
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) acc[m][c] = hn::Zero(f);
  std::int64_t k = 0;
  for (; k + chains * lanes <= count; k += chains * lanes) {
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) {
      const V weight = hn::LoadU(f, w + k + c * lanes);
#pragma GCC unroll 4
      for (int m = 0; m < rows; ++m)
        acc[m][c] = hn::MulAdd(weight, hn::LoadU(f, x + m * x_stride + k + c * lanes), acc[m][c]);
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < rows; ++m) {
    V sum = acc[m][0];
#pragma GCC unroll 4
    for (int c = 1; c < chains; ++c) sum = hn::Add(sum, acc[m][c]);
    float total = hn::GetLane(hn::SumOfLanes(f, sum));
    for (std::int64_t i = k; i < count; ++i) total += w[i] * x[m * x_stride + i];
    sums[m] += total;
  }
}

/// sums[n][m] += x[m, :] w[n, :] for contiguous rows of w, `sums` rows kFewRows apart.
void DotRows(const float* w, std::int64_t w_rows, std::int64_t w_stride, std::int64_t count,
             const float* x, std::int64_t x_rows, std::int64_t x_stride, float* sums) {
  for (std::int64_t n = 0; n < w_rows; ++n, w += w_stride, sums += kFewRows) {
    std::int64_t m = 0;
    for (; m + 4 <= x_rows; m += 4) dot<4, 2>(w, count, x + m * x_stride, x_stride, sums + m);
    for (; m + 2 <= x_rows; m += 2) dot<2, 4>(w, count, x + m * x_stride, x_stride, sums + m);
    if (m < x_rows) dot<1, 4>(w, count, x + m * x_stride, x_stride, sums + m);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <array>
#include <vector>

namespace elenchus::ops {
HWY_EXPORT(DotRows);

namespace {

// Weights expanded at a time (they stay in the first-level cache) and weights of one task.
constexpr std::int64_t kRunWeights = 4096;
constexpr std::int64_t kTaskWeights = 48 << 10;
constexpr std::int64_t kMostRunRows = 32;

/// Rows of W that share a run; one where rows are long.
void multiply_run(const RowProduct& p, std::int64_t first, std::int64_t run_rows,
                  std::int64_t x_rows, const float* x, float* buffer) {
  std::array<float, kMostRunRows * kFewRows> sums{};
  const std::int64_t piece = run_rows > 1 ? p.in : kRunWeights;
  for (std::int64_t k = 0; k < p.in; k += piece) {
    const std::int64_t depth = std::min(piece, p.in - k);
    const float* const w = p.fetch(first * p.in + k, run_rows * depth, buffer);
    HWY_DYNAMIC_DISPATCH(DotRows)(w, run_rows, depth, depth, x + k, x_rows, p.in, sums.data());
  }
  if (p.lora_b) {
    std::array<float, kMostRunRows * kFewRows> extra{};
    HWY_DYNAMIC_DISPATCH(DotRows)
    (p.lora_b + first * p.rank, run_rows, p.rank, p.rank, p.xa, x_rows, p.xa_stride, extra.data());
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += p.lora_scale * extra[i];
  }
  for (std::int64_t n = 0; n < run_rows; ++n)
    for (std::int64_t m = 0; m < x_rows; ++m)
      p.y[m * p.y_stride + first + n] =
          sums[std::size_t(n * kFewRows + m)] + (p.bias ? p.bias[first + n] : 0.0f);
}

}  // namespace

void row_products(Stream& stream, std::int64_t rows, const float* x,
                  std::span<const RowProduct> products) {
  struct Task {
    const RowProduct* product;
    std::int64_t first, count;
  };
  std::vector<Task> tasks;
  for (const RowProduct& p : products) {
    const std::int64_t step =
        std::max<std::int64_t>(1, kTaskWeights / std::max<std::int64_t>(p.in, 1));
    for (std::int64_t first = 0; first < p.out; first += step)
      tasks.push_back({&p, first, std::min(step, p.out - first)});
  }
  stream.pool().run(std::int64_t(tasks.size()), [&](std::int64_t i, int worker) {
    const Task& task = tasks[std::size_t(i)];
    const RowProduct& p = *task.product;
    float* const buffer = reinterpret_cast<float*>(stream.worker_scratch(worker));
    const std::int64_t step =
        std::clamp<std::int64_t>(kRunWeights / std::max<std::int64_t>(p.in, 1), 1, kMostRunRows);
    for (std::int64_t n = 0; n < task.count; n += step)
      multiply_run(p, task.first + n, std::min(step, task.count - n), rows, x, buffer);
  });
}

}  // namespace elenchus::ops
#endif
