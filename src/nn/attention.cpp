#include "nn/attention.h"

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

template <class F>
void Attention::for_rotary_parts(const Context& ctx, const F& turn) const {
  const RotaryTables& rope = config_.rope;
  if (!rope.near.cosine) return;
  const std::int64_t rows = ctx.positions.dim(0);
  if (!rope.far.cosine) return turn(0, rows, rope.near);
  if (ctx.cache)
    return turn(0, rows, ctx.cache->capacity() > rope.near_positions ? rope.far : rope.near);
  for (std::int64_t i = 0; i < ctx.sequences.count(); ++i) {
    const std::int64_t first = ctx.sequences.host_starts[std::size_t(i)],
                       length = ctx.sequences.host_starts[std::size_t(i + 1)] - first;
    turn(first, length, length > rope.near_positions ? rope.far : rope.near);
  }
}

Tensor Attention::turned(Context& ctx, Tensor qkv) const {
  Tensor out = qkv;
  if (config_.head_norm) {
    out = ctx.arena.alloc(qkv.shape(), qkv.dtype());
    ops::head_norm_forward(ctx.stream, out, qkv, *config_.head_norm);
  }
  for_rotary_parts(ctx, [&](std::int64_t first, std::int64_t rows, const RotaryTables::Table& t) {
    ops::rope_forward(ctx.stream, out.rows(first, rows), ctx.positions.rows(first, rows), t.cosine,
                      t.sine, turned_heads());
  });
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
  for_rotary_parts(ctx, [&](std::int64_t first, std::int64_t rows, const RotaryTables::Table& t) {
    ops::rope_backward(ctx.stream, dqkv.rows(first, rows), ctx.positions.rows(first, rows),
                       t.cosine, t.sine, turned_heads());
  });
  if (config_.head_norm) ops::head_norm_backward(ctx.stream, dqkv, saved.qkv, *config_.head_norm);
  qkv_.backward(ctx, dx, dqkv, x, saved.xa_qkv);
}

}  // namespace elenchus
