#include "jobs/foreign_keys.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/error.h"
#include "base/field_visitors.h"
#include "base/file.h"

namespace elenchus {
namespace {

/// Keys on which nothing here depends.
constexpr std::string_view kIgnored[] = {
    "auto_find_batch_size",
    "ddp_bucket_cap_mb",
    "ddp_find_unused_parameters",
    "ddp_timeout",
    "debug",
    "disable_tqdm",
    "do_eval",
    "do_predict",
    "do_train",
    "flash_attention",
    "flash_attn",
    "full_determinism",
    "gradient_checkpointing_kwargs",
    "hub_model_id",
    "hub_strategy",
    "include_num_input_tokens_seen",
    "include_tokens_per_second",
    "inference_mode",
    "is_llama_derived_model",
    "is_mistral_derived_model",
    "local_rank",
    "log_level",
    "log_level_replica",
    "logging_nan_inf_filter",
    "low_cpu_mem_usage",
    "model_type",
    "overwrite_cache",
    "padding_free",
    "peft_type",
    "plot_loss",
    "preprocessing_num_workers",
    "preprocessing_batch_size",
    "quantization_method",
    "remove_unused_columns",
    "run_name",
    "save_safetensors",
    "sdp_attention",
    "strict",
    "tokenizer_type",
    "torch_compile",
    "torch_empty_cache_steps",
    "trust_remote_code",
    "use_cache",
    "use_fast_tokenizer",
    "use_reentrant",
    "wandb_name",
    "wandb_project",
    "xformers_attention",
};

/// Keys that would change what is computed. They are left out where their value asks for nothing.
struct Refusal {
  std::string_view key;
  std::string_view advice;
};
constexpr Refusal kRefused[] = {
    {"chat_template", "give a template file in data.chat_template_path"},
    {"dataset", "list the files in data.train_file"},
    {"datasets", "list the files in data.train_file"},
    {"dataset_dir", "list the files in data.train_file"},
    {"deepspeed", "only adapters are trained, so nothing needs to be sharded"},
    {"eos_token", "the model's own end-of-turn token is used"},
    {"fan_in_fan_out", "leave it out"},
    {"fsdp", "only adapters are trained, so nothing needs to be sharded"},
    {"fsdp_config", "only adapters are trained, so nothing needs to be sharded"},
    {"id2label", "class names come from data.label_column"},
    {"layers_pattern", "every layer is adapted"},
    {"layers_to_transform", "every layer is adapted"},
    {"load_in_8bit", "write quantization.load_in_4bit: true or false"},
    {"optim_args", "set training.adam_beta1, adam_beta2 and adam_epsilon"},
    {"optim_target_modules", "AdamW trains every adapter"},
    {"push_to_hub", "write push_to_hub: false and upload the output folder yourself"},
    {"special_tokens", "the model's own special tokens are used"},
    {"tokenizer_name", "the tokenizer in the model's folder is used"},
};

bool flag(const ConfigNode& value, std::string_view key) {
  bool result = false;
  if (!value.is_null()) read_value(value, key, result);
  return result;
}

double number(const ConfigNode& value, std::string_view key) {
  double result;
  read_value(value, key, result);
  return result;
}

/// Whether a value asks for nothing: null, false, none, "" or an empty list or map.
bool asks_for_nothing(const ConfigNode& value) {
  if (value.is_list()) return value.items.empty();
  if (value.is_map()) return value.members.empty();
  bool boolean;
  const bool is_false = is_yaml_boolean(value.text, &boolean) && !boolean;
  return value.is_null() || value.text.empty() || value.text == "none" || is_false;
}

[[noreturn]] void refuse(const ConfigNode& value, std::string_view key, std::string_view advice) {
  throw UserError(
      cat(value.place, ": ", key, ": found ", value.found(), ", which is not supported; ", advice));
}

using Rule = void (*)(std::string_view key, const ConfigNode&, const ForeignKeyEffects&);

struct Translation {
  std::string_view key;
  Rule rule;
};

void set_four_bits(std::string_view key, const ConfigNode& value,
                   const ForeignKeyEffects& effects) {
  if (value.text != "4") refuse(value, key, "write 4, or leave it out");
  effects.set("quantization", "load_in_4bit", "true");
}

void set_adapter_kind(std::string_view key, const ConfigNode& value,
                      const ForeignKeyEffects& effects) {
  if (value.text != "qlora" && value.text != "lora") refuse(value, key, "write qlora or lora");
  effects.set("quantization", "load_in_4bit", value.text == "qlora" ? "true" : "false");
}

void set_all_linear(std::string_view key, const ConfigNode& value,
                    const ForeignKeyEffects& effects) {
  if (flag(value, key)) effects.set("lora", "target_modules", "all-linear");
}

void set_loss_on_prompt(std::string_view key, const ConfigNode& value,
                        const ForeignKeyEffects& effects) {
  effects.set("data", "assistant_only_loss", flag(value, key) ? "false" : "true");
}

void set_loss_on_answer(std::string_view key, const ConfigNode& value,
                        const ForeignKeyEffects& effects) {
  effects.set("data", "assistant_only_loss", flag(value, key) ? "true" : "false");
}

void set_validation_share(std::string_view key, const ConfigNode& value,
                          const ForeignKeyEffects& effects) {
  const double share = number(value, key);
  if (share < 0 || share >= 1) {
    refuse(value, key,
           "write the share of rows to train on as data.train_fraction, above 0 and "
           "at most 1");
  }
  // Decimal fractions stay decimal: 0.1 gives 0.9, not 0.90000000000000002.
  effects.set("data", "train_fraction",
              Json(static_cast<double>(1e12 - share * 1e12) / 1e12).dump());
}

void advise_on_evaluations(std::string_view key, const ConfigNode& value,
                           const ForeignKeyEffects&) {
  refuse(value, key,
         "write training.eval_strategy: steps and training.eval_steps: a number of steps, or the "
         "share of all steps between evaluations (0.1: ten evaluations)");
}

void advise_on_saves(std::string_view key, const ConfigNode& value, const ForeignKeyEffects&) {
  refuse(value, key,
         "write training.save_strategy: steps and training.save_steps: a number of steps, or the "
         "share of all steps between checkpoints (0.1: ten checkpoints)");
}

void note_grouping(std::string_view key, const ConfigNode& value,
                   const ForeignKeyEffects& effects) {
  if (flag(value, key)) {
    effects.note(cat(key,
                     ": rows lie end to end without padding, so there is nothing to gain from "
                     "grouping them by length; the order is random"));
  }
}

void set_precision(std::string_view key, const ConfigNode& value,
                   const ForeignKeyEffects& effects) {
  const std::string& text = value.text;
  if (text == "bf16" || text == "bfloat16") {
    effects.set("training", "bf16", "true");
  } else if (text == "fp16" || text == "float16") {
    effects.set("training", "fp16", "true");
  } else if (text == "fp32" || text == "float32") {
    effects.set("model", "dtype", "float32");
  } else {
    refuse(value, key, "write bf16, fp16 or fp32");
  }
}

void check_revision(std::string_view key, const ConfigNode& value, const ForeignKeyEffects&) {
  if (value.text != "main") refuse(value, key, "give the folder of that revision as the model");
}

void set_cpu(std::string_view key, const ConfigNode& value, const ForeignKeyEffects& effects) {
  if (flag(value, key)) effects.set("model", "device", "cpu");
}

void check_stage(std::string_view key, const ConfigNode& value, const ForeignKeyEffects&) {
  if (value.text != "sft") refuse(value, key, "supervised fine-tuning (sft) is what this does");
}

void check_finetuning_type(std::string_view key, const ConfigNode& value,
                           const ForeignKeyEffects&) {
  if (value.text != "lora") refuse(value, key, "LoRA adapters (lora) are what is trained");
}

void check_packing_strategy(std::string_view key, const ConfigNode& value,
                            const ForeignKeyEffects& effects) {
  if (value.text != "bfd") {
    effects.note(cat(key, ": rows are never cut to fill a sequence, as with bfd"));
  }
}

void note_template(std::string_view key, const ConfigNode&, const ForeignKeyEffects& effects) {
  effects.note(cat(key,
                   ": the chat template in the model's folder is used; data.chat_template_path "
                   "replaces it"));
}

void check_initial_weights(std::string_view key, const ConfigNode& value,
                           const ForeignKeyEffects&) {
  if (!flag(value, key)) refuse(value, key, "write true, or leave it out");
}

constexpr Translation kTranslations[] = {
    {"adapter", set_adapter_kind},
    {"completion_only_loss", set_loss_on_answer},
    {"evals_per_epoch", advise_on_evaluations},
    {"finetuning_type", check_finetuning_type},
    {"group_by_length", note_grouping},
    {"init_lora_weights", check_initial_weights},
    {"lora_target_linear", set_all_linear},
    {"mask_prompt", set_loss_on_answer},
    {"model_revision", check_revision},
    {"no_cuda", set_cpu},
    {"packing_strategy", check_packing_strategy},
    {"precision", set_precision},
    {"quantization_bit", set_four_bits},
    {"revision", check_revision},
    {"saves_per_epoch", advise_on_saves},
    {"stage", check_stage},
    {"template", note_template},
    {"train_on_inputs", set_loss_on_prompt},
    {"train_on_prompt", set_loss_on_prompt},
    {"use_cpu", set_cpu},
    {"val_set_size", set_validation_share},
    {"val_size", set_validation_share},
};

template <class Table>
auto find_key(const Table& table, std::string_view key) {
  return std::ranges::find_if(table, [&](const auto& entry) { return entry.key == key; });
}

bool is_ignored(std::string_view key) {
  return std::ranges::find(kIgnored, key) != std::end(kIgnored) || key.starts_with("dataloader_");
}

void rename_value(ConfigNode& value,
                  std::initializer_list<std::pair<const char*, const char*>> map) {
  if (!value.is_scalar()) return;
  for (const auto& [theirs, ours] : map) {
    if (value.text == theirs) {
      value.text = ours;
      return;
    }
  }
}

void canonicalize_optimizer(ConfigNode& value, const std::function<void(std::string)>& note) {
  constexpr std::string_view kSame[] = {"adamw_torch", "adamw_torch_fused", "adamw_8bit",
                                        "adamw_bnb_8bit"};
  constexpr std::string_view kNear[] = {"adamw",
                                        "adamw_hf",
                                        "adamw_apex_fused",
                                        "adamw_torch_xla",
                                        "adamw_torch_4bit",
                                        "adamw_torch_8bit",
                                        "adamw_torch_npu_fused",
                                        "paged_adamw",
                                        "paged_adamw_8bit",
                                        "paged_adamw_32bit"};
  if (!value.is_scalar() || std::ranges::find(kSame, value.text) != std::end(kSame)) return;
  if (std::ranges::find(kNear, value.text) == std::end(kNear)) {
    throw_wrong_value(value, "training.optim",
                      "adamw_torch_fused or adamw_8bit (AdamW is the optimizer that is supported)");
  }
  const bool narrow = value.text.ends_with("8bit");
  const std::string ours = narrow ? "adamw_8bit" : "adamw_torch_fused";
  note(cat("training.optim: ", value.text, " runs as ", ours, ": AdamW with its state in ",
           narrow ? "blocks of 8 bits" : "float32",
           value.text.starts_with("paged") ? ", which is not paged" : ""));
  value.text = ours;
}

void canonicalize_targets(ConfigNode& value) {
  if (!value.is_scalar()) return;
  if (value.text == "all") value.text = "all-linear";
  const auto is_name_list = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == ',' ||
           c == ' ';
  };
  if (value.text.find(',') == std::string::npos || !std::ranges::all_of(value.text, is_name_list)) {
    return;
  }
  ConfigNode list = ConfigNode::null(value.place);
  list.kind = ConfigNode::Kind::list;
  std::string name;
  for (const char c : value.text + ",") {
    if (c == ',') {
      list.items.push_back(ConfigNode::scalar(std::exchange(name, {}), value.place));
    } else if (c != ' ') {
      name += c;
    }
  }
  value = std::move(list);
}

/// Those of transformers that are services or need Python.
constexpr std::string_view kTrackers[] = {"azure_ml", "clearml", "codecarbon", "comet_ml",
                                          "dagshub",  "dvclive", "flyte",      "mlflow",
                                          "neptune",  "swanlab", "trackio",    "wandb"};

void canonicalize_reporters(ConfigNode& value, const std::function<void(std::string)>& note) {
  std::vector<std::string> names;
  if (!value.is_null()) read_value(value, "training.report_to", names);
  std::erase(names, "none");
  value.items.clear();
  value.kind = ConfigNode::Kind::list;
  for (const std::string& name : names) {
    if (name == "tensorboard" || name == "all") {
      value.items.push_back(ConfigNode::scalar("tensorboard", value.place));
      continue;
    }
    if (std::ranges::find(kTrackers, name) == std::end(kTrackers))
      throw_wrong_value(value, "training.report_to", "tensorboard, all or none");
    note(cat("training.report_to: nothing is sent to ", printable(name),
             "; trainer_state.json, trainer_log.jsonl and training_progress/ hold the numbers"));
  }
}

}  // namespace

bool is_foreign_key(std::string_view key) {
  return is_ignored(key) || find_key(kRefused, key) != std::end(kRefused) ||
         find_key(kTranslations, key) != std::end(kTranslations);
}

bool apply_foreign_key(std::string_view key, const ConfigNode& value,
                       const ForeignKeyEffects& effects) {
  if (is_ignored(key)) {
    effects.ignore();
    return true;
  }
  if (const auto refusal = find_key(kRefused, key); refusal != std::end(kRefused)) {
    if (!asks_for_nothing(value)) refuse(value, key, refusal->advice);
    return true;
  }
  const auto translation = find_key(kTranslations, key);
  if (translation == std::end(kTranslations)) return false;
  if (!value.is_null()) translation->rule(key, value, effects);
  return true;
}

void canonicalize_value(std::string_view key, ConfigNode& value,
                        const std::function<void(std::string)>& note) {
  if (key == "model.dtype" || key == "quantization.bnb_4bit_compute_dtype") {
    if (value.text.starts_with("torch.")) value.text.erase(0, 6);
    rename_value(value, {{"fp32", "float32"},
                         {"float", "float32"},
                         {"fp16", "float16"},
                         {"half", "float16"},
                         {"bf16", "bfloat16"}});
  } else if (key == "training.optim") {
    canonicalize_optimizer(value, note);
  } else if (key == "training.lr_scheduler_type") {
    std::ranges::transform(value.text, value.text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  } else if (key == "training.report_to") {
    canonicalize_reporters(value, note);
  } else if (key == "lora.target_modules" || key == "lora.exclude_modules") {
    canonicalize_targets(value);
  } else if (key == "data.sampling" && value.text == "group_by_length") {
    note(
        "data.sampling: group_by_length runs as random; rows lie end to end without padding, so "
        "there is nothing to gain from grouping them by length");
    value.text = "random";
  } else if ((key == "training.bf16" || key == "training.fp16") && value.text == "auto") {
    value = ConfigNode::null(value.place);  // model.dtype: auto chooses
  }
}

}  // namespace elenchus
