#include "io/peft_adapter.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

AdapterConfig example() {
  AdapterConfig config;
  config.base_model_name_or_path = "google/gemma-2-2b-jpn-it";
  config.r = 16;
  config.lora_alpha = 32;
  config.lora_dropout = 0.1;
  config.target_modules = {"q_proj", "v_proj"};
  config.rank_pattern = {{"layers.0.self_attn.q_proj", 8}};
  config.alpha_pattern = {{"v_proj", 2.5}};
  config.exclude_modules = {"layers.0.self_attn.v_proj"};
  return config;
}

std::string error_of(const std::string& text) {
  try {
    (void)parse_adapter_config(Json::parse(text, "f"), "f");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(PeftAdapter, ReadsBackWhatItWrote) {
  const TemporaryFolder folder;
  for (AdapterConfig config : {example(), AdapterConfig()}) {
    write_file_atomically(folder / kAdapterConfigFile, adapter_config_json(config));
    EXPECT_EQ(read_adapter_config(folder.path()), config);
  }
  AdapterConfig pattern = example();
  pattern.target_modules.clear();
  pattern.target_pattern = ".*_proj";
  pattern.revision = "main";
  pattern.use_rslora = true;
  pattern.use_dora = true;
  pattern.exclude_modules.clear();
  pattern.exclude_pattern = ".*k_proj";
  pattern.modules_to_save = {"lm_head"};
  pattern.ensure_weight_tying = true;
  pattern.layers_to_transform = {0, 3};
  pattern.layers_pattern = {"layers"};
  EXPECT_EQ(parse_adapter_config(Json::parse(adapter_config_json(pattern), "f"), "f"), pattern);
}

TEST(PeftAdapter, WritesSortedKeysTwoSpacesALevel) {
  const std::string text = adapter_config_json(example());
  EXPECT_TRUE(text.starts_with(
      "{\n  \"alpha_pattern\": {\n    \"v_proj\": 2.5\n  },\n  \"auto_mapping\": null,\n"));
  EXPECT_TRUE(text.ends_with("  \"use_rslora\": false\n}\n"));
  EXPECT_NE(text.find("\"lora_alpha\": 32,"), std::string::npos);
  EXPECT_NE(text.find("\"target_modules\": [\n    \"q_proj\",\n    \"v_proj\"\n  ],"),
            std::string::npos);
  EXPECT_NE(text.find("\"modules_to_save\": null,"), std::string::npos);
}

TEST(PeftAdapter, NamesTheHeadsOfAClassifier) {
  AdapterConfig config = example();
  config.task_type = "SEQ_CLS";
  const AdapterConfig read =
      parse_adapter_config(Json::parse(adapter_config_json(config), "f"), "f");
  EXPECT_EQ(read.modules_to_save, (std::vector<std::string>{"classifier", "score"}));
}

TEST(PeftAdapter, AcceptsTheKeysOfOtherVersions) {
  EXPECT_EQ(
      error_of(
          R"({"peft_type": "LORA", "r": 4, "init_lora_weights": "gaussian", "some_new_key": {"a": 1},
                         "target_modules": ["q_proj"], "layer_replication": null, "target_parameters": []})"),
      "accepted");
}

TEST(PeftAdapter, RefusesWhatItCannotCompute) {
  const std::pair<std::string, std::string> bad[] = {
      {R"([])", "an object"},
      {R"({"r": 4})", "peft_type"},
      {R"({"peft_type": "LOHA", "r": 4})", "expected 'LORA'"},
      {R"({"peft_type": "LORA"})", "'r'"},
      {R"({"peft_type": "LORA", "r": 0})", "1 to 4096"},
      {R"({"peft_type": "LORA", "r": 4097})", "1 to 4096"},
      {R"({"peft_type": "LORA", "r": 4.5})", "an integer"},
      {R"({"peft_type": "LORA", "r": 4, "lora_alpha": "x"})", "lora_alpha"},
      {R"({"peft_type": "LORA", "r": 4, "lora_dropout": 1})", "lora_dropout"},
      {R"({"peft_type": "LORA", "r": 4, "bias": "some"})", "bias"},
      {R"({"peft_type": "LORA", "r": 4, "use_dora": 1})", "use_dora"},
      {R"({"peft_type": "LORA", "r": 4, "layers_to_transform": [-1]})", "layers_to_transform"},
      {R"({"peft_type": "LORA", "r": 4, "layers_to_transform": ["0"]})", "layers_to_transform"},
      {R"({"peft_type": "LORA", "r": 4, "layers_pattern": 3})", "layers_pattern"},
      {R"({"peft_type": "LORA", "r": 4, "exclude_modules": 3})", "exclude_modules"},
      {R"({"peft_type": "LORA", "r": 4, "lora_bias": true})", "lora_bias"},
      {R"({"peft_type": "LORA", "r": 4, "init_lora_weights": "pissa"})", "pissa"},
      {R"({"peft_type": "LORA", "r": 4, "layer_replication": [[0, 2]]})", "layer_replication"},
      {R"({"peft_type": "LORA", "r": 4, "target_modules": [1]})", "target_modules"},
      {R"({"peft_type": "LORA", "r": 4, "rank_pattern": {"a": 0}})", "rank_pattern"},
      {R"({"peft_type": "LORA", "r": 4, "alpha_pattern": {"a": null}})", "alpha_pattern"}};
  for (const auto& [text, part] : bad)
    EXPECT_NE(error_of(text).find(part), std::string::npos) << error_of(text);
}

TEST(PeftAdapter, SaysThatTheFolderHoldsNone) {
  const TemporaryFolder folder;
  EXPECT_THROW((void)read_adapter_config(folder.path()), InputError);
  EXPECT_THROW((void)open_adapter_weights(folder.path()), InputError);
}

TEST(PeftAdapter, WritesAModelCard) {
  EXPECT_TRUE(adapter_model_card(example()).starts_with(
      "---\nbase_model: google/gemma-2-2b-jpn-it\nlibrary_name: peft\n"));
  AdapterConfig odd = example();
  odd.base_model_name_or_path = "a: b\n---";
  EXPECT_NE(adapter_model_card(odd).find("base_model: \"a: b\\n---\"\n"), std::string::npos);
}

TEST(PeftAdapter, NamesTensorsAsPeftDoes) {
  EXPECT_EQ(peft_tensor_name("model.layers.3.self_attn.q_proj", "lora_A.weight"),
            "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight");
}

}  // namespace
}  // namespace elenchus
