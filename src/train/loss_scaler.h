#pragma once
// Dynamic loss scaling for float16, as torch.amp.GradScaler does it.

#include "base/json.h"

namespace elenchus {

/// Multiplies the loss so that small float16 gradients survive. Starts at 65536, halves when a step
/// overflows (never below 1), doubles after 2000 good steps in a row.
class LossScaler {
 public:
  double scale() const { return scale_; }
  /// To be called once for each attempted step.
  void update(bool overflowed);
  /// scale and good_steps, as scaler.json holds them.
  Json state() const;
  /// InputError if a key is missing or out of range.
  void restore(const Json& state);

 private:
  double scale_ = 65536;
  std::int64_t good_steps_ = 0;
};

}  // namespace elenchus
