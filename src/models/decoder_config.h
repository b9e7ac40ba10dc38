#pragma once
// The shape of a decoder-only model: every difference between the families that a field can say.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/gated_mlp/gated_mlp.h"

namespace elenchus {

/// How rotary positions are scaled past the length a model was first trained on.
struct RopeConfig {
  enum class Kind { plain, linear, dynamic, llama3, yarn, longrope };
  Kind kind = Kind::plain;
  double theta = 10000;
  double factor = 1;                                           ///< of all but plain
  double low_frequency_factor = 1, high_frequency_factor = 4;  ///< llama3
  double original_positions = 8192;                            ///< dynamic, llama3, yarn, longrope
  double beta_fast = 32, beta_slow = 1;                        ///< yarn
  bool truncate = true;  ///< yarn: whether the blended frequencies begin and end at whole ones
  std::optional<double> attention_factor;  ///< yarn, longrope: cos and sin are multiplied by it
  /// longrope, [R/2] each: what divides the frequencies of sequences up to original_positions, and
  /// of longer ones.
  std::vector<float> short_factors, long_factors;
  double rotary_share = 1;      ///< of each head that is turned
  std::vector<float> divisors;  ///< [D/2] from a GGUF file, or empty
};

/// Which rotary tables a layer turns its queries and keys by.
enum class RopeUse { global, local, none };

/// What may differ from layer to layer.
struct LayerTraits {
  std::int64_t window = 0;  ///< keys that a query sees, its own counted; 0: all before it
  RopeUse rope = RopeUse::global;
};

struct DecoderConfig {
  std::int64_t width = 0;       ///< C
  std::int64_t layers = 0;      ///< L
  std::int64_t heads = 0;       ///< H
  std::int64_t kv_heads = 0;    ///< K
  std::int64_t head_dim = 0;    ///< D
  std::int64_t rotary_dim = 0;  ///< R: elements of a head that are turned
  std::int64_t mlp_width = 0;   ///< F
  std::int64_t vocabulary = 0;  ///< V
  std::int64_t max_positions = 0;
  float norm_epsilon = 1e-6f;
  bool tied_head = false;
  /// The token whose embedding does not learn, as PyTorch's padding_idx.
  std::optional<std::int64_t> padding_token;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool fused_projections = false;  ///< q, k and v are one module, gate and up another
  ops::Activation activation = ops::Activation::silu;
  RopeConfig rope;                        ///< of the layers that use the global tables
  RopeConfig local_rope;                  ///< of those that use the local ones
  double embedding_scale = 1;             ///< of the embedded tokens; rounded to the compute type
  std::optional<double> attention_scale;  ///< of the scores; none: D^-1/2
  float attention_soft_cap = 0;           ///< scores become cap * tanh(score / cap); 0: none
  float logit_soft_cap = 0;               ///< logits likewise
  bool qk_norms = false;                  ///< each head of q and k is normed before it is turned
  bool post_norms = false;  ///< each branch is normed once more before it is added to its input
  std::vector<LayerTraits> layer_traits;  ///< [L], or empty: every layer as LayerTraits{}

  LayerTraits layer(std::int64_t i) const {
    return layer_traits.empty() ? LayerTraits{} : layer_traits[std::size_t(i)];
  }
};

}  // namespace elenchus
