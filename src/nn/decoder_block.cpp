#include "nn/decoder_block.h"

#include <optional>

#include "ops/elementwise/elementwise.h"
#include "ops/rms_norm/rms_norm.h"

namespace elenchus {

DecoderBlock::DecoderBlock(Attention attention, GatedMlp mlp, Norms norms, DType compute)
    : attention_(std::move(attention)), mlp_(std::move(mlp)), norms_(norms), compute_(compute) {}

Tensor DecoderBlock::forward(Context& ctx, ConstTensor x, Saved* saved) const {
  const std::int64_t rows = x.dim(0);
  Tensor y = ctx.arena.alloc(x.shape(), x.dtype());
  std::optional<Arena::Scope> discard;
  if (!saved) discard.emplace(ctx.arena);
  const Saved kept{.x = x,
                   .middle = ctx.arena.alloc(x.shape(), x.dtype()),
                   .rstd_attention = ctx.arena.alloc({rows}, DType::f32),
                   .rstd_mlp = ctx.arena.alloc({rows}, DType::f32),
                   .attention = attention_.allocate(ctx, rows, compute_),
                   .mlp = mlp_.allocate(ctx, rows, compute_)};
  if (saved) *saved = kept;

  Arena::Scope scratch(ctx.arena);
  Tensor normed = ctx.arena.alloc(x.shape(), compute_);
  Tensor branch = ctx.arena.alloc(x.shape(), compute_);
  ops::rms_norm_forward(ctx.stream, normed, kept.rstd_attention, x, norms_.attention,
                        norms_.epsilon);
  attention_.forward(ctx, branch, normed, kept.attention);
  ops::add(ctx.stream, kept.middle, x, branch);
  ops::rms_norm_forward(ctx.stream, normed, kept.rstd_mlp, kept.middle, norms_.mlp, norms_.epsilon);
  mlp_.forward(ctx, branch, normed, kept.mlp);
  ops::add(ctx.stream, y, kept.middle, branch);
  return y;
}

void DecoderBlock::backward(Context& ctx, Tensor dh, const Saved& saved) const {
  Arena::Scope scratch(ctx.arena);
  Tensor normed = ctx.arena.alloc(dh.shape(), compute_);
  Tensor dnormed = ctx.arena.alloc(dh.shape(), compute_);
  ops::rms_norm_forward(ctx.stream, normed, {}, saved.middle, norms_.mlp, norms_.epsilon);
  mlp_.backward(ctx, dnormed, branch_gradient(ctx, dh), normed, saved.mlp);
  ops::rms_norm_backward(ctx.stream, dh, dnormed, saved.middle, norms_.mlp, saved.rstd_mlp);

  ops::rms_norm_forward(ctx.stream, normed, {}, saved.x, norms_.attention, norms_.epsilon);
  attention_.backward(ctx, dnormed, branch_gradient(ctx, dh), normed, saved.attention);
  ops::rms_norm_backward(ctx.stream, dh, dnormed, saved.x, norms_.attention, saved.rstd_attention);
}

ConstTensor DecoderBlock::branch_gradient(Context& ctx, ConstTensor dh) const {
  if (dh.dtype() == compute_) return dh;
  Tensor dy = ctx.arena.alloc(dh.shape(), compute_);
  ops::convert(ctx.stream, dy, dh);
  return dy;
}

}  // namespace elenchus
