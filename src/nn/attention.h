#pragma once

#include <optional>

#include "nn/projection.h"
#include "ops/attention/attention.h"
#include "ops/head_norm/head_norm.h"

namespace elenchus {

/// Causal self-attention with rotary positions: o_proj(attention(rope(q), rope(k), v)), q|k|v one
/// projection group. With a head norm: rope(norm(q)), rope(norm(k)).
class Attention {
 public:
  struct Saved {
    Tensor qkv;           ///< [N, (H+2K) D] after RoPE; with a head norm as projected
    Tensor heads;         ///< [N, H D] what attention gave
    Tensor log_sum_exp;   ///< f32 [N, H]
    Tensor xa_qkv, xa_o;  ///< [N, R] of each group, empty without adapters
  };
  struct Config {
    ops::AttentionShape shape;
    std::optional<ops::HeadNorm> head_norm;
    ConstTensor cosine, sine;  ///< f32 [P, D/2]: every position is below P; empty: nothing turns
    std::int64_t layer = 0;    ///< the place in the cache
  };
  Attention(Projection qkv, Projection o, Config config);
  /// What `forward` fills, for N rows.
  Saved allocate(Context& ctx, std::int64_t rows, DType dtype) const;
  /// Writes y [N, C] from x [N, C].
  void forward(Context& ctx, Tensor y, ConstTensor x, const Saved& saved) const;
  /// Writes dx from dy and x, the input of forward.
  void backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x, const Saved& saved) const;

 private:
  /// q|k|v as attention takes it, from what was projected: normed and turned, in place unless
  /// backward needs the input.
  Tensor turned(Context& ctx, Tensor qkv) const;

  Projection qkv_, o_;
  Config config_;
};

}  // namespace elenchus
