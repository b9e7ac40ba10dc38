#pragma once
// Numbers that say how good a model is, beyond its loss.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace elenchus {

/// What was seen of one evaluated row.
struct Prediction {
  std::string text;       ///< teacher-forced argmax, or the generated reply, without special tokens
  std::string reference;  ///< the row's own answer; teacher-forced: all that is trained on
  std::vector<float> class_scores;  ///< classification: log-probabilities
  std::int64_t label = -1;          ///< classification
  double loss_nats = 0;             ///< summed over the row's targets
  std::int64_t targets = 0, correct = 0;
};

/// What a metric needs to observe.
enum class MetricInput { teacher_forced, generated, none };

/// What a metric measures: language models, or classifiers.
enum class MetricTask { language, classes };

class Metric {
 public:
  virtual ~Metric() = default;
  virtual std::string_view name() const = 0;
  virtual MetricInput input() const = 0;
  /// Whether a model with more of it is the better one.
  virtual bool greater_is_better() const { return true; }
  virtual void observe(const Prediction&) = 0;
  virtual double result() const = 0;
  virtual void reset() = 0;
};

}  // namespace elenchus
