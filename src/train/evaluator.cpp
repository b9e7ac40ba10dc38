#include "train/evaluator.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "train/host_batch.h"

namespace elenchus {
namespace {

constexpr std::string_view kLoss = "loss", kEvalLoss = "eval_loss";
constexpr std::string_view kPerplexity = "perplexity", kAccuracy = "mean_token_accuracy";
// Keys of an evaluation's row that are not metrics.
constexpr std::string_view kReserved[] = {
    kLoss, kEvalLoss, "runtime", "generate_runtime", "samples_per_second", "steps_per_second"};

template <class T>
std::vector<T> on_host(Stream& stream, ConstTensor tensor) {
  std::vector<T> out(std::size_t(tensor.elements()));
  stream.copy(Tensor(out.data(), tensor.shape(), tensor.dtype()), tensor);
  stream.synchronize();
  return out;
}

/// log(softmax) of every row of `classes` logits, in f64.
std::vector<std::vector<float>> log_probabilities(std::span<const float> logits,
                                                  std::size_t classes) {
  std::vector<std::vector<float>> rows;
  for (std::size_t first = 0; first < logits.size(); first += classes) {
    const auto row = logits.subspan(first, classes);
    const double top = *std::ranges::max_element(row);
    double sum = 0;
    for (const float logit : row) sum += std::exp(double(logit) - top);
    rows.emplace_back();
    for (const float logit : row) rows.back().push_back(float(double(logit) - top - std::log(sum)));
  }
  return rows;
}

bool contains(std::span<const std::string> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

struct Evaluator::Sums {
  double nats = 0, weight = 0, generating_seconds = 0;
  std::int64_t correct = 0, samples = 0;
  ConfusionMatrix confusion;
};

Evaluator::Evaluator(EvaluatorParts parts) : parts_(std::move(parts)) {
  const auto add = [&](std::string_view name) {
    if (contains(names_, name) || std::ranges::find(kReserved, name) != std::end(kReserved))
      throw UserError(cat("metrics: the name '", printable(name), "' is taken; choose another"));
    names_.emplace_back(name);
  };
  for (const auto& metric : parts_.metrics) {
    add(metric->name());
    wants_text_ |= metric->input() == MetricInput::teacher_forced;
    wants_replies_ |= metric->input() == MetricInput::generated;
  }
  const bool classifier = !parts_.class_names.empty();
  if (wants_text_ && !classifier && !parts_.tokenizer)
    throw UserError("metrics: texts cannot be scored without the model's tokenizer");
  if (wants_replies_ && !parts_.generate)
    throw UserError("metrics: 'mode: generate' needs a model that generates replies");
  for (const CombinedMetric& combined : parts_.combined) {
    for (const auto& [name, weight] : combined.weights)
      if (!contains(known_names(), name.starts_with("eval_") ? name.substr(5) : name))
        throw UserError(cat("metrics: ", printable(combined.name), " weighs '", printable(name),
                            "', which is neither eval_loss nor a metric listed before it"));
    add(combined.name);
  }
}

std::vector<std::string> Evaluator::known_names() const {
  std::vector<std::string> names = names_;
  names.emplace_back(kLoss);
  if (!parts_.class_names.empty()) return names;
  for (const std::string_view name : {kPerplexity, kAccuracy})
    if (!contains(names, name)) names.emplace_back(name);
  return names;
}

std::vector<std::string> Evaluator::lower_is_better() const {
  std::vector<std::string> names = known_names();
  std::erase_if(names, [&](const std::string& name) {
    if (name.ends_with(kLoss) || name == kPerplexity) return false;
    const auto metric =
        std::ranges::find(parts_.metrics, name, [](const auto& m) { return m->name(); });
    return metric == parts_.metrics.end() || (*metric)->greater_is_better();
  });
  return names;
}

Evaluation Evaluator::evaluate(const EvaluationProgress& progress) {
  const double began = monotonic_seconds();
  for (const auto& metric : parts_.metrics) metric->reset();
  Evaluation result;
  Sums sums;
  sums.confusion = ConfusionMatrix(parts_.class_names.size());
  const std::int64_t batches = parts_.batches.batches_per_epoch();
  for (std::int64_t index = 0; index <= batches; ++index) {
    if (progress && !progress(index, batches)) {
      result.complete = false;
      return result;
    }
    if (index < batches) evaluate_batch(parts_.batches.batch(0, index), sums);
  }
  result.confusion = sums.confusion;
  result.samples = sums.samples;
  result.batches = batches;
  finish(sums, result);
  result.seconds = monotonic_seconds() - began;
  result.generating_seconds = sums.generating_seconds;
  return result;
}

void Evaluator::evaluate_batch(const PackedBatch& batch, Sums& sums) {
  sums.samples += std::int64_t(batch.rows.size());
  std::vector<float> losses;
  std::vector<std::int32_t> predicted;
  std::vector<std::vector<float>> scores;
  if (!batch.target_rows.empty()) {
    Arena::Scope scope(parts_.arena);
    DeviceBatch on_device = upload(parts_.stream, parts_.arena, host_batch(batch));
    const Shape targets{std::int64_t(batch.target_rows.size())};
    LossOutputs outputs{.row_loss = parts_.arena.alloc(targets, DType::f32),
                        .prediction = parts_.arena.alloc(targets, DType::i32)};
    const auto classes = std::int64_t(parts_.class_names.size());
    if (classes > 0) outputs.class_scores = parts_.arena.alloc({targets[0], classes}, DType::f32);
    parts_.model.losses(on_device.context, on_device.tokens, on_device.targets, outputs);
    losses = on_host<float>(parts_.stream, outputs.row_loss);
    predicted = on_host<std::int32_t>(parts_.stream, outputs.prediction);
    if (outputs.class_scores)
      scores = log_probabilities(on_host<float>(parts_.stream, outputs.class_scores),
                                 parts_.class_names.size());
  }
  for (std::size_t i = 0; i < losses.size(); ++i) {
    sums.nats += double(losses[i]);
    sums.correct += predicted[i] == batch.labels[i];
    const bool scored = scores.empty() || std::isfinite(scores[i].front());  // NaN is no class
    if (!sums.confusion.empty() && scored) sums.confusion.add(batch.labels[i], predicted[i]);
    sums.weight += parts_.class_weights.empty()
                       ? 1.0
                       : double(parts_.class_weights[std::size_t(batch.labels[i])]);
  }
  if (!parts_.metrics.empty()) observe(batch, losses, predicted, scores, replies(batch, sums));
}

/// Empty where no metric wants them.
std::vector<RowReply> Evaluator::replies(const PackedBatch& batch, Sums& sums) {
  if (!wants_replies_) return {};
  const double began = monotonic_seconds();
  std::vector<RowReply> replies = parts_.generate(batch.rows);
  expect(replies.size() == batch.rows.size(), "one reply for each row");
  sums.generating_seconds += monotonic_seconds() - began;
  return replies;
}

void Evaluator::observe(const PackedBatch& batch, std::span<const float> losses,
                        std::span<const std::int32_t> predicted,
                        const std::vector<std::vector<float>>& scores,
                        const std::vector<RowReply>& replies) {
  std::size_t target = 0;
  for (std::size_t row = 0; row < batch.rows.size(); ++row) {
    const std::size_t first = target;
    while (target < losses.size() && batch.target_rows[target] < batch.starts[row + 1]) ++target;
    const std::size_t count = target - first;
    Prediction seen;
    seen.targets = std::int64_t(count);
    for (std::size_t i = first; i < target; ++i) {
      seen.loss_nats += double(losses[i]);
      seen.correct += predicted[i] == batch.labels[i];
    }
    if (!scores.empty() && count > 0) {
      seen.class_scores = scores[first];
      seen.label = batch.labels[first];
    } else if (parts_.tokenizer && (wants_text_ || wants_replies_)) {
      seen.text = parts_.tokenizer->decode(predicted.subspan(first, count), true);
      seen.reference =
          parts_.tokenizer->decode(std::span(batch.labels).subspan(first, count), true);
    }
    for (const auto& metric : parts_.metrics) {
      if (metric->input() != MetricInput::generated) {
        metric->observe(seen);
        continue;
      }
      Prediction generated = seen;
      generated.text = replies[row].text;
      generated.reference = replies[row].reference;
      metric->observe(generated);
    }
  }
}

void Evaluator::finish(const Sums& sums, Evaluation& result) {
  const double targets = sums.weight > 0 ? sums.weight : 1;
  const double loss = sums.nats / targets;
  result.values[std::string(kEvalLoss)] = loss;
  if (parts_.class_names.empty()) {
    result.values[cat("eval_", kPerplexity)] = std::exp(loss);
    result.values[cat("eval_", kAccuracy)] = double(sums.correct) / targets;
  }
  for (const auto& metric : parts_.metrics)
    result.values[cat("eval_", metric->name())] = metric->result();
  for (const CombinedMetric& combined : parts_.combined) {
    const auto value_of = [&](std::string_view name) -> std::optional<double> {
      const auto found =
          result.values.find(name.starts_with("eval_") ? std::string(name) : cat("eval_", name));
      return found == result.values.end() ? std::nullopt : std::optional(found->second);
    };
    result.values["eval_" + combined.name] = combine(combined, value_of);
  }
}

}  // namespace elenchus
