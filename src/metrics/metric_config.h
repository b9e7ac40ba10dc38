#pragma once
// The `metrics` section of a recipe.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "metrics/combined.h"
#include "metrics/metric.h"

namespace elenchus {

/// How replies are generated for metrics of `mode: generate`.
struct ReplySettings {
  std::int64_t max_new_tokens = 256;
  double temperature = 0;  ///< 0: the most likely token
  double top_p = 1;
  std::int64_t top_k = 0;  ///< 0: all
  bool operator==(const ReplySettings&) const = default;
};

struct MetricSet {
  std::vector<std::unique_ptr<Metric>> metrics;  ///< in the order of the recipe
  std::vector<CombinedMetric> combined;
  std::optional<ReplySettings> replies;  ///< given if a metric needs generated replies
};

/// The names of all kinds of metrics: "loss, combined, style, ...".
std::string metric_kinds_text();

/// From a list of names ("perplexity") and single-key maps ({"style": {...}}). "loss" is always
/// measured and adds nothing; of a classifier so are all metrics of classes, which come first.
/// UserError: an unknown kind or key (the nearest known one is named), a value out of range, a metric
/// of the other task, two metrics of one name, or two settings for generated replies; `what` names
/// the place ("metrics").
MetricSet make_metrics(const Json& list, std::string_view what = "metrics",
                       MetricTask task = MetricTask::language);

}  // namespace elenchus
