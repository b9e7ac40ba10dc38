#pragma once

#include "nn/attention.h"
#include "nn/gated_mlp.h"
#include "nn/layer.h"

namespace elenchus {

/// The pre-norm decoder block:  m = x + attention(norm(x));  y = m + mlp(norm(m)),  norm = RMSNorm.
/// Keeps what is dear to compute again (products, attention) and computes norms and activations
/// again in backward.
class DecoderBlock {
 public:
  struct Norms {
    ConstTensor attention, mlp;  ///< f32 [C]
    float epsilon = 0;
  };
  struct Saved {
    ConstTensor x;                    ///< [N, C] the caller's input, not a copy
    Tensor middle;                    ///< [N, C] m
    Tensor rstd_attention, rstd_mlp;  ///< f32 [N]
    Attention::Saved attention;
    GatedMlp::Saved mlp;
  };
  DecoderBlock(Attention attention, GatedMlp mlp, Norms norms);
  Tensor forward(Context& ctx, ConstTensor x, Saved* saved) const;
  /// dh: dL/dy before, dL/dx after. Uses up `saved`.
  void backward(Context& ctx, Tensor dh, const Saved& saved) const;

 private:
  Attention attention_;
  GatedMlp mlp_;
  Norms norms_;
};
static_assert(Layer<DecoderBlock>);

}  // namespace elenchus
