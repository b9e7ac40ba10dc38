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
/// The projections of a group share one dropout mask.
class Projection {
 public:
  struct Part {
    FrozenWeight weight;
    ConstTensor bias;    ///< [out], or empty
    Param* b = nullptr;  ///< [out, R], or null without an adapter
    float scale = 0;
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
  bool drops(const Context& ctx) const { return ctx.dropout && dropout_ > 0; }
  RandomKey key(const Context& ctx) const;

  std::vector<Part> parts_;
  std::vector<ops::LinearPart> linear_;
  std::vector<Tensor> db_;
  Tensor a_, da_;
  float dropout_;
  std::uint32_t site_;
  std::int64_t in_ = 0, out_ = 0, rank_ = 0;
};

}  // namespace elenchus
