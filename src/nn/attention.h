#pragma once

#include "nn/projection.h"
#include "ops/attention/attention.h"

namespace elenchus {

/// Causal self-attention with rotary positions: o_proj(attention(rope(q), rope(k), v)), q|k|v one
/// projection group.
class Attention {
 public:
  struct Saved {
    Tensor qkv;           ///< [N, (H+2K) D] after RoPE
    Tensor heads;         ///< [N, H D] what attention gave
    Tensor log_sum_exp;   ///< f32 [N, H]
    Tensor xa_qkv, xa_o;  ///< [N, R] of each group, empty without adapters
  };
  /// cosine, sine f32 [P, D/2]: every position is below P. `layer` is the place in the cache.
  Attention(Projection qkv, Projection o, ops::AttentionShape shape, ConstTensor cosine,
            ConstTensor sine, std::int64_t layer);
  /// What `forward` fills, for N rows.
  Saved allocate(Context& ctx, std::int64_t rows, DType dtype) const;
  /// Writes y [N, C] from x [N, C].
  void forward(Context& ctx, Tensor y, ConstTensor x, const Saved& saved) const;
  /// Writes dx from dy and x, the input of forward.
  void backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x, const Saved& saved) const;

 private:
  Projection qkv_, o_;
  ops::AttentionShape shape_;
  ConstTensor cosine_, sine_;
  std::int64_t layer_;
};

}  // namespace elenchus
