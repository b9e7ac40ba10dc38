#pragma once

#include <optional>

#include "nn/projection.h"
#include "ops/attention/attention.h"
#include "ops/head_norm/head_norm.h"
#include "ops/rope/rope.h"

namespace elenchus {

/// f32 [P, R/2] each, for the R elements of a head that are turned; every position is below P.
/// Without `near` nothing is.
struct RotaryTables {
  struct Table {
    ConstTensor cosine, sine;
  };
  Table near{};
  Table far{};                      ///< of whole sequences longer than near_positions; or empty
  std::int64_t near_positions = 0;  ///< with `far`
};

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
    RotaryTables rope;
    std::int64_t layer = 0;  ///< the place in the cache
  };
  Attention(Projection qkv, Projection o, Config config);
  /// What `forward` fills, for N rows.
  Saved allocate(Context& ctx, std::int64_t rows, DType dtype) const;
  /// Writes y [N, C] from x [N, C].
  void forward(Context& ctx, Tensor y, ConstTensor x, const Saved& saved) const;
  /// Writes dx from dy and x, the input of forward.
  void backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x, const Saved& saved) const;

 private:
  /// Calls turn(first row, rows, table) for every part of the batch that one table is for. With a
  /// cache its capacity decides, so that all keys in it are turned alike.
  template <class F>
  void for_rotary_parts(const Context& ctx, const F& turn) const;
  /// q|k|v as attention takes it, from what was projected: normed and turned, in place unless
  /// backward needs the input.
  Tensor turned(Context& ctx, Tensor qkv) const;

  ops::RopeHeads turned_heads() const {
    return {config_.shape.heads + config_.shape.kv_heads, config_.shape.head_dim};
  }

  Projection qkv_, o_;
  Config config_;
};

}  // namespace elenchus
