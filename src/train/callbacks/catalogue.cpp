#include "train/callbacks/catalogue.h"

#include <algorithm>

#include "train/callbacks/confusion.h"
#include "train/callbacks/memory_log.h"
#include "train/callbacks/metrics_csv.h"
#include "train/callbacks/plots.h"
#include "train/callbacks/samples.h"
#include "train/callbacks/summary.h"
#include "train/callbacks/tensorboard.h"
#include "train/callbacks/trainer_log.h"

namespace elenchus {

std::vector<std::unique_ptr<Callback>> standard_callbacks(const CallbackOptions& options) {
  std::vector<std::unique_ptr<Callback>> out;
  out.push_back(std::make_unique<ProgressBar>(options.verbosity));
  Callback* const bar = out.front().get();
  out.push_back(std::make_unique<TrainerLog>());
  out.push_back(std::make_unique<MetricsCsv>());
  out.push_back(std::make_unique<MemoryLog>());
  out.push_back(std::make_unique<Summary>());
  out.push_back(std::make_unique<Samples>());
  const auto warn = [bar](const std::string& text) {
    bar->on_message(MessageLevel::warning, text);
  };
  out.push_back(std::make_unique<Plots>(warn));
  out.push_back(std::make_unique<Confusion>(
      [bar](const std::string& text) { bar->on_message(MessageLevel::info, text); }, warn));
  if (std::ranges::find(options.report_to, "tensorboard") != options.report_to.end())
    out.push_back(std::make_unique<TensorBoard>(options.logging_dir));
  return out;
}

}  // namespace elenchus
