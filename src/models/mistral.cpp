// Mistral: Llama's shape with a window over every layer. Jiang et al. 2023, arXiv:2310.06825.
// llama.cpp writes it as a Llama.

#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  reader.expect_text("hidden_act", "silu");
  c.tied_head = reader.boolean("tie_word_embeddings", false);
  c.layer_traits = reader.windows(c.layers, 4096, [](std::int64_t) { return true; });
  c.rope = reader.rope(10000);
  return c;
}

}  // namespace

Architecture mistral();
Architecture mistral() {
  return {.hf_name = "MistralForCausalLM",
          .gguf_name = {},
          .read_config = read_config,
          .module_name = llama_module_name};
}

}  // namespace elenchus
