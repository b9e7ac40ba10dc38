#include "models/decoder.h"

#include "ops/embedding/embedding.h"

namespace elenchus {
namespace {

/// As a tensor of `dtype` holds it.
float rounded(double value, DType dtype) {
  return visit_float(dtype, [&]<class T>() { return static_cast<float>(T(float(value))); });
}

template <class T>
std::vector<T> on_host(Stream& stream, ConstTensor tensor) {
  std::vector<T> host(std::size_t(tensor.elements()));
  stream.copy(Tensor(host.data(), tensor.shape(), tensor.dtype()), tensor);
  stream.synchronize();
  return host;
}

std::variant<LmHead, ScoreHead> make_head(const DecoderParts& parts) {
  if (parts.score)
    return ScoreHead(*parts.score, {.norm = parts.final_norm,
                                    .epsilon = parts.config.norm_epsilon,
                                    .label_smoothing = parts.label_smoothing,
                                    .class_weights = parts.device_class_weights});
  return LmHead(parts.head, {.norm = parts.final_norm,
                             .epsilon = parts.config.norm_epsilon,
                             .label_smoothing = parts.label_smoothing,
                             .soft_cap = parts.config.logit_soft_cap,
                             .compute = parts.compute,
                             .dweight = parts.dhead});
}

}  // namespace

Decoder::Decoder(DecoderParts parts) : parts_(std::move(parts)), head_(make_head(parts_)) {}

float Decoder::embedding_scale() const {
  return rounded(parts_.config.embedding_scale, parts_.compute);
}

Tensor Decoder::embed(Context& ctx, ConstTensor tokens) const {
  Tensor h = ctx.arena.alloc({tokens.dim(0), parts_.config.width}, residual_type(parts_.compute));
  ops::embedding_forward(ctx.stream, h, std::get<DenseWeight>(parts_.embedding).matrix, tokens,
                         embedding_scale());
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
  const auto recomputed = [&](std::size_t b) { return std::int64_t(b) < recomputation_.whole; };
  Arena::Scope step(ctx.arena);
  Tensor row_loss = ctx.arena.alloc({targets.count()}, DType::f32);
  Tensor h = embed(ctx, tokens);                      // [N,C] the residual stream
  Tensor dh = ctx.arena.alloc(h.shape(), h.dtype());  // its gradient, below every frame
  for (std::size_t b = 0; b < frames.size(); ++b) {
    frames[b] = {.mark = ctx.arena.mark(), .x = h, .saved = {}};
    if (!recomputed(b) && std::int64_t(b) < recomputation_.whole + recomputation_.gate_up)
      frames[b].saved.gate_up = GatedMlp::GateUp::computed_again;
    h = parts_.blocks[b].forward(ctx, h, recomputed(b) ? nullptr : &frames[b].saved);
  }
  ctx.stream.zero(dh);
  head_loss(ctx, h, targets, {.row_loss = row_loss, .prediction = {}}, dh, gradient_scale);
  for (std::size_t b = frames.size(); b-- > 0;) {
    if (recomputed(b)) parts_.blocks[b].forward(ctx, frames[b].x, &frames[b].saved);
    parts_.blocks[b].backward(ctx, dh, frames[b].saved);
    ctx.arena.rewind(frames[b].mark);  // frees block b: its activations and scratch
  }
  if (parts_.dembedding)
    ops::embedding_backward(ctx.stream, parts_.dembedding, dh, tokens, embedding_scale(),
                            std::int32_t(parts_.config.padding_token.value_or(-1)));
  return sum(ctx.stream, row_loss, targets.labels);
}

void Decoder::head_loss(Context& ctx, ConstTensor h, const Targets& targets,
                        const LossOutputs& outputs, Tensor dh, float gradient_scale) const {
  if (const auto* head = std::get_if<ScoreHead>(&head_))
    return head->loss(ctx, h, targets.rows, targets.labels,
                      {.row_loss = outputs.row_loss,
                       .prediction = outputs.prediction,
                       .scores = outputs.class_scores},
                      dh, gradient_scale);
  std::get<LmHead>(head_).loss(ctx, h, targets.rows, targets.labels, outputs.row_loss,
                               outputs.prediction, dh, gradient_scale);
}

LossSum Decoder::sum(Stream& stream, ConstTensor row_loss, ConstTensor labels) const {
  LossSum sum = sum_of_losses(stream, row_loss);
  if (parts_.class_weights.empty() || stream.dry()) return sum;
  sum.tokens = 0;
  for (const std::int32_t label : on_host<std::int32_t>(stream, labels))
    sum.tokens += double(parts_.class_weights[std::size_t(label)]);
  return sum;
}

LossSum sum_of_losses(Stream& stream, ConstTensor row_loss) {
  if (stream.dry()) return {};
  const std::vector<float> host = on_host<float>(stream, row_loss);
  LossSum sum{.nats = 0, .tokens = double(host.size())};
  for (const float loss : host) sum.nats += double(loss);
  return sum;
}

void Decoder::losses(Context& ctx, ConstTensor tokens, const Targets& targets,
                     const LossOutputs& outputs) {
  Arena::Scope scope(ctx.arena);
  head_loss(ctx, hidden(ctx, tokens), targets, outputs, {}, 1);
}

Tensor Decoder::logits(Context& ctx, ConstTensor tokens, ConstTensor rows) {
  // The result lies below the activations, which are dropped; so its place is taken first.
  const std::int64_t width = num_labels() > 0 ? num_labels() : vocabulary_size();
  Tensor out = ctx.arena.alloc({rows.dim(0), width}, DType::f32);
  Arena::Scope scope(ctx.arena);
  const Tensor h = hidden(ctx, tokens);
  if (const auto* head = std::get_if<ScoreHead>(&head_))
    head->scores(ctx, out, h, rows);
  else
    std::get<LmHead>(head_).logits(ctx, out, h, rows);
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
