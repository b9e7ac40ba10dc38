#include "nn/gated_mlp.h"

namespace elenchus {

GatedMlp::GatedMlp(Projection gate_up, Projection down, ops::Activation activation)
    : gate_up_(std::move(gate_up)), down_(std::move(down)), activation_(activation) {}

GatedMlp::Saved GatedMlp::allocate(Context& ctx, std::int64_t rows, DType dtype,
                                   GateUp gate_up) const {
  Saved saved;
  if (gate_up == GateUp::kept) saved.gate_up = ctx.arena.alloc({rows, gate_up_.out()}, dtype);
  if (gate_up_.rank() > 0) saved.xa_gate_up = ctx.arena.alloc({rows, gate_up_.rank()}, dtype);
  if (down_.rank() > 0) saved.xa_down = ctx.arena.alloc({rows, down_.rank()}, dtype);
  return saved;
}

void GatedMlp::forward(Context& ctx, Tensor y, ConstTensor x, const Saved& saved) const {
  Arena::Scope scratch(ctx.arena);
  Tensor activated = ctx.arena.alloc({x.dim(0), down_.in()}, x.dtype());
  Tensor gate_up = saved.gate_up;
  if (!gate_up) gate_up = ctx.arena.alloc({x.dim(0), gate_up_.out()}, x.dtype());
  gate_up_.forward(ctx, gate_up, saved.xa_gate_up, x);
  ops::gated_mlp_forward(ctx.stream, activated, gate_up, activation_);
  down_.forward(ctx, y, saved.xa_down, activated);
}

void GatedMlp::backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x,
                        const Saved& saved) const {
  Arena::Scope scratch(ctx.arena);
  Tensor gate_up = saved.gate_up;
  if (!gate_up) {
    gate_up = ctx.arena.alloc({x.dim(0), gate_up_.out()}, x.dtype());
    gate_up_.forward(ctx, gate_up, saved.xa_gate_up, x);
  }
  Tensor activated = ctx.arena.alloc({x.dim(0), down_.in()}, x.dtype());
  Tensor dactivated = ctx.arena.alloc(activated.shape(), x.dtype());
  ops::gated_mlp_forward(ctx.stream, activated, gate_up, activation_);
  down_.backward(ctx, dactivated, dy, activated, saved.xa_down);
  // The gradient takes the place of gate_up, which nothing reads afterwards.
  ops::gated_mlp_backward(ctx.stream, gate_up, {}, dactivated, gate_up, activation_);
  gate_up_.backward(ctx, dx, gate_up, x, saved.xa_gate_up);
}

}  // namespace elenchus
