#pragma once
// Products with frozen weights, several projections of one input at a time, their LoRA terms folded
// in.

#include <span>

#include "tensor/arena.h"
#include "tensor/frozen_weight.h"

namespace elenchus::ops {

/// One projection of a group: W [out, in], with the second LoRA factor if it is adapted.
struct LinearPart {
  const FrozenWeight* weight = nullptr;
  ConstTensor bias{};    ///< [out] dtype of y, or empty
  ConstTensor lora_b{};  ///< f32 [out, R], or empty
  float lora_scale = 0;  ///< alpha / R
};

/// y = concat_i( x W_i^T + bias_i + lora_scale_i xa_i B_i^T )        (LoRA, arXiv:2106.09685,
/// sec. 4.1)
///   y [N, sum out_i]   x [N, in]   f32 | bf16 | f16    xa [N, sum R_i] = x A^T, parts side by side
///   in order; empty without adapters
/// Parts without lora_b take no columns of xa. Overwrites y. `scratch` holds temporaries until
/// return.
void frozen_linear_forward(Stream&, Arena& scratch, Tensor y, ConstTensor x,
                           std::span<const LinearPart> parts, ConstTensor xa);

/// dx = sum_i dy_i W_i + dxa A      (the frozen weights have no gradient)
///   dx [N, in]   dy [N, sum out_i]   dxa [N, sum R_i] = lora_scale_i dy_i B_i, parts side by side
///   a f32 [sum R_i, in]
/// dxa and a are empty without adapters (or where dropout keeps them apart). Overwrites dx.
void frozen_linear_backward(Stream&, Arena& scratch, Tensor dx, ConstTensor dy,
                            std::span<const LinearPart> parts, ConstTensor dxa, ConstTensor a);

/// What the LoRA factors B get, and the way back to xa:
///   dxa_i = lora_scale_i dy_i B_i  [N, R_i]  (overwrites, parts side by side)     db_i +=
///   lora_scale_i dy_i^T xa_i  [out_i, R_i]
/// `db` has one f32 tensor a part, empty where the part has no adapter.
void lora_b_backward(Stream&, Arena& scratch, Tensor dxa, std::span<const Tensor> db,
                     ConstTensor dy, ConstTensor xa, std::span<const LinearPart> parts);

namespace cuda {
decltype(ops::frozen_linear_forward) frozen_linear_forward;
decltype(ops::frozen_linear_backward) frozen_linear_backward;
decltype(ops::lora_b_backward) lora_b_backward;
}  // namespace cuda

}  // namespace elenchus::ops
