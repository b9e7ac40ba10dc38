#include "nn/projection.h"

#include "ops/dropout/dropout.h"
#include "ops/matmul/matmul.h"

namespace elenchus {

using ops::Transpose;

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
}

RandomKey Projection::key(const Context& ctx) const {
  RandomKey key = *ctx.dropout;
  key.site = site_;
  return key;
}

void Projection::forward(Context& ctx, Tensor y, Tensor xa, ConstTensor x) const {
  if (rank_ > 0) {
    Arena::Scope scratch(ctx.arena);
    ConstTensor input = x;
    if (drops(ctx)) {
      Tensor dropped = ctx.arena.alloc(x.shape(), x.dtype());
      ops::dropout(ctx.stream, dropped, x, dropout_, key(ctx));
      input = dropped;
    }
    ops::matmul(ctx.stream, ctx.arena, xa, input, Transpose::as_is, a_, Transpose::transposed);
  }
  ops::frozen_linear_forward(ctx.stream, ctx.arena, y, x, linear_, xa);
}

void Projection::backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x,
                          ConstTensor xa) const {
  if (rank_ == 0)
    return ops::frozen_linear_backward(ctx.stream, ctx.arena, dx, dy, linear_, {}, {});
  Arena::Scope scratch(ctx.arena);
  Tensor dxa = ctx.arena.alloc(xa.shape(), xa.dtype());
  ops::lora_b_backward(ctx.stream, ctx.arena, dxa, db_, dy, xa, linear_);
  if (!drops(ctx)) {
    ops::matmul(ctx.stream, ctx.arena, da_, dxa, Transpose::transposed, x, Transpose::as_is, 1, 1);
    return ops::frozen_linear_backward(ctx.stream, ctx.arena, dx, dy, linear_, dxa, a_);
  }
  Tensor masked = ctx.arena.alloc(x.shape(), x.dtype());
  ops::dropout(ctx.stream, masked, x, dropout_, key(ctx));
  ops::matmul(ctx.stream, ctx.arena, da_, dxa, Transpose::transposed, masked, Transpose::as_is, 1,
              1);
  ops::frozen_linear_backward(ctx.stream, ctx.arena, dx, dy, linear_, {}, {});
  ops::matmul(ctx.stream, ctx.arena, masked, dxa, Transpose::as_is, a_, Transpose::as_is);
  ops::dropout_add(ctx.stream, dx, masked, dropout_, key(ctx));
}

}  // namespace elenchus
