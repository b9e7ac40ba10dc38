#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

struct CrossEntropyOptions {
  float soft_cap = 0;        ///< logits become cap * tanh(logit / cap) first (Gemma 2: 30); 0: none
  float gradient_scale = 1;  ///< multiplies the gradient (loss scaling)
  float label_smoothing = 0;       ///< share s of the target that is spread over every class
  ConstTensor class_weights = {};  ///< f32 [V] or empty: w of each class, 1 where empty
};

/// Whether the logits stay as they are (evaluation) or become dloss/dlogits.
enum class LogitsAfter { kept, gradient };

/// loss[n] = (1 - s) w[t] nll[n, t] + s / V sum over c of w[c] nll[n, c],  t = target[n],
/// nll[n, c] = logsumexp(logits[n]) - logits[n, c]; and its gradient, in place. With s = 0 and no
/// weights the gradient is softmax(logits) - onehot(target). As torch.nn.CrossEntropyLoss with
/// weight and label_smoothing before its mean, which divides by the sum of w[target].
///   row_loss f32 [N]     prediction i32 [N] argmax of the logits (lowest index wins), may be empty
///   logits [N, V] f32|f16|bf16     targets i32 [N], each in [0, V)
/// Sums in f32 of exponentials relative to the row's maximum.
void cross_entropy(Stream&, Tensor row_loss, Tensor prediction, Tensor logits, ConstTensor targets,
                   LogitsAfter after, const CrossEntropyOptions& options = {});

namespace cuda {  // in cross_entropy.cu; the same signatures by construction
decltype(ops::cross_entropy) cross_entropy;
}  // namespace cuda

}  // namespace elenchus::ops
