// What read_config makes of config.json, family by family.

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"
#include "models/adapter.h"
#include "models/architecture.h"
#include "models/rope_frequencies.h"

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

TEST(Gemma3Config, HasItsPatternOfWindowsEachWithItsOwnRope) {
  const DecoderConfig c = read("Gemma3ForCausalLM", R"("sliding_window_pattern": 3)");
  EXPECT_EQ(windows(c), (Windows{4096, 4096, 0, 4096}));
  EXPECT_EQ(c.layer(1).rope, RopeUse::local);
  EXPECT_EQ(c.layer(2).rope, RopeUse::global);
  EXPECT_EQ(c.rope.theta, 1e6);
  EXPECT_EQ(c.local_rope.theta, 1e4);
  EXPECT_EQ(c.logit_soft_cap, 0);
}

TEST(Gemma3Config, ReadsRopeInTheOldWordsAndTheNew) {
  for (const char* words : {R"("rope_theta": 5e5, "rope_local_base_freq": 2e4,
                               "rope_scaling": {"rope_type": "linear", "factor": 8})",
                            R"("rope_parameters": {
                                 "full_attention": {"rope_type": "linear", "factor": 8, "rope_theta": 5e5},
                                 "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}})"}) {
    const DecoderConfig c = read("Gemma3ForCausalLM", words);
    EXPECT_EQ(c.rope.theta, 5e5);
    EXPECT_EQ(c.rope.kind, RopeConfig::Kind::linear);
    EXPECT_EQ(c.rope.factor, 8);
    EXPECT_EQ(c.local_rope.theta, 2e4);
    EXPECT_EQ(c.local_rope.kind, RopeConfig::Kind::plain);
  }
}

TEST(Smollm3Config, LeavesLayersUnturned) {
  const auto turned = [](const DecoderConfig& c) {
    std::vector<bool> out;
    for (std::int64_t i = 0; i < c.layers; ++i) out.push_back(c.layer(i).rope == RopeUse::global);
    return out;
  };
  EXPECT_EQ(turned(read("SmolLM3ForCausalLM")), (std::vector<bool>{true, true, true, false}));
  EXPECT_EQ(turned(read("SmolLM3ForCausalLM", R"("no_rope_layers": [0, 1, 0, 1])")),
            (std::vector<bool>{false, true, false, true}));
  EXPECT_EQ(refusal("SmolLM3ForCausalLM", R"("no_rope_layers": [1])"),
            "config.json: no_rope_layers has 1 entries; num_hidden_layers is 4");
}

TEST(Phi3Config, FusesProjections) {
  const DecoderConfig c = read("Phi3ForCausalLM", R"("sliding_window": 7)");
  EXPECT_EQ(windows(c), (Windows{7, 7, 7, 7}));
  EXPECT_EQ(windows(read("Phi3ForCausalLM")), (Windows{0, 0, 0, 0}));
  EXPECT_EQ(projection_shape(c, Slot::q)[0], (c.heads + 2 * c.kv_heads) * c.head_dim);
  EXPECT_EQ(projection_shape(c, Slot::gate)[0], 2 * c.mlp_width);
  for (const Slot slot : {Slot::k, Slot::v, Slot::up}) EXPECT_FALSE(has_projection(c, slot));
}

TEST(Phi3Config, ReadsPartialAndLongRotation) {
  EXPECT_EQ(read("Phi3ForCausalLM").rotary_dim, 12);
  EXPECT_EQ(read("Phi3ForCausalLM", R"("partial_rotary_factor": 0.5)").rotary_dim, 6);
  EXPECT_EQ(read("Phi3ForCausalLM", R"("rotary_dim": 4)").rotary_dim, 4);
  const std::string factors = R"("short_factor": [1, 2], "long_factor": [3, 4]})";
  for (const char* type : {"longrope", "su"}) {
    const DecoderConfig c =
        read("Phi3ForCausalLM", cat(R"("max_position_embeddings": 64, "partial_rotary_factor": 0.4,
                                     "original_max_position_embeddings": 16,
                                     "rope_scaling": {"type": ")",
                                    type, "\", ", factors));
    EXPECT_EQ(c.rotary_dim, 4);
    EXPECT_EQ(c.rope.kind, RopeConfig::Kind::longrope);
    EXPECT_EQ(c.rope.original_positions, 16);
    EXPECT_EQ(c.rope.factor, 4);
    EXPECT_EQ(c.rope.short_factors, (std::vector<float>{1, 2}));
    EXPECT_EQ(c.rope.long_factors, (std::vector<float>{3, 4}));
  }
}

TEST(Phi3Config, RefusesRotationThatDoesNotFit) {
  const auto expect_said = [](const char* architecture, const char* keys, const char* what) {
    EXPECT_NE(refusal(architecture, keys).find(what), std::string::npos)
        << refusal(architecture, keys);
  };
  expect_said("Phi3ForCausalLM", R"("partial_rotary_factor": 0.75)", "expected an even number");
  expect_said("Phi3ForCausalLM", R"("partial_rotary_factor": 1.5)", "expected an even number");
  expect_said("Phi3ForCausalLM", R"("rope_scaling": {"type": "yarn", "factor": 4})",
              "expected rope_type default or longrope");
  expect_said("Phi3ForCausalLM",
              R"("rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1, 2]})",
              "expected 6");
  expect_said("Phi3ForCausalLM",
              R"("rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [-1]})",
              "expected numbers above 0");
  expect_said("Phi3ForCausalLM", R"("rope_scaling": {"type": "longrope", "short_factor": [1]})",
              "long_factor");
  expect_said("Phi3ForCausalLM",
              R"("original_max_position_embeddings": 1,
                 "rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]})",
              "expected at least 2");
  expect_said("LlamaForCausalLM", R"("partial_rotary_factor": 0.5)", "turn whole heads");
  expect_said("LlamaForCausalLM",
              R"("rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]})",
              "belongs to Phi models");
}

TEST(RopeTables, AreTransformersInBothWords) {
  const std::filesystem::path folder = std::filesystem::path(ELENCHUS_TEST_FOLDER) / "golden/rope";
  const SafetensorsFile tables(folder / "tables.safetensors");
  const Json configs = Json::parse(read_text_file(folder / "configs.json"), "configs.json");
  for (const auto& [name, config] : configs.as_object("configs.json")) {
    const DecoderConfig c = architecture_of(config, name).read_config(config, name);
    const RopeTables found = rope_tables(c.rope, c.rotary_dim, 40);
    for (const auto& [part, values] : {std::pair{".cosine", found.cosine}, {".sine", found.sine}}) {
      std::vector<float> wanted(values.size());
      tables.read_f32(tables.at(name + part), 0, wanted);
      // Angles reach 39; transformers' frequencies are f32 powers, a few units off.
      for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_NEAR(values[i], wanted[i], 1e-5) << name << part << " " << i;
    }
  }
}

}  // namespace
}  // namespace elenchus
