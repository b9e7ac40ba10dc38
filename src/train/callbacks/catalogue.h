#pragma once
// The callbacks of an ordinary run.

#include <memory>
#include <vector>

#include "train/callback.h"
#include "train/callbacks/progress_bar.h"

namespace elenchus {

/// Progress on stderr, trainer_log.jsonl, the CSV, the summary, the plots and the samples.
std::vector<std::unique_ptr<Callback>> standard_callbacks(Verbosity verbosity);

}  // namespace elenchus
