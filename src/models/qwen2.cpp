// Qwen 2 and 2.5: Llama's shape with biases on q, k and v. Yang et al. 2024, arXiv:2407.10671.

#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  reader.expect_text("hidden_act", "silu");
  c.tied_head = reader.boolean("tie_word_embeddings", false);
  c.qkv_bias = true;
  c.layer_traits = reader.late_windows(c.layers);
  c.rope = reader.rope(10000);
  return c;
}

}  // namespace

Architecture qwen2();
Architecture qwen2() {
  return {.hf_name = "Qwen2ForCausalLM",
          .gguf_name = "qwen2",
          .read_config = read_config,
          .module_name = llama_module_name};
}

}  // namespace elenchus
