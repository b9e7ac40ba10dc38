#pragma once
// The end of a classifier: final norm, one score a class, and loss, for the pooled rows.

#include "nn/context.h"
#include "nn/param.h"

namespace elenchus {

/// scores = norm(h[rows]) W^T, cross-entropy against classes, and the way back into W and h: the
/// head of transformers' *ForSequenceClassification. All of it in f32, whatever the type of h.
class ScoreHead {
 public:
  struct Config {
    ConstTensor norm;  ///< f32 [C]
    float epsilon = 0;
    float label_smoothing = 0;
    ConstTensor class_weights = {};  ///< f32 [num_labels], or empty: 1 each
  };
  /// What loss() writes; each may be empty but row_loss.
  struct Outputs {
    Tensor row_loss;    ///< f32 [S]
    Tensor prediction;  ///< i32 [S] the class of the highest score
    Tensor scores;      ///< f32 [S, num_labels]
  };
  /// `weight` f32 [num_labels, C] is trained and outlives this object.
  ScoreHead(Param& weight, Config config);
  std::int64_t num_labels() const { return weight_->value.dim(0); }

  /// rows and labels i32 [S]: the pooled row of each sequence and its class. With `dh` given adds
  /// gradient_scale * dloss/dh to dh[rows] and gradient_scale * dloss/dW to the weight's gradient.
  void loss(Context& ctx, ConstTensor h, ConstTensor rows, ConstTensor labels,
            const Outputs& outputs, Tensor dh, float gradient_scale) const;
  /// Writes the scores of the rows asked for, f32 [S, num_labels].
  void scores(Context& ctx, Tensor out, ConstTensor h, ConstTensor rows) const;

 private:
  /// The rows of h and their norm, f32 [S, C] each; rstd f32 [S] may be empty.
  void normalise(Context& ctx, Tensor normed, Tensor rstd, Tensor x, ConstTensor h,
                 ConstTensor rows) const;

  Param* weight_;
  Config config_;
};

}  // namespace elenchus
