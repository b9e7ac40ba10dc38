// Gemma 3, its text model, alone or beside an image encoder: five layers with a window and rotary tables of their own to each full one, norms on
// query and key heads, no soft caps. Gemma Team 2025, arXiv:2503.19786.

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  c.padding_token = reader.padding_token(c.vocabulary, 0);
  reader.expect_text("hidden_activation", "gelu_pytorch_tanh");
  reader.expect_false("use_bidirectional_attention");
  c.activation = ops::Activation::gelu_tanh;
  c.tied_head = reader.boolean("tie_word_embeddings", true);
  c.qkv_bias = c.o_bias = reader.boolean("attention_bias", false);
  c.post_norms = c.qk_norms = true;
  c.embedding_scale = std::sqrt(double(c.width));
  c.attention_scale = 1 / std::sqrt(reader.positive("query_pre_attn_scalar", 256));
  c.attention_soft_cap = reader.soft_cap("attn_logit_softcapping", 0);
  c.logit_soft_cap = reader.soft_cap("final_logit_softcapping", 0);
  const std::int64_t period = reader.integer("sliding_window_pattern", 1, c.layers + 1024, 6);
  c.layer_traits = reader.windows(
      c.layers, 4096, [period](std::int64_t layer) { return (layer + 1) % period != 0; },
      RopeUse::local);
  c.rope = reader.layer_rope("full_attention", "rope_theta", 1000000);
  c.local_rope = reader.layer_rope("sliding_attention", "rope_local_base_freq", 10000);
  return c;
}

/// llama.cpp's files do not say what the scores are divided by: it goes by the size of the model.
void complete_gguf(Json& config, std::string_view source) {
  const DecoderConfig c = ConfigReader(config, source).sizes();
  constexpr std::int64_t kLayersOf27B = 62;
  config.set("query_pre_attn_scalar", c.layers == kLayersOf27B ? c.width / c.heads : c.head_dim);
}

std::string module_name(Slot slot, std::int64_t layer) {
  const std::string block = "model.layers." + std::to_string(layer) + ".";
  switch (slot) {
    case Slot::post_attention_norm:
      return block + "post_attention_layernorm";
    case Slot::mlp_norm:
      return block + "pre_feedforward_layernorm";
    case Slot::post_mlp_norm:
      return block + "post_feedforward_layernorm";
    default:
      return llama_module_name(slot, layer);
  }
}

/// The text model of Gemma3ForConditionalGeneration, whose config.json holds its settings in
/// text_config, without those that are the class's own.
DecoderConfig read_text_config(const Json& config, std::string_view source) {
  Json text = Json::Object{{"vocab_size", 262208},      {"hidden_size", 2304},
                           {"intermediate_size", 9216}, {"num_hidden_layers", 26},
                           {"num_attention_heads", 8},  {"num_key_value_heads", 4},
                           {"head_dim", 256},           {"max_position_embeddings", 131072}};
  const std::string where = cat(source, ": text_config");
  for (const auto& [key, value] : config.at("text_config", source).as_object(where))
    text.set(key, value);
  return read_config(text, where);
}

std::string text_module_name(Slot slot, std::int64_t layer) {
  constexpr std::string_view kModel = "model.";
  const std::string name = module_name(slot, layer);
  return name.starts_with(kModel) ? cat("model.language_model.", name.substr(kModel.size())) : name;
}

std::string old_text_module_name(Slot slot, std::int64_t layer) {
  return "language_model." + module_name(slot, layer);
}

}  // namespace

Architecture gemma3();
Architecture gemma3() {
  return {.hf_name = "Gemma3ForCausalLM",
          .gguf_name = "gemma3",
          .model_type = "gemma3_text",
          .hf_norm_offset = 1,
          .read_config = read_config,
          .complete_gguf = complete_gguf,
          .module_name = module_name};
}

Architecture gemma3_with_images();
Architecture gemma3_with_images() {
  return {.hf_name = "Gemma3ForConditionalGeneration",
          .gguf_name = {},
          .model_type = "gemma3",
          .hf_norm_offset = 1,
          .read_config = read_text_config,
          .module_name = text_module_name,
          .old_module_name = old_text_module_name,
          .left_out = "the image encoder"};
}

}  // namespace elenchus
