#include "nn/projection.h"

#include <algorithm>

#include "ops/columns/columns.h"
#include "ops/dora/dora.h"
#include "ops/dropout/dropout.h"
#include "ops/elementwise/elementwise.h"
#include "ops/matmul/matmul.h"

namespace elenchus {

using ops::Transpose;

namespace {

/// factor - 1
void to_excess(Context& ctx, Tensor factor) {
  Arena::Scope scratch(ctx.arena);
  Tensor one = ctx.arena.alloc(factor.shape(), DType::f32);
  ops::fill(ctx.stream, one, -1);
  ops::add(ctx.stream, factor, factor, one);
}

}  // namespace

Projection::Projection(std::vector<Part> parts, Tensor a, Tensor da, float dropout,
                       std::uint32_t site)
    : parts_(std::move(parts)), a_(a), da_(da), dropout_(dropout), site_(site) {
  // The ops see the weights where they lie in parts_, which moves with this object without changing
  // address.
  for (const Part& part : parts_) {
    const Shape shape = shape_of(part.weight);
    expect(in_ == 0 || in_ == shape[1], "projection: the parts of a group share their input");
    in_ = shape[1];
    out_ += shape[0];
    if (part.b) rank_ += part.b->value.dim(1);
    linear_.push_back({.weight = &part.weight,
                       .bias = part.bias,
                       .lora_b = part.b ? part.b->value : Tensor{},
                       .lora_scale = part.scale});
    db_.push_back(part.b ? part.b->grad : Tensor{});
  }
  expect(rank_ == (a_ ? a_.dim(0) : 0),
         "projection: A must have a row for each column of the B factors");
  if (std::ranges::none_of(parts_, [](const Part& part) { return part.magnitude != nullptr; }))
    return;
  for (ops::LinearPart& part : linear_) {
    part.bias = {};  // added after the magnitudes
    plain_.push_back({.weight = part.weight});
  }
}

RandomKey Projection::key(const Context& ctx) const {
  RandomKey key = *ctx.dropout;
  key.site = site_;
  return key;
}

Tensor Projection::masked(Context& ctx, ConstTensor x) const {
  if (!drops(ctx)) return {};
  Tensor out = ctx.arena.alloc(x.shape(), x.dtype());
  ops::dropout(ctx.stream, out, x, dropout_, key(ctx));
  return out;
}

void Projection::forward(Context& ctx, Tensor y, Tensor xa, ConstTensor x) const {
  Arena::Scope scratch(ctx.arena);
  Tensor z;
  if (rank_ > 0) {
    if (!plain_.empty() && drops(ctx)) z = ctx.arena.alloc(y.shape(), y.dtype());
    Arena::Scope inner(ctx.arena);
    const Tensor dropped = masked(ctx, x);
    const ConstTensor input = dropped ? ConstTensor(dropped) : x;
    ops::matmul(ctx.stream, ctx.arena, xa, input, Transpose::as_is, a_, Transpose::transposed);
    if (z) ops::frozen_linear_forward(ctx.stream, ctx.arena, z, input, linear_, xa);
  }
  ops::frozen_linear_forward(ctx.stream, ctx.arena, y, x, linear_, xa);
  if (!plain_.empty()) apply_magnitudes(ctx, y, z);
}

Projection::ColumnFactors Projection::column_factors(Context& ctx, DType compute) const {
  const ColumnFactors columns{.factor = ctx.arena.alloc({out_}, DType::f32),
                              .norm = ctx.arena.alloc({out_}, DType::f32)};
  Arena::Scope scratch(ctx.arena);
  ConstTensor a = a_;
  if (compute != DType::f32) {
    Tensor narrow = ctx.arena.alloc(a_.shape(), compute);
    ops::convert(ctx.stream, narrow, a_);
    a = narrow;
  }
  Tensor projected = ctx.arena.alloc({rank_, out_}, compute);
  ops::frozen_linear_forward(ctx.stream, ctx.arena, projected, a, plain_, {});
  std::int64_t first_rank = 0, first_column = 0;
  for (const Part& part : parts_) {
    const std::int64_t out = shape_of(part.weight)[0], rank = part.b ? part.b->value.dim(1) : 0;
    const Tensor factor = columns.factor.rows(first_column, out);
    if (part.magnitude) {
      Arena::Scope inner(ctx.arena);
      const ConstTensor own = a_.rows(first_rank, rank);
      Tensor gram = ctx.arena.alloc({rank, rank}, DType::f32);
      ops::matmul(ctx.stream, ctx.arena, gram, own, Transpose::as_is, own, Transpose::transposed);
      ops::dora_factors(ctx.stream, factor, columns.norm.rows(first_column, out),
                        {.squares = part.row_squares,
                         .magnitude = part.magnitude->value,
                         .lora_b = part.b->value,
                         .gram = gram,
                         .projected = projected,
                         .first_rank = first_rank,
                         .first_column = first_column,
                         .scale = part.scale});
    } else {
      ops::fill(ctx.stream, factor, 1);
    }
    first_rank += rank;
    first_column += out;
  }
  return columns;
}

void Projection::apply_magnitudes(Context& ctx, Tensor y, Tensor z) const {
  Arena::Scope scratch(ctx.arena);
  const ColumnFactors columns = column_factors(ctx, y.dtype());
  Tensor bias = ctx.arena.alloc({out_}, DType::f32);
  ctx.stream.zero(bias);
  std::int64_t first = 0;
  for (const Part& part : parts_) {
    const std::int64_t out = shape_of(part.weight)[0];
    if (part.bias) ctx.stream.copy(bias.rows(first, out), part.bias);
    first += out;
  }
  if (!z) return ops::scale_columns(ctx.stream, y, y, columns.factor, bias);
  to_excess(ctx, columns.factor);
  ops::scale_columns(ctx.stream, z, z, columns.factor, bias);
  ops::add(ctx.stream, y, y, z);
}

Projection::Gradients Projection::magnitude_backward(Context& ctx, ConstTensor dy,
                                                     ConstTensor input, ConstTensor xa) const {
  Tensor z = ctx.arena.alloc(dy.shape(), dy.dtype()), excess;
  if (drops(ctx)) excess = ctx.arena.alloc(dy.shape(), dy.dtype());
  Arena::Scope scratch(ctx.arena);
  const ColumnFactors columns = column_factors(ctx, dy.dtype());
  ops::frozen_linear_forward(ctx.stream, ctx.arena, z, input, linear_, xa);
  std::int64_t first = 0;
  for (const Part& part : parts_) {
    const std::int64_t out = shape_of(part.weight)[0];
    if (part.magnitude)
      ops::add_column_sums(ctx.stream, part.magnitude->grad, dy, z, columns.norm.rows(first, out),
                           first);
    first += out;
  }
  ops::scale_columns(ctx.stream, z, dy, columns.factor, {});
  if (!excess) return {.frozen = z, .lora = z, .dropped = {}};
  to_excess(ctx, columns.factor);
  ops::scale_columns(ctx.stream, excess, dy, columns.factor, {});
  return {.frozen = dy, .lora = z, .dropped = excess};
}

void Projection::backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x,
                          ConstTensor xa) const {
  Arena::Scope scratch(ctx.arena);
  std::int64_t first = 0;
  for (const Part& part : parts_) {
    if (part.dbias) ops::add_column_sums(ctx.stream, part.dbias, dy, {}, {}, first);
    first += shape_of(part.weight)[0];
  }
  if (rank_ == 0)
    return ops::frozen_linear_backward(ctx.stream, ctx.arena, dx, dy, linear_, {}, {});
  const Tensor dropped = masked(ctx, x);
  const ConstTensor input = dropped ? ConstTensor(dropped) : x;
  const Gradients gradients = plain_.empty() ? Gradients{.frozen = dy, .lora = dy, .dropped = {}}
                                             : magnitude_backward(ctx, dy, input, xa);
  lora_backward(ctx, dx, gradients, x, dropped, xa);
}

void Projection::lora_backward(Context& ctx, Tensor dx, const Gradients& gradients, ConstTensor x,
                               Tensor masked, ConstTensor xa) const {
  Arena::Scope scratch(ctx.arena);
  Tensor dxa = ctx.arena.alloc(xa.shape(), xa.dtype());
  ops::lora_b_backward(ctx.stream, ctx.arena, dxa, db_, gradients.lora, xa, linear_);
  ops::matmul(ctx.stream, ctx.arena, da_, dxa, Transpose::transposed,
              masked ? ConstTensor(masked) : x, Transpose::as_is, 1, 1);
  if (!masked)
    return ops::frozen_linear_backward(ctx.stream, ctx.arena, dx, gradients.frozen, linear_, dxa,
                                       a_);
  ops::frozen_linear_backward(ctx.stream, ctx.arena, dx, gradients.frozen, linear_, {}, {});
  // The dropped input has done its work: its memory takes its gradient.
  if (gradients.dropped)
    ops::frozen_linear_backward(ctx.stream, ctx.arena, masked, gradients.dropped, linear_, dxa, a_);
  else
    ops::matmul(ctx.stream, ctx.arena, masked, dxa, Transpose::as_is, a_, Transpose::as_is);
  ops::dropout_add(ctx.stream, dx, masked, dropout_, key(ctx));
}

}  // namespace elenchus
