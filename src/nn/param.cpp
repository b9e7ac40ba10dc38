#include "nn/param.h"

namespace elenchus {

ParamSet::ParamSet(Stream& stream, std::span<const Entry> entries) {
  std::int64_t total = 0;
  for (const Entry& entry : entries) total += entry.shape.elements();
  if (total == 0) return;
  values_ = Buffer(stream, {total}, DType::f32);
  grads_ = Buffer(stream, {total}, DType::f32);
  stream.zero(values_.tensor());
  stream.zero(grads_.tensor());
  std::int64_t first = 0;
  for (const Entry& entry : entries) {
    const std::int64_t count = entry.shape.elements();
    params_.push_back({.name = entry.name,
                       .value = values_.tensor().rows(first, count).reshaped(entry.shape),
                       .grad = grads_.tensor().rows(first, count).reshaped(entry.shape),
                       .weight_decay = entry.weight_decay,
                       .rate_factor = entry.rate_factor,
                       .wide_moments = entry.wide_moments,
                       .second_name = entry.second_name});
    first += count;
  }
}

Param* ParamSet::find(std::string_view name) {
  for (Param& param : params_)
    if (param.name == name) return &param;
  return nullptr;
}

}  // namespace elenchus
