#pragma once

#include <concepts>

#include "nn/context.h"

namespace elenchus {

/// The shape of every layer: checked with static_assert, not inherited.
///   forward   returns y in ctx.arena; fills *saved with what backward needs, nothing if saved is
///   null backward  adds to parameter gradients, returns dL/dx in ctx.arena
/// A layer holds no per-step state, so it may train and generate at once.
template <class L>
concept Layer = requires(const L layer, Context& ctx, ConstTensor t, typename L::Saved* saved) {
  { layer.forward(ctx, t, saved) } -> std::same_as<Tensor>;
  { layer.backward(ctx, t, *saved) } -> std::same_as<Tensor>;
};

}  // namespace elenchus
