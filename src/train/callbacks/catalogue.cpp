#include "train/callbacks/catalogue.h"

#include "train/callbacks/metrics_csv.h"
#include "train/callbacks/plots.h"
#include "train/callbacks/samples.h"
#include "train/callbacks/summary.h"
#include "train/callbacks/trainer_log.h"

namespace elenchus {

std::vector<std::unique_ptr<Callback>> standard_callbacks(Verbosity verbosity) {
  std::vector<std::unique_ptr<Callback>> out;
  out.push_back(std::make_unique<ProgressBar>(verbosity));
  Callback* const bar = out.front().get();
  out.push_back(std::make_unique<TrainerLog>());
  out.push_back(std::make_unique<MetricsCsv>());
  out.push_back(std::make_unique<Summary>());
  out.push_back(std::make_unique<Samples>());
  out.push_back(std::make_unique<Plots>(
      [bar](const std::string& text) { bar->on_message(MessageLevel::warning, text); }));
  return out;
}

}  // namespace elenchus
