#include "train/adamw.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "ops/adamw/adamw.h"
#include "ops/grad_norm/grad_norm.h"

namespace elenchus {

Tensor flat_range(Tensor flat, std::int64_t first, std::int64_t count) {
  return flat.rows(first, count);
}

std::int64_t flat_offset(const ParamSet& params, const Param& param) {
  return param.value.as<float>() - params.values().as<float>();
}

AdamW::AdamW(Stream& stream, ParamSet& params, const TrainingConfig& config)
    : stream_(stream),
      params_(params),
      beta1_(config.adam_beta1),
      beta2_(config.adam_beta2),
      epsilon_(config.adam_epsilon),
      weight_decay_(config.weight_decay) {
  if (!(beta1_ >= 0 && beta1_ < 1 && beta2_ >= 0 && beta2_ < 1 && epsilon_ > 0 &&
        weight_decay_ >= 0))
    throw UserError(
        "training: adam_beta1 and adam_beta2 lie in [0, 1), adam_epsilon is above 0 and "
        "weight_decay is at least 0");
  expect(params.elements() > 0, "there is nothing to train");
  m_ = Buffer(stream, {params.elements()}, DType::f32);
  v_ = Buffer(stream, {params.elements()}, DType::f32);
  stream.zero(m_.tensor());
  stream.zero(v_.tensor());
  for (const Param& param : params.params()) {
    const std::int64_t first = flat_offset(params, param), count = param.value.elements();
    if (!ranges_.empty() && ranges_.back().weight_decay == param.weight_decay &&
        ranges_.back().rate_factor == param.rate_factor &&
        ranges_.back().first + ranges_.back().count == first)
      ranges_.back().count += count;
    else
      ranges_.push_back({first, count, param.weight_decay, param.rate_factor});
  }
}

UpdateResult AdamW::clip_and_step(const UpdateRequest& request) {
  const double squares = ops::sum_of_squares(stream_, params_.grads());
  const double norm = std::sqrt(squares) * request.gradient_scale;
  if (!std::isfinite(norm)) return {norm, false};
  double clip = 1;
  if (request.max_grad_norm > 0) clip = std::min(1.0, request.max_grad_norm / (norm + 1e-6));
  ++updates_;
  for (const Range& range : ranges_)
    ops::adamw_step(stream_, flat_range(params_.values(), range.first, range.count),
                    flat_range(m_.tensor(), range.first, range.count),
                    flat_range(v_.tensor(), range.first, range.count),
                    flat_range(params_.grads(), range.first, range.count),
                    {.learning_rate = request.learning_rate * range.rate_factor,
                     .beta1 = beta1_,
                     .beta2 = beta2_,
                     .epsilon = epsilon_,
                     .weight_decay = range.weight_decay ? weight_decay_ : 0,
                     .gradient_scale = request.gradient_scale * clip,
                     .step = updates_});
  return {norm, true};
}

std::string describe_optimizer(std::string_view optim) {
  constexpr std::string_view kOwn[] = {"adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw"};
  constexpr std::string_view kMapped[] = {
      "adamw_torch_4bit", "adamw_torch_8bit", "adamw_apex_fused",     "adamw_anyprecision",
      "adamw_8bit",       "adamw_bnb_8bit",   "paged_adamw",          "paged_adamw_32bit",
      "paged_adamw_8bit", "adamw_torch_xla",  "adamw_torch_npu_fused"};
  if (std::ranges::find(kOwn, optim) != std::end(kOwn)) return {};
  if (std::ranges::find(kMapped, optim) != std::end(kMapped))
    return cat("training.optim: ", optim,
               " runs as AdamW with float32 moments, which stay in the device's memory");
  throw UserError(cat("training.optim: '", printable(optim),
                      "' is not supported; expected adamw_torch_fused or another AdamW"));
}

}  // namespace elenchus
