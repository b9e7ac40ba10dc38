#include "jobs/class_probabilities.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "data/csv_reader.h"

namespace elenchus {

std::vector<double> class_probabilities(std::span<const float> scores,
                                        const std::vector<ClassName>& classes, double temperature) {
  expect(scores.size() == classes.size(), "a score for each class");
  double top = -INFINITY, sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (classes[i].given) top = std::max(top, double(scores[i]));
  std::vector<double> out(scores.size(), 0);
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (classes[i].given) sum += out[i] = std::exp((double(scores[i]) - top) / temperature);
  for (double& p : out) p /= sum;
  return out;
}

std::vector<double> averaged_orders(std::vector<double> given, std::vector<double> swapped) {
  std::swap(swapped[0], swapped[1]);
  for (std::size_t i = 0; i < given.size(); ++i) given[i] = (given[i] + swapped[i]) / 2;
  return given;
}

double mean_log_loss(const ClassScores& scores, std::span<const TokenizedRow> rows,
                     const std::vector<ClassName>& classes, double temperature) {
  double nats = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<double> p = class_probabilities(scores[i], classes, temperature);
    nats -= std::log(std::max(p[std::size_t(rows[i].label)], 1e-300));
  }
  return nats / double(rows.size());
}

double fitted_temperature(const ClassScores& scores, std::span<const TokenizedRow> rows,
                          const std::vector<ClassName>& classes) {
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(kLeastTemperature), high = std::log(kLargestTemperature);
  for (int i = 0; i < 60; ++i) {
    const double a = high - ratio * (high - low), b = low + ratio * (high - low);
    const auto loss = [&](double place) {
      return mean_log_loss(scores, rows, classes, std::exp(place));
    };
    if (loss(a) <= loss(b))
      high = b;
    else
      low = a;
  }
  return std::exp((low + high) / 2);
}

std::string probabilities_csv(const ScoredRows& rows, const std::vector<ClassName>& classes,
                              double temperature) {
  std::vector<std::string> header = {"id"};
  for (const ClassName& each : classes)
    if (each.given) header.push_back(each.name);
  std::string text = csv_line(header);
  for (std::size_t row = 0; row < rows.scores.size(); ++row) {
    std::vector<double> p = class_probabilities(rows.scores[row], classes, temperature);
    if (!rows.swapped.empty())
      p = averaged_orders(std::move(p),
                          class_probabilities(rows.swapped[row], classes, temperature));
    std::vector<std::string> fields = {rows.ids[row]};
    for (std::size_t i = 0; i < classes.size(); ++i)
      if (classes[i].given) fields.push_back(fmt::format("{}", p[i]));
    text += csv_line(fields);
  }
  return text;
}

LengthBatches::LengthBatches(std::span<const TokenizedRow> rows, std::int64_t size)
    : size_(std::size_t(size)) {
  order_.resize(rows.size());
  std::iota(order_.begin(), order_.end(), 0);
  std::ranges::stable_sort(order_, std::greater<>(),
                           [&](std::size_t row) { return rows[row].ids.size(); });
}

std::size_t LengthBatches::count() const { return (order_.size() + size_ - 1) / size_; }

std::span<const std::size_t> LengthBatches::rows(std::size_t batch) const {
  const std::size_t first = batch * size_;
  return std::span(order_).subspan(first, std::min(size_, order_.size() - first));
}

}  // namespace elenchus
