#include "nn/lm_head.h"

#include <algorithm>

#include "ops/cross_entropy/cross_entropy.h"
#include "ops/elementwise/elementwise.h"
#include "ops/frozen_linear/frozen_linear.h"
#include "ops/matmul/matmul.h"
#include "ops/rms_norm/rms_norm.h"

namespace elenchus {

LmHead::LmHead(const FrozenWeight& weight, Config config) : weight_(&weight), config_(config) {}

std::int64_t LmHead::chunk_rows(const Context& ctx) const {
  // Enough rows that expanding the weight is cheap beside the product, few enough that the logits
  // stay small.
  const std::int64_t target_bytes =
      ctx.stream.on_cuda() ? std::int64_t{512} << 20 : std::int64_t{64} << 20;
  const std::int64_t rows = target_bytes / (vocabulary_size() * 4) / 32 * 32;
  return std::clamp<std::int64_t>(rows, 128, 4096);
}

void LmHead::loss(Context& ctx, ConstTensor h, ConstTensor rows, ConstTensor labels,
                  Tensor row_loss, Tensor prediction, Tensor dh, float gradient_scale) const {
  const std::int64_t count = rows.dim(0), width = h.dim(1);
  const std::int64_t chunk = chunk_rows(ctx);
  const ops::LinearPart part{.weight = weight_};
  for (std::int64_t first = 0; first < count; first += chunk) {
    Arena::Scope scratch(ctx.arena);
    const std::int64_t m = std::min(chunk, count - first);
    const ConstTensor chosen = rows.rows(first, m);
    Tensor x = ctx.arena.alloc({m, width}, h.dtype());
    Tensor normed = ctx.arena.alloc({m, width}, config_.compute);
    Tensor rstd = ctx.arena.alloc({m}, DType::f32);
    Tensor logits = ctx.arena.alloc({m, vocabulary_size()}, config_.compute);
    ops::gather_rows(ctx.stream, x, h, chosen);
    ops::rms_norm_forward(ctx.stream, normed, rstd, x, config_.norm, config_.epsilon);
    ops::frozen_linear_forward(ctx.stream, ctx.arena, logits, normed, {&part, 1}, {});
    ops::cross_entropy(
        ctx.stream, row_loss.rows(first, m), prediction ? prediction.rows(first, m) : Tensor{},
        logits, labels.rows(first, m), dh ? ops::LogitsAfter::gradient : ops::LogitsAfter::kept,
        {.soft_cap = config_.soft_cap,
         .gradient_scale = gradient_scale,
         .label_smoothing = config_.label_smoothing,
         .class_weights = {}});
    if (!dh) continue;
    if (config_.dweight)
      ops::matmul(ctx.stream, ctx.arena, config_.dweight, logits, ops::Transpose::transposed,
                  normed, ops::Transpose::as_is, 1, 1);
    // normed has done its work: its memory takes the gradient.
    ops::frozen_linear_backward(ctx.stream, ctx.arena, normed, logits, {&part, 1}, {}, {});
    Tensor dx = ctx.arena.alloc({m, width}, h.dtype());
    ctx.stream.zero(dx);
    ops::rms_norm_backward(ctx.stream, dx, normed, x, config_.norm, rstd);
    ops::scatter_add_rows(ctx.stream, dh, dx, chosen);
  }
}

void LmHead::logits(Context& ctx, Tensor out, ConstTensor h, ConstTensor rows) const {
  const std::int64_t m = rows.dim(0);
  Arena::Scope scratch(ctx.arena);
  Tensor x = ctx.arena.alloc({m, h.dim(1)}, h.dtype());
  Tensor normed = ctx.arena.alloc(x.shape(), config_.compute);
  ops::gather_rows(ctx.stream, x, h, rows);
  ops::rms_norm_forward(ctx.stream, normed, {}, x, config_.norm, config_.epsilon);
  const ops::LinearPart part{.weight = weight_};
  if (config_.compute == DType::f32) {
    ops::frozen_linear_forward(ctx.stream, ctx.arena, out, normed, {&part, 1}, {});
  } else {
    Tensor narrow = ctx.arena.alloc(out.shape(), config_.compute);
    ops::frozen_linear_forward(ctx.stream, ctx.arena, narrow, normed, {&part, 1}, {});
    ops::convert(ctx.stream, out, narrow);
  }
  if (config_.soft_cap > 0) ops::soft_cap(ctx.stream, out, config_.soft_cap);
}

}  // namespace elenchus
