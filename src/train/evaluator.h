#pragma once
// Measures a model on the evaluation rows.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/packed_batch.h"
#include "metrics/combined.h"
#include "metrics/confusion.h"
#include "metrics/metric.h"
#include "models/language_model.h"
#include "text/tokenizer.h"

namespace elenchus {

/// A generated reply, and the row's own answer to the same prompt.
struct RowReply {
  std::string text, reference;
};

/// Replies to the given rows of the evaluation set (PackedBatch::rows), one for each, in order.
/// Where a stop is asked for on the way they may be cut short, as long as EvaluationProgress says
/// false afterwards.
using GenerateReplies = std::function<std::vector<RowReply>(std::span<const std::int64_t> rows)>;

/// Everything here outlives the Evaluator.
struct EvaluatorParts {
  Stream& stream;
  Arena& arena;
  LanguageModel& model;
  const BatchSource& batches;
  const Tokenizer* tokenizer = nullptr;  ///< for teacher-forced texts; may be null without them
  std::vector<std::string> class_names = {};  ///< of a classifier; none: a language model
  std::vector<float> class_weights = {};      ///< [classes] that its loss is weighed by, or empty
  std::vector<std::unique_ptr<Metric>> metrics;
  std::vector<CombinedMetric> combined;
  GenerateReplies generate;  ///< needed if a metric wants replies
};

/// What one evaluation found.
struct Evaluation {
  std::map<std::string, double> values;  ///< "eval_loss", "eval_<metric>", ...
  ConfusionMatrix confusion;             ///< of a classifier
  std::int64_t samples = 0, batches = 0;
  double seconds = 0;
  double generating_seconds = 0;  ///< of these, spent in EvaluatorParts::generate
  bool complete = true;           ///< false: a stop was asked for on the way, and values is empty
};

/// Called before each batch and after the last one, with the batches done and their number; false
/// stops the evaluation.
using EvaluationProgress = std::function<bool(std::int64_t done, std::int64_t all)>;

class Evaluator {
 public:
  /// UserError: a combined metric of unknown parts, two metrics of one name, or a metric that needs
  /// what `parts` lacks.
  explicit Evaluator(EvaluatorParts parts);
  /// eval_loss (sum of nats / number of targets, or their class weights' sum), eval_perplexity, eval_mean_token_accuracy (for
  /// language models) and every metric, on epoch 0 of the batches.
  Evaluation evaluate(const EvaluationProgress& progress = {});
  /// Names of the declared metrics, combined ones last, without "eval_".
  const std::vector<std::string>& metric_names() const { return names_; }
  /// Of a classifier, by number.
  const std::vector<std::string>& class_names() const { return parts_.class_names; }
  /// Names that may choose the best model: the declared ones and those that are always measured.
  std::vector<std::string> known_names() const;
  /// Those of the known names of which less is better: names that end in "loss", as transformers
  /// has it, and metrics that say so.
  std::vector<std::string> lower_is_better() const;

 private:
  struct Sums;
  void evaluate_batch(const PackedBatch& batch, Sums& sums);
  std::vector<RowReply> replies(const PackedBatch& batch, Sums& sums);
  void observe(const PackedBatch& batch, std::span<const float> losses,
               std::span<const std::int32_t> predicted,
               const std::vector<std::vector<float>>& class_scores,
               const std::vector<RowReply>& replies);
  void finish(const Sums& sums, Evaluation& result);

  EvaluatorParts parts_;
  std::vector<std::string> names_;
  bool wants_text_ = false, wants_replies_ = false;
};

}  // namespace elenchus
