#include "train/evaluator.h"

#include <algorithm>
#include <chrono>
#include <cmath>

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

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class T>
std::vector<T> on_host(Stream& stream, ConstTensor tensor) {
  std::vector<T> out(std::size_t(tensor.elements()));
  stream.copy(Tensor(out.data(), tensor.shape(), tensor.dtype()), tensor);
  stream.synchronize();
  return out;
}

/// log(softmax(logits)), in f64.
std::vector<float> log_probabilities(std::span<const float> logits) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double(logit) - top);
  std::vector<float> out;
  for (const float logit : logits) out.push_back(float(double(logit) - top - std::log(sum)));
  return out;
}

bool contains(std::span<const std::string> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

struct Evaluator::Sums {
  double nats = 0, generating_seconds = 0;
  std::int64_t targets = 0, correct = 0, samples = 0;
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
  const bool classifier = parts_.task == EvaluationTask::classifier;
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
  if (parts_.task == EvaluationTask::classifier) return names;
  for (const std::string_view name : {kPerplexity, kAccuracy})
    if (!contains(names, name)) names.emplace_back(name);
  return names;
}

Evaluation Evaluator::evaluate(const EvaluationProgress& progress) {
  const double began = now_seconds();
  for (const auto& metric : parts_.metrics) metric->reset();
  Evaluation result;
  Sums sums;
  const std::int64_t batches = parts_.batches.batches_per_epoch();
  for (std::int64_t index = 0; index <= batches; ++index) {
    if (progress && !progress(index, batches)) {
      result.complete = false;
      return result;
    }
    if (index < batches) evaluate_batch(parts_.batches.batch(0, index), sums);
  }
  result.samples = sums.samples;
  result.batches = batches;
  finish(sums, result);
  result.seconds = now_seconds() - began;
  result.generating_seconds = sums.generating_seconds;
  return result;
}

void Evaluator::evaluate_batch(const PackedBatch& batch, Sums& sums) {
  sums.samples += std::int64_t(batch.rows.size());
  std::vector<float> losses;
  std::vector<std::int32_t> predicted;
  if (!batch.target_rows.empty()) {
    Arena::Scope scope(parts_.arena);
    DeviceBatch on_device = upload(parts_.stream, parts_.arena, host_batch(batch));
    const Shape targets{std::int64_t(batch.target_rows.size())};
    const Tensor row_loss = parts_.arena.alloc(targets, DType::f32);
    const Tensor prediction = parts_.arena.alloc(targets, DType::i32);
    parts_.model.losses(on_device.context, on_device.tokens, on_device.targets, row_loss,
                        prediction);
    losses = on_host<float>(parts_.stream, row_loss);
    predicted = on_host<std::int32_t>(parts_.stream, prediction);
  }
  for (std::size_t i = 0; i < losses.size(); ++i) {
    sums.nats += double(losses[i]);
    sums.correct += predicted[i] == batch.labels[i];
  }
  sums.targets += std::int64_t(losses.size());
  if (parts_.metrics.empty()) return;
  const bool classifier = parts_.task == EvaluationTask::classifier;
  observe(batch, losses, predicted,
          classifier && !losses.empty() ? class_scores(batch) : std::vector<std::vector<float>>{},
          replies(batch, sums));
}

/// Empty where no metric wants them.
std::vector<std::string> Evaluator::replies(const PackedBatch& batch, Sums& sums) {
  if (!wants_replies_) return {};
  const double began = now_seconds();
  std::vector<std::string> replies = parts_.generate(batch.rows);
  expect(replies.size() == batch.rows.size(), "one reply for each row");
  sums.generating_seconds += now_seconds() - began;
  return replies;
}

std::vector<std::vector<float>> Evaluator::class_scores(const PackedBatch& batch) {
  Arena::Scope scope(parts_.arena);
  DeviceBatch on_device = upload(parts_.stream, parts_.arena, host_batch(batch));
  const Tensor logits =
      parts_.model.logits(on_device.context, on_device.tokens, on_device.targets.rows);
  const std::vector<float> values = on_host<float>(parts_.stream, logits);
  const std::size_t classes = std::size_t(logits.dim(1));
  std::vector<std::vector<float>> out;
  for (std::size_t first = 0; first < values.size(); first += classes)
    out.push_back(log_probabilities(std::span(values).subspan(first, classes)));
  return out;
}

void Evaluator::observe(const PackedBatch& batch, std::span<const float> losses,
                        std::span<const std::int32_t> predicted,
                        const std::vector<std::vector<float>>& scores,
                        const std::vector<std::string>& replies) {
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
      generated.text = replies[row];
      metric->observe(generated);
    }
  }
}

void Evaluator::finish(const Sums& sums, Evaluation& result) {
  const double targets = double(std::max<std::int64_t>(1, sums.targets));
  const double loss = sums.nats / targets;
  result.values[std::string(kEvalLoss)] = loss;
  if (parts_.task == EvaluationTask::language_model) {
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
