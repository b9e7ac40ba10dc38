// Phi 3 and 4: Llama's shape with q, k and v in one projection, gate and up in another, and a
// window in some. Abdin et al. 2024, arXiv:2404.14219; arXiv:2412.08905.

#include <algorithm>

#include "base/error.h"
#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  c.padding_token = reader.padding_token(c.vocabulary, 32000);
  reader.expect_text("hidden_act", "silu");
  c.tied_head = reader.boolean("tie_word_embeddings", false);
  c.fused_projections = true;
  c.layer_traits = reader.windows(c.layers, 0, [](std::int64_t) { return true; });
  c.rope = reader.partial_rope(10000);
  if (c.rope.kind != RopeConfig::Kind::plain && c.rope.kind != RopeConfig::Kind::longrope)
    throw InputError(cat(source,
                         ": the rotary positions are scaled in a way that Phi models are not; "
                         "expected rope_type default or longrope"));
  // A GGUF file says rotary_dim, a Hugging Face folder partial_rotary_factor.
  c.rotary_dim =
      reader.integer("rotary_dim", 2, c.head_dim,
                     std::int64_t(double(c.head_dim) * std::min(c.rope.rotary_share, 2.0)));
  if (c.rotary_dim < 2 || c.rotary_dim > c.head_dim || c.rotary_dim % 2 != 0)
    throw InputError(cat(source, ": ", c.rotary_dim, " elements of each head of ", c.head_dim,
                         " are turned; expected an even number up to that"));
  for (const auto& factors : {c.rope.short_factors, c.rope.long_factors})
    if (c.rope.kind == RopeConfig::Kind::longrope &&
        std::int64_t(factors.size()) != c.rotary_dim / 2)
      throw InputError(cat(source, ": rope settings: short_factor and long_factor have ",
                           c.rope.short_factors.size(), " and ", c.rope.long_factors.size(),
                           " numbers; expected ", c.rotary_dim / 2));
  return c;
}

std::string module_name(Slot slot, std::int64_t layer) {
  const std::string block = "model.layers." + std::to_string(layer) + ".";
  switch (slot) {
    case Slot::q:
      return block + "self_attn.qkv_proj";
    case Slot::gate:
      return block + "mlp.gate_up_proj";
    default:
      return llama_module_name(slot, layer);
  }
}

std::string gguf_module(Slot slot, std::int64_t layer) {
  const std::string block = "blk." + std::to_string(layer) + ".";
  switch (slot) {
    case Slot::q:
      return block + "attn_qkv";
    case Slot::gate:
      return block + "ffn_up";  // llama.cpp's name for gate and up in one
    default:
      return gguf_module_name(slot, layer);
  }
}

}  // namespace

Architecture phi3();
Architecture phi3() {
  return {.hf_name = "Phi3ForCausalLM",
          .gguf_name = "phi3",
          .read_config = read_config,
          .module_name = module_name,
          .gguf_module = gguf_module};
}

}  // namespace elenchus
