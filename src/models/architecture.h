#pragma once
// What is special about one model family.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "models/decoder_config.h"

namespace elenchus {

/// The places of a decoder that hold a weight. In models with fused projections q stands for q, k
/// and v in one, gate for gate and up.
enum class Slot {
  embedding,
  final_norm,
  head,
  score,  ///< a classifier's head
  attention_norm,
  post_attention_norm,
  mlp_norm,
  post_mlp_norm,
  q_norm,
  k_norm,
  q,
  k,
  v,
  o,
  gate,
  up,
  down
};

/// The name that GGUF files of most families give a slot's weight: "blk.0.attn_q".
std::string gguf_module_name(Slot slot, std::int64_t layer);

/// One family, stateless. To add one: a file with a value of this type and a line in catalogue.cpp.
struct Architecture {
  /// config.json "architectures": "LlamaForCausalLM". The same name with
  /// ForSequenceClassification for its end is the family's classifier.
  std::string_view hf_name;
  std::string_view gguf_name;  ///< general.architecture: "llama"; empty: no files of its own
  std::string_view model_type = gguf_name;  ///< config.json "model_type"
  /// GGUF files of this family store the rows of q and k of a head as pairs (i, i + D/2), side by
  /// side.
  bool gguf_pairs_qk_rows = false;
  /// Hugging Face files of this family store norm weights less this; GGUF files store them whole.
  float hf_norm_offset = 0;
  /// From config.json, or what gguf_config.h makes of a GGUF file's metadata. InputError names the
  /// key.
  DecoderConfig (*read_config)(const Json& config, std::string_view source) = nullptr;
  /// Adds to what gguf_config.h makes of a GGUF file what llama.cpp knows without the file; may be
  /// null.
  void (*complete_gguf)(Json& config, std::string_view source) = nullptr;
  /// The module that holds a weight, as transformers and PEFT name it:
  /// "model.layers.0.self_attn.q_proj".
  std::string (*module_name)(Slot slot, std::int64_t layer) = nullptr;
  /// The same in Hugging Face files of older versions; null: no other.
  std::string (*old_module_name)(Slot slot, std::int64_t layer) = nullptr;
  /// What the family's files hold beside the text model, for messages: "the image encoder". Its
  /// modules may have names that end as the text model's do. Empty: nothing.
  std::string_view left_out = {};
  /// module_name in GGUF files.
  std::string (*gguf_module)(Slot slot, std::int64_t layer) = gguf_module_name;
};

/// Every family this build knows.
std::span<const Architecture> architectures();
/// The family of a config.json. InputError: not known; the message lists those that are.
const Architecture& architecture_of(const Json& config, std::string_view source);
/// transformers' class of the family's classifiers: "LlamaForSequenceClassification".
std::string classifier_name(const Architecture& architecture);
/// The family of a GGUF file, by general.architecture. InputError as above.
const Architecture& architecture_of_gguf(std::string_view name, std::string_view source);

/// The name that Llama and most families after it give a slot: "model.layers.0.self_attn.q_proj".
/// Empty for the norms after branches, whose names differ.
std::string llama_module_name(Slot slot, std::int64_t layer);
/// The norms of one block's rows, [C] each.
std::vector<Slot> block_norms(const DecoderConfig& config);

}  // namespace elenchus
