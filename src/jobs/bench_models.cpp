#include "jobs/bench_models.h"

#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

/// config.json of each model, as published, cut down to what decides its shape.
constexpr std::pair<std::string_view, std::string_view> kModels[] = {
    {"gemma2-2b", R"({"architectures": ["Gemma2ForCausalLM"], "hidden_size": 2304,
      "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
      "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 256000,
      "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
      "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096,
      "query_pre_attn_scalar": 256, "hidden_activation": "gelu_pytorch_tanh",
      "hidden_act": "gelu_pytorch_tanh"})"},
    {"gemma2-9b", R"({"architectures": ["Gemma2ForCausalLM"], "hidden_size": 3584,
      "intermediate_size": 14336, "num_hidden_layers": 42, "num_attention_heads": 16,
      "num_key_value_heads": 8, "head_dim": 256, "vocab_size": 256000,
      "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
      "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096,
      "query_pre_attn_scalar": 256, "hidden_activation": "gelu_pytorch_tanh",
      "hidden_act": "gelu_pytorch_tanh"})"},
    {"llama3-8b", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
      "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
      "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": false,
      "hidden_act": "silu"})"},
    {"qwen3-8b", R"({"architectures": ["Qwen3ForCausalLM"], "hidden_size": 4096,
      "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
      "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
      "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
      "tie_word_embeddings": false, "attention_bias": false, "hidden_act": "silu"})"},
    {"smollm2-135m", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 576,
      "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
      "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192,
      "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "tie_word_embeddings": true,
      "hidden_act": "silu"})"}};

}  // namespace

std::string bench_model_names() {
  std::string names;
  for (const auto& [name, config] : kModels) names += cat(names.empty() ? "" : ", ", name);
  return names;
}

ModelIdentity bench_model(std::string_view name) {
  for (const auto& [known, text] : kModels) {
    if (known != name) continue;
    const Json config = Json::parse(text, known);
    const Architecture& architecture = architecture_of(config, known);
    return {&architecture, architecture.read_config(config, known)};
  }
  throw UserError(
      cat("--architecture: found ", printable(name), "; expected one of ", bench_model_names()));
}

}  // namespace elenchus
