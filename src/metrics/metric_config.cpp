#include "metrics/metric_config.h"

#include <algorithm>

#include "base/error.h"
#include "base/field_visitors.h"
#include "base/file.h"
#include "metrics/catalogue.h"

namespace elenchus {
namespace {

constexpr std::string_view kCombined = "combined", kLoss = "loss";

/// Of every language model, listed or not.
bool is_always_measured(std::string_view name) {
  return name == "perplexity" || name == "mean_token_accuracy";
}

/// Adds one entry of the list after another.
class Builder {
 public:
  explicit Builder(MetricTask task);
  void add(const Json& entry, const std::string& what);
  MetricSet take() { return std::move(set_); }

 private:
  void add_metric(const MetricKind& kind, const Json& json, const std::string& what);
  void add_combined(const Json& json, const std::string& what);
  void add_reply_settings(SettingsReader& settings, bool generated);
  void claim(const std::string& name, std::string_view kind, const std::string& what);
  bool is_measured_unasked(const MetricKind& kind) const {
    return task_ == MetricTask::classes && kind.task == task_;
  }

  MetricTask task_;
  MetricSet set_;
  bool replies_given_ = false;  // by a metric's own settings, not by default
  std::vector<std::string> names_;
};

std::vector<std::string_view> known_kinds() {
  std::vector<std::string_view> known = {kLoss, kCombined};
  for (const MetricKind& each : metric_kinds()) known.push_back(each.kind);
  return known;
}

[[noreturn]] void fail_unknown(std::string_view kind, const std::string& what) {
  const std::string_view nearest = nearest_word(kind, known_kinds());
  throw UserError(cat(what, ": unknown metric '", printable(kind), "'",
                      nearest.empty() ? "" : "; did you mean ", nearest, nearest.empty() ? "" : "?",
                      " There are: ", metric_kinds_text()));
}

const MetricKind& find_kind(std::string_view name, const std::string& what) {
  for (const MetricKind& kind : metric_kinds())
    if (kind.kind == name) return kind;
  fail_unknown(name, what);
}

Builder::Builder(MetricTask task) : task_(task) {
  if (task == MetricTask::language) return;
  for (const MetricKind& kind : metric_kinds())
    if (kind.task == task) add_metric(kind, Json(), cat("metrics.", kind.kind));
}

void Builder::claim(const std::string& name, std::string_view kind, const std::string& what) {
  if (name.empty() || std::ranges::any_of(name, [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == '/' || c == ',' || c == '"';
      }))
    throw UserError(cat(what, ".name: found '", printable(name),
                        "', expected a name without spaces, slashes, commas or quotes"));
  if (((name == kLoss || is_always_measured(name)) && name != kind) ||
      std::ranges::find(names_, name) != names_.end())
    throw UserError(cat(what, ": the name '", printable(name), "' is taken; choose another"));
  names_.push_back(name);
}

void Builder::add_reply_settings(SettingsReader& settings, bool generated) {
  ReplySettings replies;
  const bool given = settings.find("max_new_tokens") || settings.find("temperature") ||
                     settings.find("top_p") || settings.find("top_k");
  replies.max_new_tokens = settings.integer("max_new_tokens", replies.max_new_tokens, 1);
  replies.temperature = settings.number("temperature", replies.temperature, 0, 100);
  replies.top_p = settings.number("top_p", replies.top_p, 1e-9, 1);
  replies.top_k = settings.integer("top_k", replies.top_k, 0);
  if (!generated && given)
    throw UserError(settings.what() +
                    ": max_new_tokens, temperature, top_p and top_k need mode: generate");
  if (!generated) return;
  if (replies_given_ && given && *set_.replies != replies)
    throw UserError(settings.what() +
                    ": replies are generated once for all metrics, so max_new_tokens, temperature, "
                    "top_p and top_k must agree between them");
  if (!set_.replies || given) set_.replies = replies;
  replies_given_ |= given;
}

void Builder::add_metric(const MetricKind& kind, const Json& json, const std::string& what) {
  if (kind.task != task_)
    throw UserError(cat(what, ": is a metric of ",
                        kind.task == MetricTask::classes
                            ? "classifiers (model.task_type: SEQ_CLS)"
                            : "language models (model.task_type: CAUSAL_LM)",
                        "; take it out of the list"));
  SettingsReader settings(json, what);
  TextMetricSettings common;
  common.mode = kind.default_mode;
  if (kind.default_mode == MetricInput::none) {
    common.name = kind.kind;
  } else {
    common.name = settings.text("name", kind.kind);
    const std::size_t by_default = kind.default_mode == MetricInput::generated ? 1 : 0;
    const bool generated = settings.choice("mode", by_default, {"teacher_forced", "generate"}) == 1;
    common.mode = generated ? MetricInput::generated : MetricInput::teacher_forced;
    add_reply_settings(settings, generated);
  }
  claim(common.name, kind.kind, what);
  set_.metrics.push_back(kind.make(settings, std::move(common)));
  settings.finish();
}

void Builder::add_combined(const Json& json, const std::string& what) {
  SettingsReader settings(json, what);
  CombinedMetric metric;
  metric.name = settings.text("name", kCombined);
  const Json* weights = settings.find("weights");
  settings.finish();
  if (!weights || !weights->is_object() || weights->as_object(what).empty())
    throw UserError(what + ".weights: expected a map {METRIC: WEIGHT}");
  for (const auto& [name, weight] : weights->as_object(what)) {
    const std::string_view bare =
        name.starts_with("eval_") ? std::string_view(name).substr(5) : std::string_view(name);
    const bool is_loss = bare == kLoss;
    const bool always = task_ == MetricTask::language && is_always_measured(bare);
    if (!is_loss && !always && std::ranges::find(names_, bare) == names_.end())
      throw UserError(cat(what, ".weights: '", printable(name),
                          "' is neither eval_loss nor a metric listed before"));
    if (!weight.is_number())
      throw UserError(cat(what, ".weights.", printable(name), ": expected a number, found ",
                          weight.kind_name()));
    metric.weights.emplace_back(is_loss ? "eval_loss" : std::string(bare), weight.as_number(what));
  }
  claim(metric.name, kCombined, what);
  set_.combined.push_back(std::move(metric));
}

void Builder::add(const Json& entry, const std::string& what) {
  const Json none;
  if (entry.is_string()) {
    const std::string& name = entry.as_string(what);
    if (name == kLoss) return;
    if (name == kCombined)
      throw UserError(what + ": expected {combined: {weights: {METRIC: WEIGHT}}}");
    const MetricKind& known = find_kind(name, what);
    if (!is_measured_unasked(known)) add_metric(known, none, cat(what, ".", printable(name)));
    return;
  }
  if (!entry.is_object() || entry.as_object(what).size() != 1)
    throw UserError(cat(what, ": expected a name or a map with a single key {KIND: {...}}, found ",
                        entry.is_object() ? "a map with several keys or none" : entry.kind_name()));
  const auto& [kind, settings] = entry.as_object(what).front();
  if (kind == kCombined) return add_combined(settings, what + ".combined");
  const MetricKind& known = find_kind(kind, what);
  if (is_measured_unasked(known)) {
    SettingsReader(settings, cat(what, ".", kind)).finish();
    return;
  }
  add_metric(known, settings, cat(what, ".", kind));
}

}  // namespace

std::string metric_kinds_text() {
  std::string list;
  for (const std::string_view each : known_kinds()) list += cat(list.empty() ? "" : ", ", each);
  return list;
}

MetricSet make_metrics(const Json& list, std::string_view what, MetricTask task) {
  Builder builder(task);
  if (list.is_null()) return builder.take();
  if (!list.is_array())
    throw UserError(cat(what, ": expected a list of metrics, found ", list.kind_name()));
  const Json::Array& entries = list.as_array(what);
  for (std::size_t i = 0; i < entries.size(); ++i) builder.add(entries[i], cat(what, "[", i, "]"));
  return builder.take();
}

}  // namespace elenchus
