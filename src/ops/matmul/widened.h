#pragma once
// 16-bit operands of CPU products, which are computed in f32: copies in f32, rounded back once.

#include "tensor/arena.h"

namespace elenchus::ops {

/// The same values in f32: the tensor itself, or a copy in scratch. Only scratch is taken on a dry
/// stream.
ConstTensor widened(Stream& stream, Arena& scratch, ConstTensor t);

/// Where an f32 result for `t` is computed: in place, or in scratch.
Tensor f32_room(Arena& scratch, Tensor t);

/// Rounds an f32 result into `t`, if it was computed elsewhere.
void round_into(Stream& stream, Tensor t, ConstTensor result);

}  // namespace elenchus::ops
