#pragma once

#include "nn/projection.h"
#include "ops/gated_mlp/gated_mlp.h"

namespace elenchus {

/// down_proj(act(gate_proj(x)) * up_proj(x)), gate|up one projection group.
class GatedMlp {
 public:
  /// Whether gate|up, the largest part of a block, lies in memory until backward.
  enum class GateUp { kept, computed_again };
  struct Saved {
    Tensor gate_up;              ///< [N, 2F], or empty: computed again in backward, as the
                                 ///< activation always is
    Tensor xa_gate_up, xa_down;  ///< [N, R] of each group, empty without adapters
  };
  GatedMlp(Projection gate_up, Projection down, ops::Activation activation);
  Saved allocate(Context& ctx, std::int64_t rows, DType dtype, GateUp gate_up) const;
  /// Writes y [N, C] from x [N, C].
  void forward(Context& ctx, Tensor y, ConstTensor x, const Saved& saved) const;
  /// Writes dx from dy and x, the input of forward.
  void backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x, const Saved& saved) const;

 private:
  Projection gate_up_, down_;
  ops::Activation activation_;
};

}  // namespace elenchus
