#pragma once
// A metric made of other metrics.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace elenchus {

/// A weighted sum of other metrics: sum_i weight_i * value_i. eval_loss enters as exp(-eval_loss).
struct CombinedMetric {
  std::string name;
  std::vector<std::pair<std::string, double>> weights;
};

/// The value of a part by its name, with or without "eval_"; none where it was not measured.
using MetricLookup = std::function<std::optional<double>(std::string_view name)>;

/// The sum. UserError names a part that `value_of` does not have.
double combine(const CombinedMetric& metric, const MetricLookup& value_of);

}  // namespace elenchus
