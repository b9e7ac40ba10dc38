#include "train/loss_scaler.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace elenchus {
namespace {

constexpr std::int64_t kGrowthInterval = 2000;
constexpr double kGreatestScale = 0x1p100;

}  // namespace

void LossScaler::update(bool overflowed) {
  if (overflowed) {
    scale_ = std::max(1.0, scale_ * 0.5);
    good_steps_ = 0;
    return;
  }
  if (++good_steps_ < kGrowthInterval) return;
  scale_ = std::min(kGreatestScale, scale_ * 2);
  good_steps_ = 0;
}

Json LossScaler::state() const {
  return Json::Object{{"scale", scale_}, {"good_steps", good_steps_}};
}

void LossScaler::restore(const Json& state) {
  constexpr std::string_view kWhat = "scaler.json";
  const double scale = state.at("scale", kWhat).as_number(kWhat);
  if (!(scale >= 1 && scale <= kGreatestScale))
    throw InputError(cat(kWhat, ": scale is ", scale, "; expected at least 1"));
  scale_ = scale;
  good_steps_ = state.at("good_steps", kWhat).as_integer(kWhat);
}

}  // namespace elenchus
