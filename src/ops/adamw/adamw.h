#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// One step's numbers, the same for every element; f64, as 1 - beta in f32 is not what torch has.
struct AdamWStep {
  double learning_rate = 0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;
  double gradient_scale = 1;  ///< 1 / tokens, clipping and loss scale in one factor
  /// Counts from 1; the bias corrections are 1 - beta^step.
  std::int64_t step = 1;
};

/// Decoupled weight decay as torch.optim.AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101):
///   g = gradient_scale * gradient;  w -= lr wd w;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
///   w -= lr / (1-b1^t) * m / (sqrt(v) / sqrt(1-b2^t) + eps)
/// weight, m, v f32 [n] in place; gradient f32 [n].
void adamw_step(Stream&, Tensor weight, Tensor m, Tensor v, ConstTensor gradient,
                const AdamWStep& step);

namespace cuda {  // in adamw.cu; the same signatures by construction
decltype(ops::adamw_step) adamw_step;
}  // namespace cuda

}  // namespace elenchus::ops
