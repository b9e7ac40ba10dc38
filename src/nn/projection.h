#pragma once
// Projections of one input as one group: q|k|v, gate|up, or one alone; each frozen, with or without
// a LoRA adapter.

#include <vector>

#include "nn/context.h"
#include "nn/param.h"
#include "ops/frozen_linear/frozen_linear.h"

namespace elenchus {

/// y = concat_i( x W_i^T + bias_i + s_i (dropout(x) A_i^T) B_i^T ),  s_i = alpha / rank   (arXiv:2106.09685, sec. 4.1)
///   W_i [out_i, in] frozen, dense or NF4    A [sum R_i, in] the factors A_i end to end    B_i [out_i, R_i]
///   dB_i += s_i dy_i^T xa_i    dxa_i = s_i dy_i B_i    dA += dxa^T dropout(x)    dx = sum_i dy_i W_i + dropout(dxa A)
/// The projections of a group share one dropout mask. A part with a magnitude (DoRA, ops/dora) has
/// y_i = g_i z_i + bias_i, z_i the sum above without bias, g_i = m_i / ||W_i + s_i B_i A_i|| by row:
///   dz_i = g_i dy_i    dm_i += sum_n dy_i z_i / ||.||    the norm counts as a constant
/// With dropout z_i is of dropout(x) throughout, and y_i = x W_i^T + s_i xa_i B_i^T + (g_i - 1) z_i
/// + bias_i: what DoRA adds to the frozen product sees the dropped input alone, as in PEFT.
/// z is computed again in backward.
class Projection {
 public:
  struct Part {
    FrozenWeight weight;
    ConstTensor bias;    ///< [out], or empty
    Param* b = nullptr;  ///< [out, R], or null without an adapter
    float scale = 0;
    Tensor dbias{};              ///< f32 [out] the gradient of a trained bias, or empty
    Param* magnitude = nullptr;  ///< [out] of DoRA, or null
    ConstTensor row_squares{};   ///< f32 [out] ||W_j||^2, with a magnitude
  };
  /// `a` is one tensor over the A factors of all adapted parts; `site` tells this group's dropout
  /// from the others'.
  Projection(std::vector<Part> parts, Tensor a, Tensor da, float dropout, std::uint32_t site);

  // The ops point into parts_: a move keeps its address, a copy would not.
  Projection(Projection&&) = default;
  Projection& operator=(Projection&&) = default;
  Projection(const Projection&) = delete;
  Projection& operator=(const Projection&) = delete;

  std::int64_t in() const { return in_; }
  std::int64_t out() const { return out_; }
  /// Columns of xa: the ranks of all adapted parts.
  std::int64_t rank() const { return rank_; }
  /// Writes y [N, out] and xa [N, rank], which backward needs. xa is empty where rank is 0.
  void forward(Context& ctx, Tensor y, Tensor xa, ConstTensor x) const;
  /// Writes dx [N, in]; adds to the gradients of A and B.
  void backward(Context& ctx, Tensor dx, ConstTensor dy, ConstTensor x, ConstTensor xa) const;

 private:
  /// Per column of y: DoRA's factor, 1 where a part has none, and the norm it divides by.
  struct ColumnFactors {
    Tensor factor, norm;  ///< f32 [out]
  };
  ColumnFactors column_factors(Context& ctx, DType compute) const;
  /// y = factor y + bias, where y is z; with `z` given y += (factor - 1) z + bias.
  void apply_magnitudes(Context& ctx, Tensor y, Tensor z) const;
  /// What the gradient is of: the frozen product of x, the LoRA term, and with DoRA and dropout the
  /// frozen product of the dropped x.
  struct Gradients {
    ConstTensor frozen, lora, dropped;
  };
  /// They lie in the arena; adds to the gradients of the magnitudes. `input` as z saw it.
  Gradients magnitude_backward(Context& ctx, ConstTensor dy, ConstTensor input,
                               ConstTensor xa) const;
  /// Overwrites `masked`, which is dropout(x), or empty.
  void lora_backward(Context& ctx, Tensor dx, const Gradients& gradients, ConstTensor x,
                     Tensor masked, ConstTensor xa) const;
  /// dropout(x) in the arena; empty where nothing is dropped.
  Tensor masked(Context& ctx, ConstTensor x) const;
  bool drops(const Context& ctx) const { return ctx.dropout && dropout_ > 0; }
  RandomKey key(const Context& ctx) const;

  std::vector<Part> parts_;
  std::vector<ops::LinearPart> linear_;
  std::vector<ops::LinearPart> plain_;  ///< of a group with magnitudes: weights alone
  std::vector<Tensor> db_;
  Tensor a_, da_;
  float dropout_;
  std::uint32_t site_;
  std::int64_t in_ = 0, out_ = 0, rank_ = 0;
};

}  // namespace elenchus
