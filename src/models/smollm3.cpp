// SmolLM3: Llama's shape where every fourth layer turns neither queries nor keys (NoPE, Yang et al. 2025,
// arXiv:2501.18795).

#include "base/error.h"
#include "base/file.h"
#include "models/architecture.h"
#include "models/config_reader.h"

namespace elenchus {
namespace {

/// no_rope_layers: 1 where a layer turns, against its name; else every no_rope_layer_interval-th does not.
std::vector<bool> turning_layers(const Json& config, std::string_view source, std::int64_t layers) {
  const std::int64_t interval =
      ConfigReader(config, source).integer("no_rope_layer_interval", 1, 1 << 20, 4);
  std::vector<bool> turns;
  for (std::int64_t i = 0; i < layers; ++i) turns.push_back((i + 1) % interval != 0);
  const Json* stored = config.find("no_rope_layers");
  if (!stored || stored->is_null()) return turns;
  const std::string where = cat(source, ": no_rope_layers");
  const auto& values = stored->as_array(where);
  if (values.size() != turns.size())
    throw InputError(cat(where, " has ", values.size(), " entries; num_hidden_layers is ", layers));
  for (std::size_t i = 0; i < turns.size(); ++i) turns[i] = values[i].as_integer(where) != 0;
  return turns;
}

DecoderConfig read_config(const Json& config, std::string_view source) {
  const ConfigReader reader(config, source);
  DecoderConfig c = reader.sizes();
  c.padding_token = reader.padding_token(c.vocabulary, 128004);
  reader.expect_text("hidden_act", "silu");
  c.tied_head = reader.boolean("tie_word_embeddings", true);
  c.qkv_bias = c.o_bias = reader.boolean("attention_bias", false);
  c.mlp_bias = reader.boolean("mlp_bias", false);
  const std::vector<bool> turns = turning_layers(config, source, c.layers);
  c.layer_traits.resize(turns.size());
  if (reader.boolean("use_sliding_window", false))
    c.layer_traits =
        reader.windows(c.layers, 0, [&](std::int64_t layer) { return !turns[std::size_t(layer)]; });
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (!turns[i]) c.layer_traits[i].rope = RopeUse::none;
  c.rope = reader.rope(2000000);
  return c;
}

}  // namespace

Architecture smollm3();
Architecture smollm3() {
  return {.hf_name = "SmolLM3ForCausalLM",
          .gguf_name = "smollm3",
          .gguf_pairs_qk_rows = true,
          .read_config = read_config,
          .module_name = llama_module_name};
}

}  // namespace elenchus
