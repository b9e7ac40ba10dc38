#pragma once
// The optimizer: AdamW over all trained tensors at once.

#include <cstdint>
#include <span>
#include <string>

#include "nn/param.h"
#include "train/training_config.h"

namespace elenchus {

/// One update's numbers.
struct UpdateRequest {
  double gradient_scale =
      1;  ///< what makes the sums the mean gradient: 1 / supervised tokens, or 1 / the loss scale
  double max_grad_norm = 0;  ///< 0: no clipping
  double learning_rate = 0;
};

struct UpdateResult {
  double grad_norm = 0;  ///< L2 norm of the mean gradient over all parameters, before clipping
  bool applied = false;  ///< false: the norm was not finite, and nothing was changed
};

/// AdamW with decoupled weight decay (ops/adamw), its moments in flat buffers laid out as the
/// ParamSet's.
class AdamW {
 public:
  /// The stream and the parameters outlive it. Moments start at zero.
  AdamW(Stream& stream, ParamSet& params, const TrainingConfig& config);
  /// Clips by clip = max_grad_norm / (norm + 1e-6) where that is below 1, and updates. Gradients
  /// are left as they are. If the norm is NaN or infinite, parameters and moments stay untouched.
  UpdateResult clip_and_step(const UpdateRequest& request);
  ParamSet& params() const { return params_; }
  Tensor first_moments() const { return m_.tensor(); }   ///< f32 [P]
  Tensor second_moments() const { return v_.tensor(); }  ///< f32 [P]
  std::int64_t updates() const { return updates_; }      ///< applied so far
  void set_updates(std::int64_t updates) { updates_ = updates; }

 private:
  struct Range {
    std::int64_t first, count;
    bool weight_decay;
    double rate_factor;
  };
  Stream& stream_;
  ParamSet& params_;
  Buffer m_, v_;
  std::vector<Range> ranges_;  // of equal weight decay and rate, covering every parameter
  double beta1_, beta2_, epsilon_, weight_decay_;
  std::int64_t updates_ = 0;
};

/// What `optim` runs as, for the log: empty for AdamW's own names. UserError for an optimizer that
/// is not AdamW.
std::string describe_optimizer(std::string_view optim);

/// Elements [first, first + count) of a flat tensor.
Tensor flat_range(Tensor flat, std::int64_t first, std::int64_t count);

/// Where a parameter begins in the ParamSet's flat buffers.
std::int64_t flat_offset(const ParamSet& params, const Param& param);

}  // namespace elenchus
