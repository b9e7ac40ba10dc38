#pragma once
// The one decoder: forward and backward of every architecture here.

#include <memory>
#include <variant>
#include <vector>

#include "models/decoder_config.h"
#include "models/language_model.h"
#include "nn/decoder_block.h"
#include "nn/lm_head.h"
#include "nn/score_head.h"

namespace elenchus {

/// What a decoder is made of; the loader fills it.
struct DecoderParts {
  DecoderConfig config;
  DType compute = DType::f32;    ///< of activations; the residual stream: residual_type()
  std::vector<Buffer> buffers;   ///< that the weights below lie in
  FrozenWeight embedding, head;  ///< [V, C]; the same matrix if tied; a classifier has no head
  Tensor dembedding, dhead;      ///< f32 [V, C] of `params`: gradients of those trained, or empty
  ConstTensor final_norm;        ///< f32 [C]
  ParamSet params;
  std::vector<DecoderBlock> blocks;  ///< refer to `params` and `buffers`
  float label_smoothing = 0;
  Param* score = nullptr;            ///< of `params`: a classifier's head, f32 [num_labels, C]
  std::vector<float> class_weights;  ///< [num_labels] of a classifier, or empty
  ConstTensor device_class_weights;  ///< the same in `buffers`
};

/// Sum and count of the row losses f32 [M], summed in f64 on the host. Waits for the stream.
LossSum sum_of_losses(Stream& stream, ConstTensor row_loss);

/// What is computed again in backward instead of kept (arXiv:1604.06174). The first `whole` blocks
/// keep only their input; the `gate_up` after them keep all but gate|up, which frees most for the
/// least work. The rest keep everything but norms and activations.
struct Recomputation {
  std::int64_t whole = 0, gate_up = 0;
  /// Step `level` of 2 L, each with more work than the one before and, but for the last block's,
  /// less memory.
  static Recomputation at(std::int64_t level, std::int64_t layers) {
    if (level <= layers) return {0, level};
    return {level - layers, 2 * layers - level};
  }
};

class Decoder final : public LanguageModel {
 public:
  explicit Decoder(DecoderParts parts);
  Decoder(const Decoder&) = delete;  // the head refers to the weights here
  Decoder& operator=(const Decoder&) = delete;
  LossSum loss_and_backward(Context&, ConstTensor tokens, const Targets&,
                            float gradient_scale) override;
  void losses(Context&, ConstTensor tokens, const Targets&, const LossOutputs&) override;
  Tensor logits(Context&, ConstTensor tokens, ConstTensor rows) override;
  ParamSet& params() override { return parts_.params; }
  std::int64_t vocabulary_size() const override { return parts_.config.vocabulary; }
  /// Classes of a classifier; 0: a language model.
  std::int64_t num_labels() const { return parts_.score ? parts_.score->value.dim(0) : 0; }
  KvCache make_cache(Stream&, std::int64_t slots, std::int64_t capacity) const override;
  const DecoderConfig& config() const { return parts_.config; }
  void set_recomputation(Recomputation recomputation) { recomputation_ = recomputation; }

 private:
  float embedding_scale() const;
  Tensor embed(Context&, ConstTensor tokens) const;
  Tensor hidden(Context&, ConstTensor tokens) const;
  void head_loss(Context&, ConstTensor h, const Targets&, const LossOutputs&, Tensor dh,
                 float gradient_scale) const;
  LossSum sum(Stream&, ConstTensor row_loss, ConstTensor labels) const;

  DecoderParts parts_;
  std::variant<LmHead, ScoreHead> head_;
  Recomputation recomputation_;
};

}  // namespace elenchus
