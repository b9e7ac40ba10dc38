#include "metrics/catalogue.h"

#include <array>

#include "base/error.h"
#include "metrics/classification.h"
#include "metrics/token_metrics.h"

namespace elenchus {
namespace {

TextUnit read_unit(SettingsReader& settings) {
  return TextUnit(settings.choice("unit", 0, {"word", "character"}));
}

std::unique_ptr<Metric> make_perplexity(SettingsReader&, TextMetricSettings) {
  return std::make_unique<Perplexity>();
}

std::unique_ptr<Metric> make_token_accuracy(SettingsReader&, TextMetricSettings) {
  return std::make_unique<TokenAccuracy>();
}

std::unique_ptr<Metric> make_distinct_n(SettingsReader& settings, TextMetricSettings common) {
  const std::int64_t n = settings.integer("n", 2, 1);
  return std::make_unique<DistinctN>(std::move(common), n, read_unit(settings));
}

std::unique_ptr<Metric> make_reply_length(SettingsReader& settings, TextMetricSettings common) {
  return std::make_unique<ReplyLength>(std::move(common), read_unit(settings));
}

std::unique_ptr<Metric> make_exact_match(SettingsReader&, TextMetricSettings common) {
  return std::make_unique<ExactMatch>(std::move(common));
}

template <class ClassMetric>
std::unique_ptr<Metric> make_class_metric(SettingsReader&, TextMetricSettings) {
  return std::make_unique<ClassMetric>();
}

std::unique_ptr<Metric> make_regex_match(SettingsReader& settings, TextMetricSettings common) {
  const std::string pattern = settings.text("pattern", "");
  const std::string what = settings.what() + ".pattern";
  if (pattern.empty()) throw UserError(what + ": missing, expected a regular expression");
  return std::make_unique<RegexMatch>(std::move(common), RecipeRegex(pattern, what));
}

}  // namespace

std::span<const MetricKind> metric_kinds() {
  static constexpr std::array<MetricKind, 12> kKinds = {{
      {"style", make_style, MetricInput::teacher_forced},
      {"perplexity", make_perplexity, MetricInput::none},
      {"token_accuracy", make_token_accuracy, MetricInput::none},
      {"distinct_n", make_distinct_n, MetricInput::generated},
      {"reply_length", make_reply_length, MetricInput::generated},
      {"exact_match", make_exact_match, MetricInput::generated},
      {"regex_match", make_regex_match, MetricInput::generated},
      {"accuracy", make_class_metric<Accuracy>, MetricInput::none, MetricTask::classes},
      {"balanced_accuracy", make_class_metric<BalancedAccuracy>, MetricInput::none,
       MetricTask::classes},
      {"log_loss", make_class_metric<LogLoss>, MetricInput::none, MetricTask::classes},
      {"macro_f1", make_class_metric<MacroF1>, MetricInput::none, MetricTask::classes},
      {"ece", make_class_metric<CalibrationError>, MetricInput::none, MetricTask::classes},
  }};
  return kKinds;
}

}  // namespace elenchus
