#include "train/loss_watch.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace elenchus {
namespace {

constexpr std::size_t kWindow = 200, kLeast = 10;
constexpr double kJump = 5;

double median(const std::deque<double>& values) {
  std::vector<double> sorted(values.begin(), values.end());
  const auto middle = sorted.begin() + std::ptrdiff_t(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

}  // namespace

std::optional<double> LossWatch::observe(double loss) {
  if (!std::isfinite(loss)) return std::nullopt;
  std::optional<double> jumped_from;
  if (recent_.size() >= kLeast)
    if (const double usual = median(recent_); usual > 0 && loss > kJump * usual)
      jumped_from = usual;
  recent_.push_back(loss);
  if (recent_.size() > kWindow) recent_.pop_front();
  return jumped_from;
}

Json LossWatch::state() const {
  Json::Array losses;
  for (const double loss : recent_) losses.push_back(loss);
  return losses;
}

void LossWatch::restore(const Json& state) {
  constexpr std::string_view kWhat = "trainer_state.json: recent_losses";
  recent_.clear();
  for (const Json& loss : state.as_array(kWhat)) recent_.push_back(loss.as_number(kWhat));
}

}  // namespace elenchus
