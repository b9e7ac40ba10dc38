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
  const auto gate_up = saved ? saved->gate_up : GatedMlp::GateUp::kept;
  const Saved kept{.gate_up = gate_up,
                   .x = x,
                   .middle = ctx.arena.alloc(x.shape(), x.dtype()),
                   .rstd_attention = ctx.arena.alloc({rows}, DType::f32),
                   .rstd_mlp = ctx.arena.alloc({rows}, DType::f32),
                   .attention = attention_.allocate(ctx, rows, compute_),
                   .attention_branch = allocate_branch(ctx, x, norms_.post_attention),
                   .mlp_mark = ctx.arena.mark(),
                   .mlp = mlp_.allocate(ctx, rows, compute_, gate_up),
                   .mlp_branch = allocate_branch(ctx, x, norms_.post_mlp)};
  if (saved) *saved = kept;

  Arena::Scope scratch(ctx.arena);
  Tensor normed = ctx.arena.alloc(x.shape(), compute_);
  Tensor branch = ctx.arena.alloc(x.shape(), compute_);
  ops::rms_norm_forward(ctx.stream, normed, kept.rstd_attention, x, norms_.attention,
                        norms_.epsilon);
  const auto out_of = [&](const Branch& saved_branch) {
    return saved_branch.out ? saved_branch.out : branch;
  };
  attention_.forward(ctx, out_of(kept.attention_branch), normed, kept.attention);
  add_branch(ctx, kept.middle, x, branch, norms_.post_attention, kept.attention_branch);
  ops::rms_norm_forward(ctx.stream, normed, kept.rstd_mlp, kept.middle, norms_.mlp, norms_.epsilon);
  mlp_.forward(ctx, out_of(kept.mlp_branch), normed, kept.mlp);
  add_branch(ctx, y, kept.middle, branch, norms_.post_mlp, kept.mlp_branch);
  return y;
}

void DecoderBlock::backward(Context& ctx, Tensor dh, const Saved& saved) const {
  {
    Arena::Scope scratch(ctx.arena);
    Tensor normed = ctx.arena.alloc(dh.shape(), compute_);
    Tensor dnormed = ctx.arena.alloc(dh.shape(), compute_);
    ops::rms_norm_forward(ctx.stream, normed, {}, saved.middle, norms_.mlp, norms_.epsilon);
    mlp_.backward(ctx, dnormed, branch_gradient(ctx, dh, norms_.post_mlp, saved.mlp_branch), normed,
                  saved.mlp);
    ops::rms_norm_backward(ctx.stream, dh, dnormed, saved.middle, norms_.mlp, saved.rstd_mlp);
  }
  ctx.arena.rewind(saved.mlp_mark);  // attention's scratch takes the place of what the MLP kept
  Arena::Scope scratch(ctx.arena);
  Tensor normed = ctx.arena.alloc(dh.shape(), compute_);
  Tensor dnormed = ctx.arena.alloc(dh.shape(), compute_);
  ops::rms_norm_forward(ctx.stream, normed, {}, saved.x, norms_.attention, norms_.epsilon);
  attention_.backward(ctx, dnormed,
                      branch_gradient(ctx, dh, norms_.post_attention, saved.attention_branch),
                      normed, saved.attention);
  ops::rms_norm_backward(ctx.stream, dh, dnormed, saved.x, norms_.attention, saved.rstd_attention);
}

DecoderBlock::Branch DecoderBlock::allocate_branch(Context& ctx, ConstTensor x,
                                                   ConstTensor post_norm) const {
  if (!post_norm) return {};
  return {ctx.arena.alloc(x.shape(), compute_), ctx.arena.alloc({x.dim(0)}, DType::f32)};
}

void DecoderBlock::add_branch(Context& ctx, Tensor y, ConstTensor x, Tensor branch,
                              ConstTensor post_norm, const Branch& saved) const {
  if (post_norm)
    ops::rms_norm_forward(ctx.stream, branch, saved.rstd, saved.out, post_norm, norms_.epsilon);
  ops::add(ctx.stream, y, x, branch);
}

ConstTensor DecoderBlock::branch_gradient(Context& ctx, ConstTensor dh, ConstTensor post_norm,
                                          const Branch& saved) const {
  if (!post_norm && dh.dtype() == compute_) return dh;
  Tensor dy = ctx.arena.alloc(dh.shape(), compute_);
  if (!post_norm) {
    ops::convert(ctx.stream, dy, dh);
    return dy;
  }
  ctx.stream.zero(dy);
  ops::rms_norm_backward(ctx.stream, dy, dh, saved.out, post_norm, saved.rstd);
  return dy;
}

}  // namespace elenchus
