#pragma once
// The optimizer: AdamW over all trained tensors at once.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nn/param.h"
#include "ops/adamw/adamw_8bit.h"
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

/// AdamW with decoupled weight decay (ops/adamw). Moments are f32; with optim adamw_8bit those of
/// parameters of kLeast8Bit elements and more are 8-bit codes, as bitsandbytes keeps them.
class AdamW {
 public:
  static constexpr std::int64_t kLeast8Bit = 4096;  ///< bitsandbytes' min_8bit_size

  /// A tensor of the state, under its name in optimizer.safetensors.
  struct State {
    std::string name;  ///< "exp_avg.NAME", "exp_avg_sq.NAME"; of 8 bits also NAME.absmax
    Tensor tensor;     ///< f32 or u8, in the parameter's shape; absmax f32 [blocks]
  };

  /// The stream and the parameters outlive it. Moments start at zero.
  AdamW(Stream& stream, ParamSet& params, const TrainingConfig& config);
  /// Clips by clip = max_grad_norm / (norm + 1e-6) where that is below 1, and updates. Gradients
  /// are left as they are. If the norm is NaN or infinite, parameters and moments stay untouched.
  UpdateResult clip_and_step(const UpdateRequest& request);
  ParamSet& params() const { return params_; }
  /// Every tensor of the state.
  std::vector<State> states() const;
  std::int64_t updates() const { return updates_; }  ///< applied so far
  void set_updates(std::int64_t updates) { updates_ = updates; }

 private:
  /// Parameters end to end that are updated alike: several with f32 moments, or one with 8-bit ones.
  struct Range {
    std::int64_t first, count;
    bool weight_decay;
    double rate_factor;
    bool narrow;
    std::int64_t state_first;  // in m_ and v_, or narrow in the absmax of blocks
  };
  void add_range(const Param& param, bool narrow);
  ops::Moments8 narrow_moments(std::int64_t first, std::int64_t count,
                               std::int64_t first_block) const;

  Stream& stream_;
  ParamSet& params_;
  Buffer m_, v_;                // f32, of the parameters that are not narrow
  Buffer m_codes_, v_codes_;    // u8 [P], where there are narrow ones
  Buffer m_absmax_, v_absmax_;  // f32 [blocks]
  std::vector<Range> ranges_;   // covering every parameter
  std::int64_t wide_ = 0, blocks_ = 0;
  double beta1_, beta2_, epsilon_, weight_decay_;
  std::int64_t updates_ = 0;
};

/// Whether `optim` keeps moments in 8 bits.
bool is_8bit_optimizer(std::string_view optim);

/// What `optim` runs as, for the log: empty for the names of what is run. UserError for an optimizer
/// that is not AdamW.
std::string describe_optimizer(std::string_view optim);

/// Elements [first, first + count) of a flat tensor.
Tensor flat_range(Tensor flat, std::int64_t first, std::int64_t count);

/// Where a parameter begins in the ParamSet's flat buffers.
std::int64_t flat_offset(const ParamSet& params, const Param& param);

}  // namespace elenchus
