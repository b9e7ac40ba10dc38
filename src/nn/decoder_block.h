#pragma once

#include "nn/attention.h"
#include "nn/gated_mlp.h"
#include "nn/layer.h"

namespace elenchus {

/// The pre-norm decoder block:  m = x + attention(norm(x));  y = m + mlp(norm(m)),  norm = RMSNorm;
/// with post-norms each branch is normed once more before it is added (Gemma 2).
/// Keeps what is dear to compute again (products, attention) and computes norms and activations
/// again in backward. x, m, y and their gradients are of the residual stream's type, all between a
/// norm and the sum after it of the compute type.
class DecoderBlock {
 public:
  struct Norms {
    ConstTensor attention, mlp;            ///< f32 [C]
    ConstTensor post_attention, post_mlp;  ///< f32 [C], or empty
    float epsilon = 0;
  };
  /// A branch before its post-norm; empty without one.
  struct Branch {
    Tensor out;   ///< [N, C] of the compute type
    Tensor rstd;  ///< f32 [N]
  };
  struct Saved {
    /// Set before forward: what the gated MLP keeps.
    GatedMlp::GateUp gate_up = GatedMlp::GateUp::kept;
    ConstTensor x;                    ///< [N, C] the caller's input, not a copy
    Tensor middle;                    ///< [N, C] m
    Tensor rstd_attention, rstd_mlp;  ///< f32 [N]
    Attention::Saved attention;
    Branch attention_branch;
    std::size_t mlp_mark = 0;  ///< the arena below what follows, which backward frees first
    GatedMlp::Saved mlp;
    Branch mlp_branch;
  };
  DecoderBlock(Attention attention, GatedMlp mlp, Norms norms, DType compute);
  Tensor forward(Context& ctx, ConstTensor x, Saved* saved) const;
  /// dh: dL/dy before, dL/dx after. Uses up `saved` and frees the arena down to saved.mlp_mark: dh and
  /// all else that stays lies below what forward kept.
  void backward(Context& ctx, Tensor dh, const Saved& saved) const;

 private:
  Branch allocate_branch(Context& ctx, ConstTensor x, ConstTensor post_norm) const;
  /// y = x + branch or, with a post-norm, x + norm(saved.out), where `branch` is scratch.
  void add_branch(Context& ctx, Tensor y, ConstTensor x, Tensor branch, ConstTensor post_norm,
                  const Branch& saved) const;
  /// The gradient of what a branch gave, from dh of its sum: in the compute type; itself, or in the
  /// arena.
  ConstTensor branch_gradient(Context& ctx, ConstTensor dh, ConstTensor post_norm,
                              const Branch& saved) const;

  Attention attention_;
  GatedMlp mlp_;
  Norms norms_;
  DType compute_;
};
static_assert(Layer<DecoderBlock>);

}  // namespace elenchus
