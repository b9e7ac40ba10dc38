#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

struct CrossEntropyOptions {
  float soft_cap = 0;        ///< logits become cap * tanh(logit / cap) first (Gemma 2: 30); 0: none
  float gradient_scale = 1;  ///< multiplies the gradient (loss scaling)
  float label_smoothing = 0;       ///< transformers' label_smoothing_factor
  ConstTensor class_weights = {};  ///< f32 [V] or empty: multiplies each row's loss and gradient by
                                   ///< its target's weight
};

/// Whether the logits stay as they are (evaluation) or become dloss/dlogits.
enum class LogitsAfter { kept, gradient };

/// loss[n] = logsumexp(logits[n]) - logits[n, target[n]],  and the gradient softmax(logits) -
/// onehot(target), in place
///   row_loss f32 [N]     prediction i32 [N] argmax of the logits (lowest index wins), may be empty
///   logits [N, V] f32|f16|bf16     targets i32 [N], each in [0, V)
/// Sums in f32 of exponentials relative to the row's maximum.
void cross_entropy(Stream&, Tensor row_loss, Tensor prediction, Tensor logits, ConstTensor targets,
                   LogitsAfter after, const CrossEntropyOptions& options = {});

namespace cuda {  // in cross_entropy.cu; the same signatures by construction
decltype(ops::cross_entropy) cross_entropy;
}  // namespace cuda

}  // namespace elenchus::ops
