#include "nn/attention.h"

#include "ops/rope/rope.h"

namespace elenchus {

Attention::Attention(Projection qkv, Projection o, ops::AttentionShape shape, ConstTensor cosine,
                     ConstTensor sine, std::int64_t layer)
    : qkv_(std::move(qkv)),
      o_(std::move(o)),
      shape_(shape),
      cosine_(cosine),
      sine_(sine),
      layer_(layer) {}

Attention::Saved Attention::allocate(Context& ctx, std::int64_t rows, DType dtype) const {
  Saved saved{.qkv = ctx.arena.alloc({rows, shape_.row()}, dtype),
              .heads = ctx.arena.alloc({rows, shape_.heads * shape_.head_dim}, dtype),
              .log_sum_exp = ctx.arena.alloc({rows, shape_.heads}, DType::f32),
              .xa_qkv = {},
              .xa_o = {}};
  if (qkv_.rank() > 0) saved.xa_qkv = ctx.arena.alloc({rows, qkv_.rank()}, dtype);
  if (o_.rank() > 0) saved.xa_o = ctx.arena.alloc({rows, o_.rank()}, dtype);
  return saved;
}

void Attention::forward(Context& ctx, Tensor y, ConstTensor x, const Saved& saved) const {
  qkv_.forward(ctx, saved.qkv, saved.xa_qkv, x);
  ops::rope_forward(ctx.stream, saved.qkv, ctx.positions, cosine_, sine_,
                    shape_.heads + shape_.kv_heads);
  if (ctx.cache)
    ops::attention_cached(ctx.stream, ctx.arena, saved.heads, saved.qkv, ctx.cache->keys(layer_),
                          ctx.cache->values(layer_), ctx.sequences, ctx.cache->lengths(),
                          ctx.cache->host_lengths(), shape_);
  else
    ops::attention_forward(ctx.stream, ctx.arena, saved.heads, saved.log_sum_exp, saved.qkv,
                           ctx.sequences, shape_);
  o_.forward(ctx, y, saved.xa_o, saved.heads);
}

void Attention::backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x,
                         const Saved& saved) const {
  Arena::Scope scratch(ctx.arena);
  Tensor dqkv = ctx.arena.alloc(saved.qkv.shape(), saved.qkv.dtype());
  {
    Arena::Scope inner(ctx.arena);
    Tensor dheads = ctx.arena.alloc(saved.heads.shape(), saved.heads.dtype());
    o_.backward(ctx, dheads, dy, saved.heads, saved.xa_o);
    ops::attention_backward(ctx.stream, ctx.arena, dqkv, dheads, saved.heads, saved.log_sum_exp,
                            saved.qkv, ctx.sequences, shape_);
  }
  ops::rope_backward(ctx.stream, dqkv, ctx.positions, cosine_, sine_,
                     shape_.heads + shape_.kv_heads);
  qkv_.backward(ctx, dx, dqkv, x, saved.xa_qkv);
}

}  // namespace elenchus
