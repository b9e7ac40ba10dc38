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
  for (const Param& param : params.params())
    add_range(param, is_8bit_optimizer(config.optim) && !param.wide_moments &&
                         param.value.elements() >= kLeast8Bit);
  const auto zeros = [&](Buffer& buffer, std::int64_t count, DType dtype) {
    if (count == 0) return;
    buffer = Buffer(stream, {count}, dtype);
    stream.zero(buffer.tensor());
  };
  for (Buffer* buffer : {&m_, &v_}) zeros(*buffer, wide_, DType::f32);
  for (Buffer* buffer : {&m_absmax_, &v_absmax_}) zeros(*buffer, blocks_, DType::f32);
  for (Buffer* buffer : {&m_codes_, &v_codes_})
    zeros(*buffer, blocks_ > 0 ? params.elements() : 0, DType::u8);
}

void AdamW::add_range(const Param& param, bool narrow) {
  const std::int64_t first = flat_offset(params_, param), count = param.value.elements();
  std::int64_t& used = narrow ? blocks_ : wide_;
  Range* last = ranges_.empty() ? nullptr : &ranges_.back();
  if (last && !narrow && !last->narrow && last->weight_decay == param.weight_decay &&
      last->rate_factor == param.rate_factor && last->first + last->count == first)
    last->count += count;
  else
    ranges_.push_back({first, count, param.weight_decay, param.rate_factor, narrow, used});
  used += narrow ? ops::moment_blocks(count) : count;
}

ops::Moments8 AdamW::narrow_moments(std::int64_t first, std::int64_t count,
                                    std::int64_t first_block) const {
  const std::int64_t blocks = ops::moment_blocks(count);
  return {.m_codes = flat_range(m_codes_.tensor(), first, count),
          .v_codes = flat_range(v_codes_.tensor(), first, count),
          .m_absmax = flat_range(m_absmax_.tensor(), first_block, blocks),
          .v_absmax = flat_range(v_absmax_.tensor(), first_block, blocks)};
}

std::vector<AdamW::State> AdamW::states() const {
  std::vector<State> out;
  for (const Param& param : params_.params()) {
    const std::int64_t first = flat_offset(params_, param), count = param.value.elements();
    const Shape shape = param.value.shape();
    const Range& range = *std::ranges::find_if(
        ranges_, [&](const Range& r) { return r.first <= first && first < r.first + r.count; });
    const std::string m = "exp_avg." + param.name, v = "exp_avg_sq." + param.name;
    if (range.narrow) {
      const ops::Moments8 moments = narrow_moments(first, count, range.state_first);
      out.push_back({m, moments.m_codes.reshaped(shape)});
      out.push_back({m + ".absmax", moments.m_absmax});
      out.push_back({v, moments.v_codes.reshaped(shape)});
      out.push_back({v + ".absmax", moments.v_absmax});
    } else {
      const std::int64_t at = range.state_first + first - range.first;
      out.push_back({m, flat_range(m_.tensor(), at, count).reshaped(shape)});
      out.push_back({v, flat_range(v_.tensor(), at, count).reshaped(shape)});
    }
  }
  return out;
}

UpdateResult AdamW::clip_and_step(const UpdateRequest& request) {
  const double squares = ops::sum_of_squares(stream_, params_.grads());
  const double norm = std::sqrt(squares) * request.gradient_scale;
  if (!std::isfinite(norm)) return {norm, false};
  double clip = 1;
  if (request.max_grad_norm > 0) clip = std::min(1.0, request.max_grad_norm / (norm + 1e-6));
  ++updates_;
  for (const Range& range : ranges_) {
    const ops::AdamWStep step{.learning_rate = request.learning_rate * range.rate_factor,
                              .beta1 = beta1_,
                              .beta2 = beta2_,
                              .epsilon = epsilon_,
                              .weight_decay = range.weight_decay ? weight_decay_ : 0,
                              .gradient_scale = request.gradient_scale * clip,
                              .step = updates_};
    const Tensor values = flat_range(params_.values(), range.first, range.count),
                 gradients = flat_range(params_.grads(), range.first, range.count);
    if (range.narrow)
      ops::adamw_8bit_step(stream_, values,
                           narrow_moments(range.first, range.count, range.state_first), gradients,
                           step);
    else
      ops::adamw_step(stream_, values, flat_range(m_.tensor(), range.state_first, range.count),
                      flat_range(v_.tensor(), range.state_first, range.count), gradients, step);
  }
  return {norm, true};
}

bool is_8bit_optimizer(std::string_view optim) {
  return optim.find("8bit") != std::string_view::npos;
}

std::string describe_optimizer(std::string_view optim) {
  constexpr std::string_view kOwn[] = {"adamw_torch", "adamw_torch_fused", "adamw_hf",
                                       "adamw",       "adamw_8bit",        "adamw_bnb_8bit"};
  constexpr std::string_view kMapped[] = {
      "adamw_torch_4bit",   "adamw_torch_8bit", "adamw_apex_fused",
      "adamw_anyprecision", "paged_adamw",      "paged_adamw_32bit",
      "paged_adamw_8bit",   "adamw_torch_xla",  "adamw_torch_npu_fused"};
  if (std::ranges::find(kOwn, optim) != std::end(kOwn)) return {};
  if (std::ranges::find(kMapped, optim) == std::end(kMapped))
    throw UserError(cat("training.optim: '", printable(optim),
                        "' is not supported; expected adamw_torch_fused, adamw_8bit or another "
                        "AdamW"));
  return cat("training.optim: ", optim, " runs as AdamW with ",
             is_8bit_optimizer(optim) ? "moments in blocks of 8 bits" : "float32 moments",
             ", which stay in the device's memory");
}

}  // namespace elenchus
