#pragma once
// The callbacks of an ordinary run.

#include <memory>
#include <vector>

#include "train/callback.h"
#include "train/callbacks/progress_bar.h"

namespace elenchus {

/// What a recipe and the command line say of them.
struct CallbackOptions {
  Verbosity verbosity = Verbosity::normal;
  std::vector<std::string> report_to = {};  ///< "tensorboard"
  std::filesystem::path logging_dir = {};   ///< of event files; empty: a folder in the output
};

/// Progress on stderr, trainer_log.jsonl, the CSV files, the summary, the plots, the samples, and
/// what report_to names.
std::vector<std::unique_ptr<Callback>> standard_callbacks(const CallbackOptions& options);

}  // namespace elenchus
