#pragma once
// The end of a language model: final norm, vocabulary logits and loss, in chunks of target rows.

#include "nn/context.h"
#include "tensor/frozen_weight.h"

namespace elenchus {

/// logits = norm(h[rows]) W^T, cross-entropy against labels, and the way back. Logits exist for
/// chunk_rows() at a time.
class LmHead {
 public:
  struct Config {
    ConstTensor norm;  ///< f32 [C]
    float epsilon = 0;
    float label_smoothing = 0;
    float soft_cap = 0;          ///< logits become cap * tanh(logit / cap); 0: none
    DType compute = DType::f32;  ///< of normed rows and logits; h has its own type
    Tensor dweight{};            ///< f32 [V, C] the weight's gradient, or empty: it is frozen
  };
  /// `weight` [V, C] outlives this object.
  LmHead(const FrozenWeight& weight, Config config);
  std::int64_t vocabulary_size() const { return shape_of(*weight_)[0]; }
  /// Rows of logits held at a time.
  std::int64_t chunk_rows(const Context& ctx) const;

  /// Writes row_loss f32 [M] and, if given, prediction i32 [M]; with `dh` given adds gradient_scale
  /// * dloss/dh to dh[rows], and dloss/dW likewise to a trained weight's gradient.
  void loss(Context& ctx, ConstTensor h, ConstTensor rows, ConstTensor labels, Tensor row_loss,
            Tensor prediction, Tensor dh, float gradient_scale) const;
  /// Writes the logits of the rows asked for, f32 [M, V].
  void logits(Context& ctx, Tensor out, ConstTensor h, ConstTensor rows) const;

 private:
  const FrozenWeight* weight_;
  Config config_;
};

}  // namespace elenchus
