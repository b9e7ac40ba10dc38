// Qwen 3: Llama's shape with a norm on every query and key head. Qwen Team 2025, arXiv:2505.09388.

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
  c.qk_norms = true;
  c.layer_traits = reader.late_windows(c.layers);
  c.rope = reader.rope(10000);
  return c;
}

}  // namespace

Architecture qwen3();
Architecture qwen3() {
  return {.hf_name = "Qwen3ForCausalLM",
          .gguf_name = "qwen3",
          .read_config = read_config,
          .module_name = llama_module_name};
}

}  // namespace elenchus
