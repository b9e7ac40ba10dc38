#include "nn/score_head.h"

#include "ops/cross_entropy/cross_entropy.h"
#include "ops/elementwise/elementwise.h"
#include "ops/matmul/matmul.h"
#include "ops/rms_norm/rms_norm.h"

namespace elenchus {

using ops::Transpose;

ScoreHead::ScoreHead(Param& weight, Config config) : weight_(&weight), config_(config) {}

void ScoreHead::normalise(Context& ctx, Tensor normed, Tensor rstd, Tensor x, ConstTensor h,
                          ConstTensor rows) const {
  if (h.dtype() == DType::f32) {
    ops::gather_rows(ctx.stream, x, h, rows);
  } else {
    Arena::Scope scratch(ctx.arena);
    Tensor narrow = ctx.arena.alloc(x.shape(), h.dtype());
    ops::gather_rows(ctx.stream, narrow, h, rows);
    ops::convert(ctx.stream, x, narrow);
  }
  ops::rms_norm_forward(ctx.stream, normed, rstd, x, config_.norm, config_.epsilon);
}

void ScoreHead::loss(Context& ctx, ConstTensor h, ConstTensor rows, ConstTensor labels,
                     const Outputs& outputs, Tensor dh, float gradient_scale) const {
  Arena::Scope scratch(ctx.arena);
  const std::int64_t count = rows.dim(0);
  const Shape pooled{count, h.dim(1)};
  Tensor x = ctx.arena.alloc(pooled, DType::f32);
  Tensor normed = ctx.arena.alloc(pooled, DType::f32);
  Tensor rstd = ctx.arena.alloc({count}, DType::f32);
  Tensor scores = ctx.arena.alloc({count, num_labels()}, DType::f32);
  normalise(ctx, normed, rstd, x, h, rows);
  ops::matmul(ctx.stream, ctx.arena, scores, normed, Transpose::as_is, weight_->value,
              Transpose::transposed);
  if (outputs.scores) ctx.stream.copy(outputs.scores, scores);
  ops::cross_entropy(ctx.stream, outputs.row_loss, outputs.prediction, scores, labels,
                     dh ? ops::LogitsAfter::gradient : ops::LogitsAfter::kept,
                     {.soft_cap = 0,
                      .gradient_scale = gradient_scale,
                      .label_smoothing = config_.label_smoothing,
                      .class_weights = config_.class_weights});
  if (!dh) return;
  ops::matmul(ctx.stream, ctx.arena, weight_->grad, scores, Transpose::transposed, normed,
              Transpose::as_is, 1, 1);
  // normed has done its work: its memory takes the gradient.
  ops::matmul(ctx.stream, ctx.arena, normed, scores, Transpose::as_is, weight_->value,
              Transpose::as_is);
  Tensor dx = ctx.arena.alloc(pooled, DType::f32);
  ctx.stream.zero(dx);
  ops::rms_norm_backward(ctx.stream, dx, normed, x, config_.norm, rstd);
  if (dh.dtype() == DType::f32) {
    ops::scatter_add_rows(ctx.stream, dh, dx, rows);
  } else {
    Tensor narrow = ctx.arena.alloc(pooled, dh.dtype());
    ops::convert(ctx.stream, narrow, dx);
    ops::scatter_add_rows(ctx.stream, dh, narrow, rows);
  }
}

void ScoreHead::scores(Context& ctx, Tensor out, ConstTensor h, ConstTensor rows) const {
  Arena::Scope scratch(ctx.arena);
  const Shape pooled{rows.dim(0), h.dim(1)};
  Tensor x = ctx.arena.alloc(pooled, DType::f32);
  normalise(ctx, x, {}, x, h, rows);
  ops::matmul(ctx.stream, ctx.arena, out, x, Transpose::as_is, weight_->value,
              Transpose::transposed);
}

}  // namespace elenchus
