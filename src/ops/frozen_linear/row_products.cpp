#include "ops/frozen_linear/row_products.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "ops/matmul/dot_rows.h"
#include "ops/nf4/nf4_dot_rows.h"
#include "ops/nf4/nf4_panel.h"

namespace elenchus::ops {
namespace {

constexpr std::int64_t kMostDenseRows = 24;
// Weights of one task, and, where they are expanded beside the registers, at a time (they stay in
// the first-level cache).
constexpr std::int64_t kTaskWeights = 48 << 10;
constexpr std::int64_t kRunWeights = 4096;
constexpr std::int64_t kLongestRow = std::int64_t(Stream::kWorkerScratchBytes / sizeof(float));

/// Rows [first, first + count) of one weight.
struct Task {
  const RowProduct* product;
  std::int64_t first, count;
};

RowDots dots_of(const Task& task, ConstTensor x) {
  const RowProduct& p = *task.product;
  return {.rows = x.dim(0),
          .count = task.count,
          .depth = x.dim(1),
          .x = x.as<float>(),
          .x_stride = x.dim(1),
          .y = p.y + task.first,
          .y_stride = p.y_stride,
          .bias = p.bias ? p.bias + task.first : nullptr,
          .low_weight = p.lora_b ? p.lora_b + task.first * p.rank : nullptr,
          .low = p.xa,
          .low_stride = p.xa_stride,
          .rank = p.rank,
          .low_scale = p.lora_scale};
}

/// NF4 whose blocks straddle rows: some rows at a time are expanded into `buffer`.
void multiply_straddling(const Task& task, const Nf4Weight& weight, ConstTensor x, float* buffer) {
  const std::int64_t in = x.dim(1), step = std::max<std::int64_t>(1, kRunWeights / in);
  for (std::int64_t n = 0; n < task.count; n += step) {
    const Task run{task.product, task.first + n, std::min(step, task.count - n)};
    dequantize_run(weight, run.first * in, run.count * in, buffer);
    dot_rows(dots_of(run, x), buffer, DType::f32);
  }
}

bool reads_ordered(const FrozenWeight& weight) {
  const auto* nf4 = std::get_if<Nf4Weight>(&weight);
  return nf4 && has_nf4_dot_rows(*nf4);
}

void multiply(const Task& task, ConstTensor x, ConstTensor ordered, std::byte* scratch) {
  const FrozenWeight& weight = *task.product->weight;
  if (const auto* dense = std::get_if<DenseWeight>(&weight)) {
    const ConstTensor& w = dense->matrix;
    const std::size_t skipped = std::size_t(task.first * w.dim(1)) * size_of(w.dtype());
    return dot_rows(dots_of(task, x), static_cast<const std::byte*>(w.data()) + skipped, w.dtype());
  }
  const auto& nf4 = std::get<Nf4Weight>(weight);
  if (reads_ordered(weight)) return nf4_dot_rows(dots_of(task, ordered), nf4, task.first);
  multiply_straddling(task, nf4, x, reinterpret_cast<float*>(scratch));
}

}  // namespace

bool suits_row_products(std::int64_t rows, std::int64_t in, bool quantised) {
  // The blocked product expands NF4 faster, so it wins as soon as its tiles are full.
  const std::int64_t most = quantised ? kernel_shape().rows : kMostDenseRows;
  return rows <= most && in > 0 && in <= kLongestRow;
}

void row_products(Stream& stream, ConstTensor x, Tensor ordered,
                  std::span<const RowProduct> products) {
  const auto needs_order = [](const RowProduct& p) { return reads_ordered(*p.weight); };
  if (std::ranges::any_of(products, needs_order))
    order_for_nf4(x.as<float>(), x.elements(), ordered.as<float>());
  const std::int64_t step = std::max<std::int64_t>(4, kTaskWeights / x.dim(1) / 4 * 4);
  std::vector<Task> tasks;
  for (const RowProduct& p : products) {
    const std::int64_t out = shape_of(*p.weight)[0];
    for (std::int64_t first = 0; first < out; first += step)
      tasks.push_back({&p, first, std::min(step, out - first)});
  }
  stream.pool().run(std::int64_t(tasks.size()), [&](std::int64_t i, int worker) {
    multiply(tasks[std::size_t(i)], x, ordered, stream.worker_scratch(worker));
  });
}

}  // namespace elenchus::ops
