#pragma once
// Metrics by the name of their kind. To add one: its class and a line in catalogue.cpp.

#include <memory>
#include <span>

#include "metrics/metric.h"
#include "metrics/settings_reader.h"
#include "metrics/text_metrics.h"

namespace elenchus {

/// Makes a metric from its settings, but for name and mode, which are read already.
using MakeMetric = std::unique_ptr<Metric> (*)(SettingsReader& settings, TextMetricSettings common);

struct MetricKind {
  std::string_view kind;
  MakeMetric make = nullptr;
  /// Whether it looks at texts, and at which unless `mode` says otherwise; none: at the loss alone.
  MetricInput default_mode = MetricInput::none;
  MetricTask task = MetricTask::language;  ///< which models it is for
};

std::span<const MetricKind> metric_kinds();

std::unique_ptr<Metric> make_style(SettingsReader& settings, TextMetricSettings common);

}  // namespace elenchus
