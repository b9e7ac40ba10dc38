#include <array>

#include "base/error.h"
#include "base/file.h"
#include "models/architecture.h"

namespace elenchus {

// One line a family, each defined in the file of its name.
Architecture gemma();
Architecture gemma2();
Architecture gemma3();
Architecture gemma3_with_images();
Architecture llama();
Architecture mistral();
Architecture phi3();
Architecture qwen2();
Architecture qwen3();
Architecture smollm3();

namespace {

std::string known_names(std::string_view Architecture::*name) {
  std::string out;
  for (const Architecture& a : architectures())
    if (!(a.*name).empty()) out += (out.empty() ? "" : ", ") + std::string(a.*name);
  return out;
}

}  // namespace

std::string classifier_name(const Architecture& architecture) {
  const std::string_view name = architecture.hf_name;
  const std::size_t ending = name.rfind("For");
  expect(ending != name.npos, "an architecture of that ending");
  return std::string(name.substr(0, ending)) + "ForSequenceClassification";
}

std::span<const Architecture> architectures() {
  static const std::array all = {llama(),   gemma(), gemma2(), gemma3(), gemma3_with_images(),
                                 mistral(), phi3(),  qwen2(),  qwen3(),  smollm3()};
  return all;
}

const Architecture& architecture_of(const Json& config, std::string_view source) {
  const Json* names = config.find("architectures");
  if (!names || !names->is_array() || names->as_array(source).empty())
    throw InputError(cat(source, ": key \"architectures\" is missing or empty; expected one of: ",
                         known_names(&Architecture::hf_name)));
  const std::string& name = names->as_array(source)[0].as_string("architectures[0]");
  for (const Architecture& a : architectures())
    if (a.hf_name == name || classifier_name(a) == name) return a;
  throw InputError(
      cat(source, ": architecture ", printable(name),
          " is not known to this build; known: ", known_names(&Architecture::hf_name)));
}

const Architecture& architecture_of_gguf(std::string_view name, std::string_view source) {
  for (const Architecture& a : architectures())
    if (!name.empty() && a.gguf_name == name) return a;
  throw InputError(
      cat(source, ": general.architecture is \"", printable(name),
          "\", which this build does not know; known: ", known_names(&Architecture::gguf_name)));
}

std::string gguf_module_name(Slot slot, std::int64_t layer) {
  const std::string block = "blk." + std::to_string(layer) + ".";
  switch (slot) {
    case Slot::embedding:
      return "token_embd";
    case Slot::final_norm:
      return "output_norm";
    case Slot::head:
      return "output";
    case Slot::score:
      return "score";
    case Slot::attention_norm:
      return block + "attn_norm";
    case Slot::post_attention_norm:
      return block + "post_attention_norm";
    case Slot::mlp_norm:
      return block + "ffn_norm";
    case Slot::post_mlp_norm:
      return block + "post_ffw_norm";
    case Slot::q_norm:
      return block + "attn_q_norm";
    case Slot::k_norm:
      return block + "attn_k_norm";
    case Slot::q:
      return block + "attn_q";
    case Slot::k:
      return block + "attn_k";
    case Slot::v:
      return block + "attn_v";
    case Slot::o:
      return block + "attn_output";
    case Slot::gate:
      return block + "ffn_gate";
    case Slot::up:
      return block + "ffn_up";
    case Slot::down:
      return block + "ffn_down";
  }
  return {};
}

std::string llama_module_name(Slot slot, std::int64_t layer) {
  const std::string block = "model.layers." + std::to_string(layer) + ".";
  switch (slot) {
    case Slot::embedding:
      return "model.embed_tokens";
    case Slot::final_norm:
      return "model.norm";
    case Slot::head:
      return "lm_head";
    case Slot::score:
      return "score";
    case Slot::attention_norm:
      return block + "input_layernorm";
    case Slot::mlp_norm:
      return block + "post_attention_layernorm";
    case Slot::q_norm:
      return block + "self_attn.q_norm";
    case Slot::k_norm:
      return block + "self_attn.k_norm";
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
    case Slot::post_attention_norm:
    case Slot::post_mlp_norm:
      break;
  }
  return {};
}

std::vector<Slot> block_norms(const DecoderConfig& config) {
  if (!config.post_norms) return {Slot::attention_norm, Slot::mlp_norm};
  return {Slot::attention_norm, Slot::post_attention_norm, Slot::mlp_norm, Slot::post_mlp_norm};
}

}  // namespace elenchus
