// Llama 1-3.2 and the many models of its shape (SmolLM2, TinyLlama, ...): pre-norm, RoPE, grouped
// queries, SwiGLU. Touvron et al. 2023, arXiv:2302.13971; Grattafiori et al. 2024,
// arXiv:2407.21783.

#include "base/error.h"
#include "base/file.h"
#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  const std::string activation = reader.text("hidden_act", "silu");
  if (activation != "silu")
    throw InputError(
        cat(source, ": hidden_act is \"", printable(activation), "\"; Llama models use silu"));
  c.tied_head = reader.boolean("tie_word_embeddings", false);
  c.qkv_bias = c.o_bias = reader.boolean("attention_bias", false);
  c.mlp_bias = reader.boolean("mlp_bias", false);
  c.rope = reader.rope(10000);
  return c;
}

std::string module_name(Slot slot, std::int64_t layer) {
  const std::string block = "model.layers." + std::to_string(layer) + ".";
  switch (slot) {
    case Slot::embedding:
      return "model.embed_tokens";
    case Slot::final_norm:
      return "model.norm";
    case Slot::head:
      return "lm_head";
    case Slot::attention_norm:
      return block + "input_layernorm";
    case Slot::mlp_norm:
      return block + "post_attention_layernorm";
    case Slot::q:
      return block + "self_attn.q_proj";
    case Slot::k:
      return block + "self_attn.k_proj";
    case Slot::v:
      return block + "self_attn.v_proj";
    case Slot::o:
      return block + "self_attn.o_proj";
    case Slot::gate:
      return block + "mlp.gate_proj";
    case Slot::up:
      return block + "mlp.up_proj";
    case Slot::down:
      return block + "mlp.down_proj";
  }
  return {};
}

}  // namespace

Architecture llama();
Architecture llama() {
  return {.hf_name = "LlamaForCausalLM",
          .gguf_name = "llama",
          .gguf_pairs_qk_rows = true,
          .read_config = read_config,
          .module_name = module_name};
}

}  // namespace elenchus
