// Llama 1-3.2 and the many models of its shape (SmolLM2, TinyLlama, ...): pre-norm, RoPE, grouped
// queries, SwiGLU. Touvron et al. 2023, arXiv:2302.13971; Grattafiori et al. 2024,
// arXiv:2407.21783.

#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  reader.expect_text("hidden_act", "silu");
  c.tied_head = reader.boolean("tie_word_embeddings", false);
  c.qkv_bias = c.o_bias = reader.boolean("attention_bias", false);
  c.mlp_bias = reader.boolean("mlp_bias", false);
  c.rope = reader.rope(10000);
  return c;
}

}  // namespace

Architecture llama();
Architecture llama() {
  return {.hf_name = "LlamaForCausalLM",
          .gguf_name = "llama",
          .gguf_pairs_qk_rows = true,
          .read_config = read_config,
          .module_name = llama_module_name};
}

}  // namespace elenchus
