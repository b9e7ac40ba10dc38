#pragma once
// Notices a loss that jumps.

#include <cstdint>
#include <deque>
#include <optional>

#include "base/json.h"

namespace elenchus {

/// Compares each loss with the median of those before it, 200 at most.
class LossWatch {
 public:
  /// What a loss jumped from: the median that it is more than five times of. Empty: no jump, or
  /// fewer than ten losses to compare with. A loss that is not finite is not taken in.
  std::optional<double> observe(double loss);
  /// The losses that the next one is compared with, oldest first.
  Json state() const;
  /// InputError: not a list of numbers.
  void restore(const Json& state);

 private:
  std::deque<double> recent_;
};

}  // namespace elenchus
