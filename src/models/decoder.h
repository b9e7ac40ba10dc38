#pragma once
// The one decoder: forward and backward of every architecture here.

#include <memory>
#include <vector>

#include "models/decoder_config.h"
#include "models/language_model.h"
#include "nn/decoder_block.h"
#include "nn/lm_head.h"

namespace elenchus {

/// What a decoder is made of; the loader fills it.
struct DecoderParts {
  DecoderConfig config;
  DType compute = DType::f32;    ///< of activations; the residual stream: residual_type()
  std::vector<Buffer> buffers;   ///< that the weights below lie in
  FrozenWeight embedding, head;  ///< [V, C]; the same matrix if tied
  ConstTensor final_norm;        ///< f32 [C]
  ParamSet params;
  std::vector<DecoderBlock> blocks;  ///< refer to `params` and `buffers`
  float label_smoothing = 0;
};

/// Sum and count of the row losses f32 [M], summed in f64 on the host. Waits for the stream.
LossSum sum_of_losses(Stream& stream, ConstTensor row_loss);

class Decoder final : public LanguageModel {
 public:
  explicit Decoder(DecoderParts parts);
  Decoder(const Decoder&) = delete;  // the head refers to the weights here
  Decoder& operator=(const Decoder&) = delete;
  LossSum loss_and_backward(Context&, ConstTensor tokens, const Targets&,
                            float gradient_scale) override;
  void losses(Context&, ConstTensor tokens, const Targets&, Tensor row_loss,
              Tensor prediction) override;
  Tensor logits(Context&, ConstTensor tokens, ConstTensor rows) override;
  ParamSet& params() override { return parts_.params; }
  std::int64_t vocabulary_size() const override { return parts_.config.vocabulary; }
  KvCache make_cache(Stream&, std::int64_t slots, std::int64_t capacity) const override;
  const DecoderConfig& config() const { return parts_.config; }
  /// The first `count` blocks keep only their input and run forward again in backward
  /// (arXiv:1604.06174).
  void set_recomputed_blocks(std::int64_t count) { recomputed_blocks_ = count; }
  std::int64_t recomputed_blocks() const { return recomputed_blocks_; }

 private:
  Tensor embed(Context&, ConstTensor tokens) const;
  Tensor hidden(Context&, ConstTensor tokens) const;

  DecoderParts parts_;
  LmHead head_;
  std::int64_t recomputed_blocks_ = 0;
};

}  // namespace elenchus
