#include "metrics/combined.h"

#include <cmath>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

double combine(const CombinedMetric& metric, const MetricLookup& value_of) {
  double sum = 0;
  for (const auto& [name, weight] : metric.weights) {
    const std::optional<double> value = value_of(name);
    if (!value)
      throw UserError(cat("metrics: ", printable(metric.name), " weighs '", printable(name),
                          "', which is not measured"));
    const bool is_loss = name == "eval_loss" || name == "loss";
    sum += weight * (is_loss ? std::exp(-*value) : *value);
  }
  return sum;
}

}  // namespace elenchus
