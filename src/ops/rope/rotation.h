#pragma once

#include "ops/rope/rope.h"

namespace elenchus::ops {

/// What both directions of the rotary embedding are given, for the CPU loop.
struct Rotation {
  enum class Direction { forward, backward };
  Tensor x;               // [N, W]
  ConstTensor positions;  // i32 [N]
  ConstTensor cosine;     // f32 [P, D/2]
  ConstTensor sine;       // f32 [P, D/2]
  RopeHeads heads;
  Direction direction;
};

}  // namespace elenchus::ops
