#include "models/gguf_config.h"

#include "base/error.h"

namespace elenchus {
namespace {

struct KeyPair {
  std::string_view gguf, hf;
};
constexpr KeyPair kIntegers[] = {
    {"embedding_length", "hidden_size"},
    {"block_count", "num_hidden_layers"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.key_length", "head_dim"},
    {"context_length", "max_position_embeddings"},
    {"vocab_size", "vocab_size"},
    {"attention.sliding_window", "sliding_window"},
    {"rope.dimension_count", "rotary_dim"},
};
constexpr KeyPair kReals[] = {
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"rope.freq_base", "rope_theta"},
    {"rope.freq_base_swa", "rope_local_base_freq"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
};

}  // namespace

Json config_from_gguf(const GgufFile& file, const Architecture& architecture) {
  const std::string prefix = std::string(architecture.gguf_name) + ".";
  Json config{Json::Object{}};
  config.set("model_type", std::string(architecture.model_type));
  if (const auto padding = file.get_u64("tokenizer.ggml.padding_token_id"))
    config.set("pad_token_id", std::int64_t(*padding));
  for (const auto& [gguf, hf] : kIntegers)
    if (const auto value = file.get_u64(prefix + std::string(gguf)))
      config.set(hf, std::int64_t(*value));
  for (const auto& [gguf, hf] : kReals)
    if (const auto value = file.get_f32(prefix + std::string(gguf))) config.set(hf, double(*value));
  if (!config.find("vocab_size"))
    if (const auto* tokens = file.get_string_array("tokenizer.ggml.tokens"))
      config.set("vocab_size", std::int64_t(tokens->size()));
  config.set("tie_word_embeddings", file.find("output.weight") == nullptr);
  if (const auto kind = file.get_string(prefix + "rope.scaling.type"); kind && *kind != "none") {
    Json scaling{Json::Object{}};
    scaling.set("rope_type", std::string(*kind));
    if (const auto factor = file.get_f32(prefix + "rope.scaling.factor"))
      scaling.set("factor", double(*factor));
    if (const auto length = file.get_u64(prefix + "rope.scaling.original_context_length"))
      scaling.set("original_max_position_embeddings", std::int64_t(*length));
    config.set("rope_scaling", std::move(scaling));
  } else if (const auto length = file.get_u64(prefix + "rope.scaling.original_context_length")) {
    config.set("original_max_position_embeddings", std::int64_t(*length));  // of LongRoPE
  }
  if (architecture.complete_gguf) architecture.complete_gguf(config, file.description());
  return config;
}

}  // namespace elenchus
