#pragma once
// Metrics of whole texts.

#include <string>
#include <unordered_set>

#include "base/regex.h"
#include "metrics/metric.h"

namespace elenchus {

/// What texts are counted in: runs of characters that are not white space, or characters that are
/// not.
enum class TextUnit { word, character };

struct TextMetricSettings {
  std::string name;
  MetricInput mode = MetricInput::generated;
};

/// Different n-grams / n-grams, over all texts (Li et al. 2016, arXiv:1510.03055); 0 without any.
class DistinctN final : public Metric {
 public:
  DistinctN(TextMetricSettings settings, std::int64_t n, TextUnit unit)
      : settings_(std::move(settings)), n_(n), unit_(unit) {}
  std::string_view name() const override { return settings_.name; }
  MetricInput input() const override { return settings_.mode; }
  void observe(const Prediction& prediction) override;
  double result() const override;
  void reset() override;

 private:
  TextMetricSettings settings_;
  std::int64_t n_;
  TextUnit unit_;
  std::unordered_set<std::string> seen_;
  std::int64_t total_ = 0;
};

/// Mean length of a text in words or characters.
class ReplyLength final : public Metric {
 public:
  ReplyLength(TextMetricSettings settings, TextUnit unit)
      : settings_(std::move(settings)), unit_(unit) {}
  std::string_view name() const override { return settings_.name; }
  MetricInput input() const override { return settings_.mode; }
  void observe(const Prediction& prediction) override;
  double result() const override { return texts_ > 0 ? double(units_) / double(texts_) : 0; }
  void reset() override { units_ = 0, texts_ = 0; }

 private:
  TextMetricSettings settings_;
  TextUnit unit_;
  std::int64_t units_ = 0, texts_ = 0;
};

/// Share of texts that are the reference, white space at the ends aside.
class ExactMatch final : public Metric {
 public:
  explicit ExactMatch(TextMetricSettings settings) : settings_(std::move(settings)) {}
  std::string_view name() const override { return settings_.name; }
  MetricInput input() const override { return settings_.mode; }
  void observe(const Prediction& prediction) override;
  double result() const override { return texts_ > 0 ? double(hits_) / double(texts_) : 0; }
  void reset() override { hits_ = 0, texts_ = 0; }

 private:
  TextMetricSettings settings_;
  std::int64_t hits_ = 0, texts_ = 0;
};

/// Share of texts in which a pattern is found.
class RegexMatch final : public Metric {
 public:
  RegexMatch(TextMetricSettings settings, RecipeRegex pattern)
      : settings_(std::move(settings)), pattern_(std::move(pattern)) {}
  std::string_view name() const override { return settings_.name; }
  MetricInput input() const override { return settings_.mode; }
  void observe(const Prediction& prediction) override;
  double result() const override { return texts_ > 0 ? double(hits_) / double(texts_) : 0; }
  void reset() override { hits_ = 0, texts_ = 0; }

 private:
  TextMetricSettings settings_;
  RecipeRegex pattern_;
  std::int64_t hits_ = 0, texts_ = 0;
};

}  // namespace elenchus
