#pragma once

#include "nn/attention.h"
#include "nn/gated_mlp.h"
#include "nn/layer.h"

namespace elenchus {

/// The pre-norm decoder block:  m = x + attention(norm(x));  y = m + mlp(norm(m)),  norm = RMSNorm.
/// Keeps what is dear to compute again (products, attention) and computes norms and activations
/// again in backward. x, m, y and their gradients are of the residual stream's type, all between a
/// norm and the sum after it of the compute type.
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
  DecoderBlock(Attention attention, GatedMlp mlp, Norms norms, DType compute);
  Tensor forward(Context& ctx, ConstTensor x, Saved* saved) const;
  /// dh: dL/dy before, dL/dx after. Uses up `saved`.
  void backward(Context& ctx, Tensor dh, const Saved& saved) const;

 private:
  /// dh in the compute type: itself, or rounded into the arena.
  ConstTensor branch_gradient(Context& ctx, ConstTensor dh) const;

  Attention attention_;
  GatedMlp mlp_;
  Norms norms_;
  DType compute_;
};
static_assert(Layer<DecoderBlock>);

}  // namespace elenchus
