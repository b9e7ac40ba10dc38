#include "jobs/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "jobs/recipe_keys.h"
#include "metrics/metric_config.h"

namespace elenchus {
namespace {

constexpr std::string_view kMinimal =
    "model: {model_name_or_path: m}\ndata: {train_file: t.json}\n";

Recipe parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_recipe(text, "/recipes/recipe.yaml", overrides);
}

/// A recipe with what is needed, and more lines.
Recipe with(const std::string& lines, const std::vector<std::string>& overrides = {}) {
  return parse(std::string(kMinimal) + lines, overrides);
}

std::string message_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse(text, overrides);
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::bad_recipe);
    return error.what();
  }
  return "accepted";
}

std::string message_with(const std::string& lines, const std::vector<std::string>& overrides = {}) {
  return message_of(std::string(kMinimal) + lines, overrides);
}

bool has_note(const Recipe& recipe, std::string_view part) {
  return std::ranges::any_of(
      recipe.notes, [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

constexpr std::string_view kFull = R"(model:
  model_name_or_path: models/gemma-2-2b-jpn-it   # a folder
  task_type: CAUSAL_LM
  num_labels: 3
  dtype: auto
  attn_implementation: auto
  device: auto
  device_map: auto
  max_memory: {0: 4GiB, 1: 4GiB, cpu: 24GiB}
quantization:
  load_in_4bit: true
  bnb_4bit_quant_type: nf4
  bnb_4bit_use_double_quant: true
  bnb_4bit_compute_dtype: float16
  bnb_4bit_quant_storage: uint8
lora:
  r: 16
  lora_alpha: 32
  target_modules: [q_proj, k_proj, v_proj, o_proj]
  lora_dropout: 0.1
  bias: none
  modules_to_save: []
  init_from: null
data:
  train_file: dialogues.json
  eval_file: null
  format: auto
  text_column: text
  label_column: label
  text_template: null
  train_fraction: 0.8
  max_eval_samples: 50
  max_length: 1024
  truncation: drop
  assistant_only_loss: true
  packing: true
  pad_to_multiple_of: 8
  sampling: random
  bad_rows: error
training:
  output_dir: model
  num_train_epochs: 30
  max_steps: -1
  per_device_train_batch_size: 2
  per_device_eval_batch_size: 1
  gradient_accumulation_steps: 8
  learning_rate: 8e-5
  weight_decay: 0.06
  warmup_ratio: 0.25
  lr_scheduler_type: cosine_with_restarts
  lr_scheduler_kwargs: {num_cycles: 1}
  optim: adamw_torch_fused
  max_grad_norm: 0.5
  fp16: true
  gradient_checkpointing: true
  eval_strategy: steps
  eval_steps: 20
  save_strategy: steps
  save_steps: 20
  save_total_limit: 2
  load_best_model_at_end: true
  metric_for_best_model: combined_score
  greater_is_better: null
  early_stopping_patience: null
  logging_strategy: steps
  logging_steps: 50
  report_to: []
  seed: 42
  class_weights: null
metrics:
  - style:
      name: socratic_style
      mode: teacher_forced
      sentence_separator: "。"
      parts:
        - {weight: 0.60, where: end, any: [かね, だろうか, ではないかね]}
        - {weight: 0.25, where: anywhere, any: [君は, 君が, 君の]}
  - combined:
      name: combined_score
      weights: {socratic_style: 0.7, eval_loss: 0.3}
)";

TEST(Recipe, EveryModelLoraAndDataKeyIsRead) {
  const Recipe recipe = parse(std::string(kFull));
  EXPECT_EQ(recipe.model.model_name_or_path, "/recipes/models/gemma-2-2b-jpn-it");
  EXPECT_EQ(recipe.model_as_written, "models/gemma-2-2b-jpn-it");
  EXPECT_EQ(recipe.model.num_labels, 3);
  EXPECT_EQ(recipe.model.dtype, ComputeType::automatic);
  EXPECT_EQ(recipe.model.max_memory,
            (std::map<std::string, std::string>{{"0", "4GiB"}, {"1", "4GiB"}, {"cpu", "24GiB"}}));
  EXPECT_TRUE(recipe.quantization.load_in_4bit);
  EXPECT_EQ(recipe.quantization.bnb_4bit_compute_dtype, ComputeType::float16);
  EXPECT_EQ(recipe.lora.r, 16);
  EXPECT_EQ(recipe.lora.lora_alpha, 32);
  EXPECT_EQ(recipe.lora.target_modules,
            (std::vector<std::string>{"q_proj", "k_proj", "v_proj", "o_proj"}));
  EXPECT_EQ(recipe.lora.lora_dropout, 0.1);
  EXPECT_EQ(recipe.lora.init_from, std::nullopt);
  EXPECT_EQ(recipe.data.train_file, std::vector<DataSource>{{"/recipes/dialogues.json"}});
  EXPECT_TRUE(recipe.data.eval_file.empty());
  EXPECT_EQ(recipe.data.train_fraction, 0.8);
  EXPECT_EQ(recipe.data.max_eval_samples, 50);
  EXPECT_EQ(recipe.data.max_length, 1024);
  EXPECT_TRUE(recipe.data.packing);
  EXPECT_EQ(recipe.data.pad_to_multiple_of, 8);
  EXPECT_TRUE(recipe.notes.empty());
}

TEST(Recipe, EveryTrainingKeyAndMetricIsRead) {
  const Recipe recipe = parse(std::string(kFull));
  const TrainingConfig& training = recipe.training;
  EXPECT_EQ(training.output_dir, "/recipes/model");
  EXPECT_EQ(training.num_train_epochs, 30);
  EXPECT_EQ(training.max_steps, -1);
  EXPECT_EQ(training.per_device_train_batch_size, 2);
  EXPECT_EQ(training.per_device_eval_batch_size, 1);
  EXPECT_EQ(training.gradient_accumulation_steps, 8);
  EXPECT_EQ(training.learning_rate, 8e-5);
  EXPECT_EQ(training.weight_decay, 0.06);
  EXPECT_EQ(training.warmup_ratio, 0.25);
  EXPECT_EQ(training.lr_scheduler_type, "cosine_with_restarts");
  EXPECT_EQ(training.lr_scheduler_kwargs.at("num_cycles"), 1);
  EXPECT_EQ(training.optim, "adamw_torch_fused");
  EXPECT_EQ(training.max_grad_norm, 0.5);
  EXPECT_TRUE(training.fp16);
  EXPECT_EQ(training.gradient_checkpointing, Recompute::on);
  EXPECT_EQ(training.eval_strategy, Strategy::steps);
  EXPECT_EQ(training.eval_steps, 20);
  EXPECT_EQ(training.save_steps, 20);
  EXPECT_EQ(training.save_total_limit, 2);
  EXPECT_TRUE(training.load_best_model_at_end);
  EXPECT_EQ(training.metric_for_best_model, "combined_score");
  EXPECT_EQ(training.greater_is_better, std::nullopt);
  EXPECT_EQ(training.logging_steps, 50);
  EXPECT_TRUE(training.class_weights.empty());
  const Json& style = recipe.metrics.as_array("")[0].at("style", "");
  EXPECT_EQ(style.at("sentence_separator", "").as_string(""), "。");
  const Json& part = style.at("parts", "").as_array("")[0];
  EXPECT_EQ(part.at("weight", "").as_number(""), 0.6);
  EXPECT_EQ(part.at("any", "").as_array("")[1].as_string(""), "だろうか");
}

TEST(Recipe, ResolvedYamlGivesTheSameRecipe) {
  const Recipe recipe =
      parse(std::string(kFull), {"data.text_template=Q: {q}\n\tA: \"{a}\" \x7f \xc2\x85 # no: yes",
                                 "lora.init_from=no", "model.device_map={model.norm: cuda:0}"});
  const std::string yaml = recipe_to_yaml(recipe);
  const Recipe again = parse_recipe(yaml, "/elsewhere/training_args.yaml", {});
  EXPECT_EQ(recipe_to_json(again), recipe_to_json(recipe)) << yaml;
  EXPECT_EQ(recipe_to_yaml(again), yaml);
  EXPECT_TRUE(again.notes.empty());
  EXPECT_EQ(again.lora.init_from, "/recipes/no");
}

TEST(Recipe, JsonIsReadToo) {
  const Recipe recipe = parse(
      "{\n\t\"model\": {\"model_name_or_path\": \"m\"},\n"
      "\t\"data\": {\"train_file\": [\"a.json\", \"b.json\"]}}");
  EXPECT_EQ(recipe.data.train_file,
            (std::vector<DataSource>{{"/recipes/a.json"}, {"/recipes/b.json"}}));
}

TEST(Recipe, FilesHaveWeights) {
  const Recipe recipe =
      parse("model: m\ntrain_file: [a.json, {path: b.json, weight: 0.5}]\neval_file: c.json");
  EXPECT_EQ(recipe.data.train_file,
            (std::vector<DataSource>{{"/recipes/a.json"}, {"/recipes/b.json", 0.5}}));
  EXPECT_NE(recipe_to_yaml(recipe).find("weight: 0.5"), std::string::npos);
  EXPECT_EQ(parse(recipe_to_yaml(recipe)).data.train_file, recipe.data.train_file);
  for (const char* weight : {"0", "-1", "1001", "many"})
    EXPECT_NE(
        message_of(std::string("model: m\ntrain_file: [{path: b.json, weight: ") + weight + "}]")
            .find("weight"),
        std::string::npos);
}

TEST(Recipe, NumbersAreReadAsWritten) {
  EXPECT_EQ(with("training: {learning_rate: 8e-5}").training.learning_rate, 8e-5);
  EXPECT_EQ(with("training: {learning_rate: \"1e-4\"}").training.learning_rate, 1e-4);
  EXPECT_EQ(with("training: {num_train_epochs: 2.5}").training.num_train_epochs, 2.5);
  EXPECT_EQ(with("lora: {r: 8.0}").lora.r, 8);
}

TEST(Recipe, UnknownKeysNameTheNearestOne) {
  EXPECT_EQ(message_with("training:\n  seed: 1\n  learning_rat: 1e-4\n"),
            "/recipes/recipe.yaml:5:3: training.learning_rat: unknown key; did you mean "
            "learning_rate?");
  EXPECT_EQ(message_with("lerning_rate: 1\n"),
            "/recipes/recipe.yaml:3:1: lerning_rate: unknown key; did you mean "
            "training.learning_rate?");
  EXPECT_EQ(message_with("quantisation: {}\n"),
            "/recipes/recipe.yaml:3:1: quantisation: unknown key; did you mean quantization?");
  EXPECT_EQ(message_with("lora: {zzzzzzzz: 1}\n"),
            "/recipes/recipe.yaml:3:8: lora.zzzzzzzz: unknown key; elenchus train --help lists the "
            "keys");
}

TEST(Recipe, WrongTypesAreNamedWithTheirPlace) {
  EXPECT_EQ(message_with("lora:\n  r: 8x\n"),
            "/recipes/recipe.yaml:4:6: lora.r: found \"8x\"; expected a whole number");
  EXPECT_EQ(message_with("lora:\n  r: [8]\n"),
            "/recipes/recipe.yaml:4:6: lora.r: found a list; expected a whole number");
  EXPECT_EQ(message_with("training:\n  eval_strategy: often\n"),
            "/recipes/recipe.yaml:4:18: training.eval_strategy: found \"often\"; expected no, "
            "steps, epoch or best");
  EXPECT_EQ(message_with("training:\n  fp16: maybe\n"),
            "/recipes/recipe.yaml:4:9: training.fp16: found \"maybe\"; expected true or false");
  EXPECT_EQ(message_with("lora: 8\n"),
            "/recipes/recipe.yaml:3:7: lora: found \"8\"; expected a map of keys and values");
}

TEST(Recipe, NumbersThatAreNotFiniteAreRefused) {
  for (const char* value : {"nan", "inf", ".nan", "-.inf", "1e999"}) {
    EXPECT_NE(message_with(std::string("training: {learning_rate: ") + value + "}")
                  .find("expected a finite number"),
              std::string::npos)
        << value;
    EXPECT_NE(message_with(std::string("metrics: [{x: {weight: ") + value + "}}]"), "accepted ")
        << value;
  }
  EXPECT_NE(message_with("metrics: [{x: {weight: .nan}}]").find("finite"), std::string::npos);
}

TEST(Recipe, NullKeepsTheDefault) {
  const Recipe recipe = with("training: {learning_rate: null, save_total_limit: 3, optim: }",
                             {"training.save_total_limit=null"});
  EXPECT_EQ(recipe.training.learning_rate, TrainingConfig{}.learning_rate);
  EXPECT_EQ(recipe.training.save_total_limit, std::nullopt);
}

TEST(Recipe, RepeatedKeysAreRefused) {
  EXPECT_EQ(message_with("lora:\n  r: 8\n  r: 16\n"),
            "/recipes/recipe.yaml:5:3: key r is given twice; keep one");
  EXPECT_EQ(message_with("lora:\n  r: 8\n  lora_rank: 16\n"),
            "/recipes/recipe.yaml:5:3: lora.lora_rank: the same setting as lora.r at "
            "/recipes/recipe.yaml:4:3; keep one");
}

TEST(Recipe, WhatIsNoRecipeIsSaidPlainly) {
  EXPECT_EQ(message_of(""),
            "/recipes/recipe.yaml: the recipe is empty; expected keys such as "
            "model: and data:");
  EXPECT_EQ(message_of("- a\n- b\n"),
            "/recipes/recipe.yaml:1:1: recipe: found a list; expected a map of sections (model:, "
            "data:, ...)");
  EXPECT_NE(message_of("model: [a\n").find("/recipes/recipe.yaml:2:1: not YAML"),
            std::string::npos);
  EXPECT_NE(message_of("a: 1\n---\nb: 2\n").find("second document"), std::string::npos);
  EXPECT_NE(message_of("model: !!python/object:os.system {}\n").find("tag"), std::string::npos);
  EXPECT_NE(message_of("model: \"\xff\"\n").find("UTF-8"), std::string::npos);
  EXPECT_NE(message_of(std::string(5000, '[')), "accepted");
  try {
    read_recipe("/nowhere/recipe.yaml", {});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::bad_recipe);
    EXPECT_NE(std::string(error.what()).find("/nowhere/recipe.yaml"), std::string::npos);
  }
}

TEST(Recipe, ExpandingAliasesAreStopped) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += (j ? ", " : "") + last;
    text += "]\n";
  }
  EXPECT_NE(message_of(text).find("more than 100000 values"), std::string::npos);
}

TEST(Recipe, RequiredKeysAreNamed) {
  EXPECT_EQ(message_of("data: {train_file: t}\n"),
            "/recipes/recipe.yaml: model.model_name_or_path: found nothing; expected a Hugging "
            "Face folder or a GGUF file");
  EXPECT_NE(message_of("model: {model_name_or_path: m}\n").find("data.train_file"),
            std::string::npos);
}

TEST(Recipe, OverridesReplaceValuesOfTheFile) {
  const Recipe recipe =
      with("lora: {lora_rank: 4, target_modules: [q_proj]}\n",
           {"lora.r=8", "training.learning_rate=1e-4", "lora.lora_r=9",
            "lora.target_modules=[up_proj, down_proj]", "seed=7",
            "data.text_template=Question: {question} # ", "training.bf16=true",
            "training.lr_scheduler_kwargs.num_cycles=2", "training.lr_scheduler_kwargs.power=3",
            "training.eval_strategy=no", "training.output_dir=runs/a"});
  EXPECT_EQ(recipe.lora.r, 9);
  EXPECT_EQ(recipe.training.learning_rate, 1e-4);
  EXPECT_EQ(recipe.lora.target_modules, (std::vector<std::string>{"up_proj", "down_proj"}));
  EXPECT_EQ(recipe.training.seed, 7);
  EXPECT_EQ(recipe.data.text_template, "Question: {question} # ");
  EXPECT_TRUE(recipe.training.bf16);
  EXPECT_EQ(recipe.training.lr_scheduler_kwargs,
            (std::map<std::string, double>{{"num_cycles", 2}, {"power", 3}}));
  EXPECT_EQ(recipe.training.output_dir, "/recipes/runs/a");
}

TEST(Recipe, WrongOverridesAreRefused) {
  EXPECT_EQ(message_with("", {"lora.r=8x"}),
            "command line: lora.r: found \"8x\"; expected a whole number");
  EXPECT_EQ(message_with("", {"lora.lora_alhpa=8"}),
            "command line: lora.lora_alhpa: unknown key; did you mean lora_alpha?");
  EXPECT_EQ(message_with("", {"lora.r"}), "command line: found lora.r; expected section.key=value");
  EXPECT_NE(message_with("", {"lora.r.x=8"}).find("found a map"), std::string::npos);
  EXPECT_NE(message_with("", {"metrics=3"}).find("expected a list"), std::string::npos);
}

TEST(Recipe, FlatKeysFindTheirSection) {
  const Recipe recipe = parse(
      "base_model: m\ntrain_file: t\nlearning_rate: 1e-4\nlora_r: 4\nmicro_batch_size: 3\n"
      "sequence_len: 77\nlr_scheduler: cosine\noptimizer: paged_adamw_8bit\nnum_epochs: 2\n");
  EXPECT_EQ(recipe.model.model_name_or_path, "/recipes/m");
  EXPECT_EQ(recipe.training.learning_rate, 1e-4);
  EXPECT_EQ(recipe.lora.r, 4);
  EXPECT_EQ(recipe.training.per_device_train_batch_size, 3);
  EXPECT_EQ(recipe.data.max_length, 77);
  EXPECT_EQ(recipe.training.lr_scheduler_type, "cosine");
  EXPECT_EQ(recipe.training.optim, "adamw_8bit");
  EXPECT_TRUE(has_note(recipe, "learning_rate -> training.learning_rate"));
  EXPECT_TRUE(has_note(recipe, "paged_adamw_8bit runs as"));
  EXPECT_EQ(parse("model: m\ntrain_file: t\niters: 9").training.max_steps, 9);
}

TEST(Recipe, KeysOfOtherToolsAreTranslated) {
  EXPECT_FALSE(with("train_on_inputs: true").data.assistant_only_loss);
  EXPECT_TRUE(with("mask_prompt: true").data.assistant_only_loss);
  EXPECT_TRUE(with("quantization_bit: 4\ndouble_quantization: true").quantization.load_in_4bit);
  EXPECT_FALSE(with("adapter: lora").quantization.load_in_4bit);
  EXPECT_EQ(with("lora_target_linear: true").lora.target_modules[0], "all-linear");
  EXPECT_EQ(with("lora_target: all").lora.target_modules[0], "all-linear");
  EXPECT_EQ(with("lora_target: q_proj,v_proj").lora.target_modules,
            (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(with("lora_target: '.*\\.(q|v)_proj{1,2}'").lora.target_modules[0],
            ".*\\.(q|v)_proj{1,2}");
  EXPECT_EQ(with("val_set_size: 0.1").data.train_fraction, 0.9);
  EXPECT_TRUE(with("precision: bf16").training.bf16);
  EXPECT_TRUE(with("train_sampling_strategy: group_by_length").data.sampling == Sampling::random);
  EXPECT_TRUE(has_note(with("group_by_length: true"), "group_by_length"));
  EXPECT_EQ(with("torch_dtype: torch.bfloat16").model.dtype, ComputeType::bfloat16);
  EXPECT_EQ(with("report_to: [wandb, tensorboard]").training.report_to,
            std::vector<std::string>{"tensorboard"});
  EXPECT_TRUE(has_note(with("report_to: wandb"), "nothing is sent to wandb"));
  EXPECT_TRUE(with("report_to: none").training.report_to.empty());
  const Recipe ignored = with(
      "training: {run_name: x, tf32: true, dataloader_num_workers: 4, push_to_hub: false,"
      " gradient_checkpointing_kwargs: {use_reentrant: false}}");
  EXPECT_TRUE(has_note(ignored, "training.run_name, training.dataloader_num_workers"));
}

TEST(Recipe, KeysThatCannotBeFollowedSayWhatToWrite) {
  EXPECT_NE(message_with("evals_per_epoch: 4").find("training.eval_steps"), std::string::npos);
  EXPECT_NE(message_with("val_set_size: 100").find("data.train_fraction"), std::string::npos);
  EXPECT_NE(message_with("load_in_8bit: true").find("load_in_4bit"), std::string::npos);
  EXPECT_NE(message_with("push_to_hub: true").find("push_to_hub: false"), std::string::npos);
  EXPECT_NE(message_with("train_on_inputs: true\nassistant_only_loss: true").find("keep one"),
            std::string::npos);
  EXPECT_NE(message_with("optim: sgd").find("adamw_torch_fused"), std::string::npos);
  EXPECT_NE(message_with("model: m2").find("given twice"), std::string::npos);
}

TEST(Recipe, GradientCheckpointingAndDeviceMapTakeTheirForms) {
  EXPECT_EQ(with("training: {gradient_checkpointing: no}").training.gradient_checkpointing,
            Recompute::off);
  EXPECT_EQ(with("training: {gradient_checkpointing: True}").training.gradient_checkpointing,
            Recompute::on);
  EXPECT_EQ(with("training: {gradient_checkpointing: auto}").training.gradient_checkpointing,
            Recompute::automatic);
  EXPECT_EQ(with("", {"model.device_map={model.layers.0: 0, \"\": cpu}"}).model.device_map,
            R"({"model.layers.0": 0, "": "cpu"})");
  EXPECT_EQ(with("task_type: SEQ_CLS\nclass_weights: [1, 2.5]").training.class_weights,
            (std::vector<std::string>{"1", "2.5"}));
}

TEST(Recipe, ResumeIsABooleanOrAFolder) {
  EXPECT_FALSE(resume_choice(with("")).has_value());
  EXPECT_FALSE(resume_choice(with("training: {resume_from_checkpoint: false}")).has_value());
  const auto newest = resume_choice(with("training: {resume_from_checkpoint: true}"));
  ASSERT_TRUE(newest.has_value());
  EXPECT_FALSE(newest->checkpoint.has_value());
  const auto one = resume_choice(with("training: {resume_from_checkpoint: out/checkpoint-5}"));
  EXPECT_EQ(one->checkpoint, "/recipes/out/checkpoint-5");
}

TEST(Recipe, ValuesOutOfRangeAreRefusedByName) {
  for (const char* assignment : {"lora.r=0",
                                 "lora.r=4097",
                                 "lora.lora_alpha=0",
                                 "lora.lora_dropout=1",
                                 "lora.bias=some",
                                 "lora.rank_pattern={q_proj: 0}",
                                 "lora.alpha_pattern={q_proj: -1}",
                                 "lora.loraplus_lr_ratio=0",
                                 "lora.exclude_modules=['']",
                                 "lora.modules_to_save=['']",
                                 "lora.ensure_weight_tying=true",
                                 "lora.layers_pattern=layers",
                                 "lora.target_modules=[]",
                                 "model.num_labels=1",
                                 "data.format=arena",
                                 "data.truncation=proportional",
                                 "data.swap_answers=true",
                                 "data.folds=5",
                                 "data.fold=1",
                                 "training.class_weights=[1, 2]",
                                 "model.device=gpu",
                                 "model.device_map=spread",
                                 "model.max_memory={0: lots}",
                                 "quantization.bnb_4bit_quant_type=fp4",
                                 "data.train_fraction=0",
                                 "data.train_fraction=1.1",
                                 "data.max_length=1",
                                 "data.bad_rows_limit=2",
                                 "training.max_steps=0",
                                 "training.num_train_epochs=0",
                                 "training.per_device_train_batch_size=0",
                                 "training.gradient_accumulation_steps=0",
                                 "training.learning_rate=-1",
                                 "training.adam_beta1=1",
                                 "training.adam_epsilon=0",
                                 "training.warmup_ratio=1.5",
                                 "training.warmup_steps=1.5",
                                 "training.eval_steps=0",
                                 "training.save_steps=2.5",
                                 "training.save_total_limit=0",
                                 "training.eval_strategy=best",
                                 "training.load_best_model_at_end=true",
                                 "training.early_stopping_patience=3",
                                 "training.metric_for_best_model=accuracy_of_dreams",
                                 "training.class_weights=[-1]",
                                 "training.label_smoothing_factor=1",
                                 "training.neftune_noise_alpha=5",
                                 "training.seed=-1"}) {
    const std::string key(assignment, std::string_view(assignment).find('='));
    EXPECT_NE(message_with("", {assignment}).find(key), std::string::npos)
        << assignment << " -> " << message_with("", {assignment});
  }
  EXPECT_NE(message_with("training: {fp16: true, bf16: true}").find("only one"), std::string::npos);
}

TEST(Recipe, TheOutputFolderMustBeNamed) {
  for (const char* nothing : {"training.output_dir=", "training.output_dir=null",
                              "training.output_dir=\" \"", "training.output_dir=''"})
    EXPECT_NE(message_with("", {nothing}).find("training.output_dir"), std::string::npos)
        << message_with("", {nothing});
  EXPECT_EQ(with("", {"training.output_dir=runs/a/"}).training.output_dir, "/recipes/runs/a/");
  EXPECT_EQ(with("").training.output_dir, "/recipes/trainer_output");
}

TEST(Recipe, AcceptedChangesAreThingsThatMayChange) {
  for (const char* known :
       {"training.num_train_epochs", "data", "data_fingerprint", "metrics", "lora.r"})
    EXPECT_EQ(with("", {cat("training.accept_changes=[", known, "]")}).training.accept_changes,
              std::vector<std::string>{known});
  for (const char* unknown : {"num_train_epochs", "training.num_train_epoch", "everything"})
    EXPECT_NE(message_with("", {cat("training.accept_changes=[", unknown, "]")})
                  .find("training.accept_changes"),
              std::string::npos)
        << unknown;
}

TEST(Recipe, TakesPeftsVariantsUnderItsNames) {
  const LoraConfig lora = parse(R"(
model: {model_name_or_path: m}
data: {train_file: rows.json}
lora:
  use_rslora: true
  peft_use_dora: true
  bias: lora_only
  exclude_modules: down_proj, o_proj
  rank_pattern: {q_proj: 4, ".*layers\\.1\\..*v_proj": 2}
  alpha_pattern: {q_proj: 2.5}
  loraplus_lr_ratio: 16
)")
                              .lora;
  EXPECT_TRUE(lora.use_rslora && lora.use_dora);
  EXPECT_EQ(lora.bias, LoraBias::lora_only);
  EXPECT_EQ(lora.exclude_modules, (std::vector<std::string>{"down_proj", "o_proj"}));
  EXPECT_EQ(lora.rank_pattern,
            (std::map<std::string, int>{{"q_proj", 4}, {".*layers\\.1\\..*v_proj", 2}}));
  EXPECT_EQ(lora.alpha_pattern, (std::map<std::string, double>{{"q_proj", 2.5}}));
  EXPECT_EQ(lora.loraplus_lr_ratio, 16);
}

TEST(Recipe, AClassifiersValuesAreCheckedToo) {
  const std::string base = "task_type: SEQ_CLS\nnum_labels: 3";
  EXPECT_EQ(with(base + "\nclass_weights: balanced").training.class_weights,
            std::vector<std::string>{"balanced"});
  EXPECT_EQ(with(base + "\nfolds: 5\nfold: 4\nmetric_for_best_model: log_loss").data.folds, 5);
  for (const char* assignment :
       {"training.class_weights=[1, 2]", "data.fold=0", "data.folds=1",
        "training.sample_prompts=[hello]", "training.metric_for_best_model=perplexity"}) {
    const std::string key(assignment, std::string_view(assignment).find('='));
    EXPECT_NE(message_with(base, {assignment}).find(key), std::string::npos)
        << assignment << " -> " << message_with(base, {assignment});
  }
  EXPECT_NE(message_with(base + "\nfolds: 5\nfold: 5").find("a part from 0 to 4"),
            std::string::npos);
  EXPECT_NE(message_with(base + "\nfolds: 5").find("data.fold"), std::string::npos);
}

TEST(Recipe, NoKeyHasTwoMeanings) {
  std::set<std::string> seen;
  for (const RecipeSection& section : list_recipe_sections()) {
    for (const FieldInfo& field : section.fields) {
      EXPECT_TRUE(seen.insert(field.name).second) << field.name;
      for (const std::string& alias : field.aliases) {
        EXPECT_TRUE(seen.insert(alias).second) << alias;
      }
      EXPECT_FALSE(field.help.empty()) << field.name;
    }
  }
}

TEST(Recipe, TheExampleOfTheMetricsPageWorks) {
  const std::string page = read_text_file(ELENCHUS_TEST_FOLDER "/../docs/METRICS.md");
  constexpr std::string_view kBegin = "```yaml\n";
  const std::size_t begin = page.find(kBegin) + kBegin.size();
  const Recipe recipe =
      with(page.substr(begin, page.find("```", begin) - begin), {"training.eval_strategy=epoch"});
  EXPECT_EQ(make_metrics(recipe.metrics).metrics.size(), 3u);
}

TEST(Recipe, HelpShowsKeysAndDefaults) {
  const std::string help = recipe_help();
  EXPECT_NE(help.find("lora.r (16): rank: rows of A and columns of B\n"), std::string::npos);
  EXPECT_NE(help.find("training.eval_strategy (no): "), std::string::npos) << help;
  EXPECT_NE(help.find("lora.target_modules ([all-linear]): "), std::string::npos);
}

TEST(Recipe, TrainingConfigHasTheFourParts) {
  Recipe recipe = parse(std::string(kFull));
  const Json config = training_config_json(recipe);
  EXPECT_EQ(config.at("model_name", "").as_string(""), "models/gemma-2-2b-jpn-it");
  EXPECT_EQ(config.at("training_args", "").at("learning_rate", "").as_number(""), 8e-5);
  EXPECT_EQ(config.at("lora_config", "").at("r", "").as_integer(""), 16);
  EXPECT_TRUE(config.at("bnb_config", "").at("load_in_4bit", "").as_boolean(""));
  recipe.quantization.load_in_4bit = false;
  EXPECT_TRUE(training_config_json(recipe).at("bnb_config", "").is_null());
}

}  // namespace
}  // namespace elenchus
