// Gemma 1: scaled embeddings, norms by 1 + weight, GeGLU. Gemma Team 2024, arXiv:2403.08295.

#include <cmath>

#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  c.padding_token = reader.padding_token(c.vocabulary, 0);
  // "gelu" in the first files means the tanh form too.
  if (reader.text("hidden_act", "") != "gelu")
    reader.expect_text("hidden_act", "gelu_pytorch_tanh");
  reader.expect_false("use_bidirectional_attention");
  c.activation = ops::Activation::gelu_tanh;
  c.tied_head = reader.boolean("tie_word_embeddings", true);
  c.qkv_bias = c.o_bias = reader.boolean("attention_bias", false);
  c.embedding_scale = std::sqrt(double(c.width));
  c.rope = reader.rope(10000);
  return c;
}

}  // namespace

Architecture gemma();
Architecture gemma() {
  return {.hf_name = "GemmaForCausalLM",
          .gguf_name = "gemma",
          .hf_norm_offset = 1,
          .read_config = read_config,
          .module_name = llama_module_name};
}

}  // namespace elenchus
