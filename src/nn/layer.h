#pragma once

#include <concepts>

#include "nn/context.h"

namespace elenchus {

/// The type of the residual stream and of its gradient where products are computed in `compute`:
/// the same, but f32 for f16, whose range the stream of a deep model outgrows.
constexpr DType residual_type(DType compute) {
  return compute == DType::f16 ? DType::f32 : compute;
}

/// The shape of a block on the residual stream: checked with static_assert, not inherited.
///   forward   returns y in ctx.arena; fills *saved with what backward needs, keeps nothing if saved is null
///   backward  adds to parameter gradients; dh holds dL/dy before and dL/dx after, so a residual branch only adds
/// A block holds no per-step state, so it may train and generate at once. The parts inside a block write to tensors
/// that the block gives them: it alone decides what is kept for backward and what is scratch.
template <class L>
concept Layer = requires(const L layer, Context& ctx, ConstTensor x, Tensor dh,
                         typename L::Saved* saved) {
  { layer.forward(ctx, x, saved) } -> std::same_as<Tensor>;
  { layer.backward(ctx, dh, *saved) } -> std::same_as<void>;
};

}  // namespace elenchus
