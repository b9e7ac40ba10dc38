#pragma once
// All that training, evaluation and generation need from any architecture.

#include "nn/context.h"
#include "nn/param.h"

namespace elenchus {

/// Travels as a sum and a count; divided once, at the end.
struct LossSum {
  double nats = 0;
  double tokens = 0;  ///< targets; of a classifier with class weights, the sum of their weights
  LossSum& operator+=(const LossSum& other) {
    nats += other.nats;
    tokens += other.tokens;
    return *this;
  }
};

/// Which rows are trained or evaluated, and on what: the row predicts `labels`. For a classifier
/// a row is the last of its sequence and its label a class.
struct Targets {
  ConstTensor rows;    ///< i32 [M], ascending
  ConstTensor labels;  ///< i32 [M] tokens, or classes
  std::int64_t count() const { return rows ? rows.dim(0) : 0; }
};

/// What LanguageModel::losses() writes, on the device.
struct LossOutputs {
  Tensor row_loss;           ///< f32 [M]
  Tensor prediction;         ///< i32 [M] most likely token or class
  Tensor class_scores = {};  ///< f32 [M, num_labels] logits of a classifier; may be empty
};

/// A decoder-only model: of language, or a classifier.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  /// Sum of the token losses; their gradient, times `gradient_scale`, is added to the parameters'
  /// gradients. tokens i32 [N]. Logits exist for a chunk of rows at a time.
  virtual LossSum loss_and_backward(Context&, ConstTensor tokens, const Targets&,
                                    float gradient_scale) = 0;
  /// The same forward with nothing saved.
  virtual void losses(Context&, ConstTensor tokens, const Targets&, const LossOutputs&) = 0;
  /// Logits of the rows asked for, f32 [M, V] (of a classifier [M, num_labels]) in the context's
  /// arena; extends ctx.cache. rows i32 [M]
  virtual Tensor logits(Context&, ConstTensor tokens, ConstTensor rows) = 0;
  virtual ParamSet& params() = 0;
  virtual std::int64_t vocabulary_size() const = 0;
  /// An empty cache for `slots` sequences of at most `capacity` tokens.
  virtual KvCache make_cache(Stream&, std::int64_t slots, std::int64_t capacity) const = 0;
};

}  // namespace elenchus
