#pragma once
// Everything of a run that is neither a tensor nor a function of the step number.

#include <cstdint>
#include <optional>

#include "base/json.h"

namespace elenchus {

/// Counters and sums. With the parameters and the moments they continue a run bit for bit.
struct RunState {
  std::int64_t step = 0;     ///< steps attempted: decides the data's position
  std::int64_t updates = 0;  ///< steps applied: decides the learning rate
  std::int64_t skipped_in_a_row = 0;
  std::int64_t input_tokens = 0;
  std::int64_t supervised_tokens = 0;
  std::int64_t samples = 0;  ///< sequences trained on
  double window_loss = 0;  ///< sum of the losses since the last log row; NaN if one was not finite
  std::int64_t last_logged_step = 0;
  double total_loss = 0;  ///< sum over the steps whose loss was finite
  std::int64_t total_loss_steps = 0;
  std::int64_t evaluated_step = -1;  ///< the last step whose evaluation is done
  bool adapters_checked = false;     ///< every lora_B was seen to move
  double elapsed_seconds = 0;
  Json::Array log_history;
  Json::Array accepted_changes;  ///< {"step", "changes"}: resumed as another run, by explicit wish

  /// The members that trainer_state.json has no place for. Reals survive bit for bit.
  Json counters() const;
  /// InputError if a member is missing or of another kind.
  void restore_counters(const Json& counters);
};

}  // namespace elenchus
