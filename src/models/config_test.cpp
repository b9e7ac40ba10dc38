// What read_config makes of config.json, family by family.

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "models/architecture.h"

namespace elenchus {
namespace {

/// The smallest config.json that every family reads, with `more` keys in front.
Json config_of(const std::string& more) {
  return Json::parse(cat("{", more, more.empty() ? "" : ", ",
                         R"("hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 4,
                            "num_attention_heads": 4, "vocab_size": 130})"),
                     "config.json");
}

DecoderConfig read(const std::string& architecture, const std::string& more = "") {
  const Json config = config_of(
      cat(R"("architectures": [")", architecture, R"("])", more.empty() ? "" : ", ", more));
  return architecture_of(config, "config.json").read_config(config, "config.json");
}

std::vector<std::int64_t> windows(const DecoderConfig& config) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < config.layers; ++i) out.push_back(config.layer(i).window);
  return out;
}

/// What reading it throws.
std::string refusal(const std::string& architecture, const std::string& more) {
  try {
    read(architecture, more);
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

using Windows = std::vector<std::int64_t>;

TEST(Gemma2Config, HasTransformersDefaults) {
  const DecoderConfig c = read("Gemma2ForCausalLM");
  EXPECT_EQ(windows(c), (Windows{4096, 0, 4096, 0}));
  EXPECT_EQ(c.attention_scale, 1.0 / 16);
  EXPECT_EQ(c.attention_soft_cap, 50);
  EXPECT_EQ(c.logit_soft_cap, 30);
  EXPECT_DOUBLE_EQ(c.embedding_scale, std::sqrt(48.0));
  EXPECT_TRUE(c.tied_head);
  EXPECT_TRUE(c.post_norms);
  EXPECT_EQ(c.activation, ops::Activation::gelu_tanh);
}

TEST(Gemma2Config, ReadsWhatIsSetAndNullAsNone) {
  const DecoderConfig c =
      read("Gemma2ForCausalLM", R"("query_pre_attn_scalar": 144, "sliding_window": 7,
           "attn_logit_softcapping": null, "final_logit_softcapping": 5,
           "layer_types": ["full_attention", "full_attention", "sliding_attention",
                           "full_attention"])");
  EXPECT_EQ(windows(c), (Windows{0, 0, 7, 0}));
  EXPECT_EQ(c.attention_scale, 1.0 / 12);
  EXPECT_EQ(c.attention_soft_cap, 0);
  EXPECT_EQ(c.logit_soft_cap, 5);
  EXPECT_EQ(windows(read("Gemma2ForCausalLM", R"("sliding_window": null)")), (Windows{0, 0, 0, 0}));
}

TEST(Gemma2Config, RefusesWhatItWouldComputeWrongly) {
  EXPECT_EQ(refusal("Gemma2ForCausalLM", R"("layer_types": ["full_attention"])"),
            "config.json: layer_types has 1 entries; num_hidden_layers is 4");
  EXPECT_NE(refusal("Gemma2ForCausalLM", R"("layer_types": ["a", "a", "a", "a"])")
                .find("layer_types[0] is \"a\"; expected sliding_attention or full_attention"),
            std::string::npos);
  EXPECT_NE(
      refusal("Gemma2ForCausalLM", R"("hidden_activation": "silu")").find("gelu_pytorch_tanh"),
      std::string::npos);
  EXPECT_NE(refusal("Gemma2ForCausalLM", R"("sliding_window": -1)").find("sliding_window is -1"),
            std::string::npos);
  EXPECT_NE(refusal("Gemma2ForCausalLM", R"("use_bidirectional_attention": true)")
                .find("use_bidirectional_attention"),
            std::string::npos);
}

TEST(Gemma2Config, TakesTheScoresScaleOfGgufFilesFromTheSizes) {
  const auto scale = [](std::int64_t layers) {
    Json config = config_of(R"("head_dim": 8)");
    config.set("num_hidden_layers", layers);
    architecture_of_gguf("gemma2", "file").complete_gguf(config, "file");
    return config.at("query_pre_attn_scalar", "file").as_integer("file");
  };
  EXPECT_EQ(scale(26), 8);
  EXPECT_EQ(scale(42), 8);
  EXPECT_EQ(scale(46), 48 / 4);  // 27B
}

TEST(Qwen2Config, HasWindowsOnlyWhereTheyAreUsed) {
  EXPECT_EQ(windows(read("Qwen2ForCausalLM", R"("sliding_window": 7)")), (Windows{0, 0, 0, 0}));
  EXPECT_EQ(windows(read("Qwen3ForCausalLM", R"("use_sliding_window": true, "sliding_window": 7,
                                                "max_window_layers": 2)")),
            (Windows{0, 0, 7, 7}));
}

TEST(MistralConfig, HasAWindowUnlessItIsNull) {
  EXPECT_EQ(windows(read("MistralForCausalLM")), (Windows{4096, 4096, 4096, 4096}));
  EXPECT_EQ(windows(read("MistralForCausalLM", R"("sliding_window": null)")),
            (Windows{0, 0, 0, 0}));
}

TEST(GemmaConfig, TakesTheFirstFilesGeluForTheTanhForm) {
  EXPECT_EQ(read("GemmaForCausalLM", R"("hidden_act": "gelu")").activation,
            ops::Activation::gelu_tanh);
  EXPECT_NE(refusal("GemmaForCausalLM", R"("hidden_act": "relu")").find("gelu_pytorch_tanh"),
            std::string::npos);
}

}  // namespace
}  // namespace elenchus
