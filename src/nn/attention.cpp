#include "nn/attention.h"

#include "ops/rope/rope.h"

namespace elenchus {

Attention::Attention(Projection qkv, Projection o, Config config)
    : qkv_(std::move(qkv)), o_(std::move(o)), config_(std::move(config)) {}

Attention::Saved Attention::allocate(Context& ctx, std::int64_t rows, DType dtype) const {
  Saved saved{.qkv = ctx.arena.alloc({rows, config_.shape.row()}, dtype),
              .heads = ctx.arena.alloc({rows, config_.shape.heads * config_.shape.head_dim}, dtype),
              .log_sum_exp = ctx.arena.alloc({rows, config_.shape.heads}, DType::f32),
              .xa_qkv = {},
              .xa_o = {}};
  if (qkv_.rank() > 0) saved.xa_qkv = ctx.arena.alloc({rows, qkv_.rank()}, dtype);
  if (o_.rank() > 0) saved.xa_o = ctx.arena.alloc({rows, o_.rank()}, dtype);
  return saved;
}

Tensor Attention::turned(Context& ctx, Tensor qkv) const {
  Tensor out = qkv;
  if (config_.head_norm) {
    out = ctx.arena.alloc(qkv.shape(), qkv.dtype());
    ops::head_norm_forward(ctx.stream, out, qkv, *config_.head_norm);
  }
  if (config_.cosine)
    ops::rope_forward(ctx.stream, out, ctx.positions, config_.cosine, config_.sine,
                      config_.shape.heads + config_.shape.kv_heads);
  return out;
}

void Attention::forward(Context& ctx, Tensor y, ConstTensor x, const Saved& saved) const {
  Arena::Scope scratch(ctx.arena);
  qkv_.forward(ctx, saved.qkv, saved.xa_qkv, x);
  const Tensor qkv = turned(ctx, saved.qkv);
  if (ctx.cache)
    ops::attention_cached(ctx.stream, ctx.arena, saved.heads, qkv, ctx.cache->keys(config_.layer),
                          ctx.cache->values(config_.layer), ctx.sequences, ctx.cache->lengths(),
                          ctx.cache->host_lengths(), config_.shape);
  else
    ops::attention_forward(ctx.stream, ctx.arena, saved.heads, saved.log_sum_exp, qkv,
                           ctx.sequences, config_.shape);
  o_.forward(ctx, y, saved.xa_o, saved.heads);
}

void Attention::backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x,
                         const Saved& saved) const {
  Arena::Scope scratch(ctx.arena);
  Tensor dqkv = ctx.arena.alloc(saved.qkv.shape(), saved.qkv.dtype());
  {
    Arena::Scope inner(ctx.arena);
    const Tensor qkv = config_.head_norm ? turned(ctx, saved.qkv) : saved.qkv;
    Tensor dheads = ctx.arena.alloc(saved.heads.shape(), saved.heads.dtype());
    o_.backward(ctx, dheads, dy, saved.heads, saved.xa_o);
    ops::attention_backward(ctx.stream, ctx.arena, dqkv, dheads, saved.heads, saved.log_sum_exp,
                            qkv, ctx.sequences, config_.shape);
  }
  if (config_.cosine)
    ops::rope_backward(ctx.stream, dqkv, ctx.positions, config_.cosine, config_.sine,
                       config_.shape.heads + config_.shape.kv_heads);
  if (config_.head_norm) ops::head_norm_backward(ctx.stream, dqkv, saved.qkv, *config_.head_norm);
  qkv_.backward(ctx, dx, dqkv, x, saved.xa_qkv);
}

}  // namespace elenchus
