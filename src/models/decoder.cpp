#include "models/decoder.h"

#include "ops/embedding/embedding.h"

namespace elenchus {

Decoder::Decoder(DecoderParts parts)
    : parts_(std::move(parts)),
      head_(parts_.head, {.norm = parts_.final_norm,
                          .epsilon = parts_.config.norm_epsilon,
                          .label_smoothing = parts_.label_smoothing,
                          .compute = parts_.compute}) {}

Tensor Decoder::embed(Context& ctx, ConstTensor tokens) const {
  Tensor h = ctx.arena.alloc({tokens.dim(0), parts_.config.width}, residual_type(parts_.compute));
  ops::embedding_forward(ctx.stream, h, std::get<DenseWeight>(parts_.embedding).matrix, tokens);
  return h;
}

LossSum Decoder::loss_and_backward(Context& ctx, ConstTensor tokens, const Targets& targets,
                                   float gradient_scale) {
  struct Frame {
    std::size_t mark = 0;
    ConstTensor x;
    DecoderBlock::Saved saved;
  };
  std::vector<Frame> frames(parts_.blocks.size());
  Arena::Scope step(ctx.arena);
  Tensor row_loss = ctx.arena.alloc({targets.count()}, DType::f32);
  Tensor h = embed(ctx, tokens);                      // [N,C] the residual stream
  Tensor dh = ctx.arena.alloc(h.shape(), h.dtype());  // its gradient, below every frame
  for (std::size_t b = 0; b < frames.size(); ++b) {
    frames[b] = {.mark = ctx.arena.mark(), .x = h, .saved = {}};
    const bool recomputed = std::int64_t(b) < recomputed_blocks_;
    h = parts_.blocks[b].forward(ctx, h, recomputed ? nullptr : &frames[b].saved);
  }
  ctx.stream.zero(dh);
  head_.loss(ctx, h, targets.rows, targets.labels, row_loss, {}, dh, gradient_scale);
  for (std::size_t b = frames.size(); b-- > 0;) {
    if (std::int64_t(b) < recomputed_blocks_)
      parts_.blocks[b].forward(ctx, frames[b].x, &frames[b].saved);
    parts_.blocks[b].backward(ctx, dh, frames[b].saved);
    ctx.arena.rewind(frames[b].mark);  // frees block b: its activations and scratch
  }
  return sum_of_losses(ctx.stream, row_loss);  // the embedding is frozen
}

LossSum sum_of_losses(Stream& stream, ConstTensor row_loss) {
  if (stream.dry()) return {};
  std::vector<float> host(std::size_t(row_loss.elements()));
  stream.copy(Tensor(host.data(), row_loss.shape(), DType::f32), row_loss);
  stream.synchronize();
  LossSum sum{.nats = 0, .tokens = double(host.size())};
  for (const float loss : host) sum.nats += double(loss);
  return sum;
}

void Decoder::losses(Context& ctx, ConstTensor tokens, const Targets& targets, Tensor row_loss,
                     Tensor prediction) {
  Arena::Scope scope(ctx.arena);
  head_.loss(ctx, hidden(ctx, tokens), targets.rows, targets.labels, row_loss, prediction, {}, 1);
}

Tensor Decoder::logits(Context& ctx, ConstTensor tokens, ConstTensor rows) {
  // The result lies below the activations, which are dropped; so its place is taken first.
  Tensor out = ctx.arena.alloc({rows.dim(0), vocabulary_size()}, DType::f32);
  Arena::Scope scope(ctx.arena);
  head_.logits(ctx, out, hidden(ctx, tokens), rows);
  return out;
}

Tensor Decoder::hidden(Context& ctx, ConstTensor tokens) const {
  // Two residual streams in turn: a block without `saved` leaves only its output, which is copied
  // back.
  Tensor h = embed(ctx, tokens);
  for (const DecoderBlock& block : parts_.blocks) {
    Arena::Scope scope(ctx.arena);
    ctx.stream.copy(h, block.forward(ctx, h, nullptr));
  }
  return h;
}

KvCache Decoder::make_cache(Stream& stream, std::int64_t slots, std::int64_t capacity) const {
  const DecoderConfig& c = parts_.config;
  return KvCache(stream, {c.layers, slots, capacity, c.kv_heads, c.head_dim}, parts_.compute);
}

}  // namespace elenchus
