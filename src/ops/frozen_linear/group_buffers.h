#pragma once
// How a group's products are laid out on CUDA, and what they take from the scratch arena: the same
// on a dry stream, so that the memory plan counts it.

#include <span>

#include "ops/frozen_linear/frozen_linear.h"

namespace elenchus::ops {

/// Sizes of a group, for products in `dtype`.
struct GroupPlan {
  std::int64_t in = 0, out = 0, rank = 0;
  /// Whether the weights are written side by side, in `dtype`, before the product: they are in
  /// NF4, or dense in another dtype. Otherwise each part is multiplied where it lies.
  bool expanded = false;

  GroupPlan(std::span<const LinearPart> parts, DType dtype) {
    for (const LinearPart& part : parts) {
      const Shape shape = shape_of(*part.weight);
      in = shape[1];
      out += shape[0];
      if (part.lora_b) rank += part.lora_b.dim(1);
      const auto* const dense = std::get_if<DenseWeight>(part.weight);
      if (!dense || dense->matrix.dtype() != dtype) expanded = true;
    }
  }
  /// LoRA columns or rows beside an expanded weight, a multiple of 64 so that the product keeps its
  /// alignment. The rest are zeros.
  static std::int64_t padded_rank(std::int64_t rank) { return (rank + 63) / 64 * 64; }
};

/// A copy in `dtype`, unless the tensor has it already.
inline Tensor room_for(Arena& scratch, ConstTensor t, DType dtype) {
  return t && t.dtype() != dtype ? scratch.alloc(t.shape(), dtype) : Tensor();
}

/// y = x W^T + xa (s B)^T. Where y is wider than x, [x | xa] is copied into one matrix and meets
/// [W | s B] in one product; else the second term is added to y.
struct ForwardBuffers {
  GroupPlan plan;
  bool joined;
  std::int64_t columns;  ///< of the joined matrices
  Tensor weight;         ///< [out, columns], empty where parts lie as they are
  Tensor input;          ///< [N, columns] if joined
  Tensor lora;           ///< [out, padded rank]: s B, block-diagonal, unless joined
  Tensor xa;             ///< [N, R] in x's dtype, unless joined

  ForwardBuffers(Arena& scratch, ConstTensor x, std::span<const LinearPart> parts, ConstTensor a)
      : plan(parts, x.dtype()), joined(plan.expanded && plan.rank > 0 && plan.out > plan.in) {
    const DType dtype = x.dtype();
    const std::int64_t tail = GroupPlan::padded_rank(plan.rank);
    columns = plan.in + (joined ? tail : 0);
    if (plan.expanded) weight = scratch.alloc({plan.out, columns}, dtype);
    if (joined) {
      input = scratch.alloc({x.dim(0), columns}, dtype);
    } else if (plan.rank > 0) {
      lora = scratch.alloc({plan.out, tail}, dtype);
      xa = room_for(scratch, a, dtype);
    }
  }
};

/// dx = dy W + dxa A. Where dx is wider than dy, [dy | dxa] is copied into one matrix and meets
/// [W ; A] in one product; else the second term is added to dx.
struct BackwardBuffers {
  GroupPlan plan;
  bool joined;
  std::int64_t rank, columns;  ///< columns of [dy | dxa], rows of [W ; A]
  Tensor weight;               ///< [columns, in], empty where parts lie as they are
  Tensor input;                ///< [N, columns] if joined
  Tensor a;                    ///< [R, in] in dy's dtype, unless joined
  Tensor dxa;                  ///< [N, R] in dy's dtype, unless joined

  BackwardBuffers(Arena& scratch, ConstTensor dy, std::span<const LinearPart> parts,
                  ConstTensor given_dxa, ConstTensor given_a)
      : plan(parts, dy.dtype()), rank(given_a ? given_a.dim(0) : 0) {
    const DType dtype = dy.dtype();
    joined = plan.expanded && rank > 0 && plan.in > plan.out;
    columns = plan.out + (joined ? GroupPlan::padded_rank(rank) : 0);
    if (plan.expanded) weight = scratch.alloc({columns, plan.in}, dtype);
    if (joined) {
      input = scratch.alloc({dy.dim(0), columns}, dtype);
    } else if (rank > 0) {
      a = room_for(scratch, given_a, dtype);
      dxa = room_for(scratch, given_dxa, dtype);
    }
  }
};

/// dxa = dy (s B), db += s dy^T xa.
struct LoraBuffers {
  Tensor lora;  ///< [out, padded rank]: s B, block-diagonal, in dy's dtype
  Tensor xa;    ///< [N, R] in dy's dtype

  LoraBuffers(Arena& scratch, ConstTensor dy, std::span<const LinearPart> parts, ConstTensor a)
      : lora(scratch.alloc({dy.dim(1), GroupPlan::padded_rank(GroupPlan(parts, dy.dtype()).rank)},
                           dy.dtype())),
        xa(room_for(scratch, a, dy.dtype())) {}
};

}  // namespace elenchus::ops
