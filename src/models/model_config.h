#pragma once
// What a recipe says of the model, its quantisation and its adapters.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace elenchus {

enum class TaskType { CAUSAL_LM, SEQ_CLS };
template <>
struct EnumNames<TaskType> {
  static constexpr std::string_view names[] = {"CAUSAL_LM", "SEQ_CLS"};
};

/// The type activations and products are computed in. `automatic`: bf16 or f16 as the recipe's
/// training section says, else f32 on the CPU and bf16 on a GPU that has it.
enum class ComputeType { automatic, float32, float16, bfloat16 };
template <>
struct EnumNames<ComputeType> {
  static constexpr std::string_view names[] = {"auto", "float32", "float16", "bfloat16"};
};

struct ModelConfig {
  static constexpr bool kHasFields = true;
  std::string model_name_or_path;
  TaskType task_type = TaskType::CAUSAL_LM;
  int num_labels = 2;
  ComputeType dtype = ComputeType::automatic;
  std::string attn_implementation = "auto";
  std::string device = "auto";
  std::string device_map = "auto";  ///< a map {module: device} is one line of JSON
  std::map<std::string, std::string> max_memory;
  int threads = 0;

  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"model_name_or_path",
            "a Hugging Face folder, or one GGUF file",
            {"base_model", "model"}},
      s.model_name_or_path);
    v(Field{"task_type", "CAUSAL_LM, or SEQ_CLS for a classifier"}, s.task_type);
    v(Field{"num_labels", "classes of a classifier"}, s.num_labels);
    v(Field{"dtype", "compute type", {"torch_dtype"}}, s.dtype);
    v(Field{"attn_implementation", "accepted; every choice computes the model's true attention"},
      s.attn_implementation);
    v(Field{"device", "auto, cpu, cuda or cuda:N"}, s.device);
    v(Field{"device_map",
            "auto, balanced, balanced_low_0, sequential, none, or {module: device}",
            {"quantization_device_map"},
            true},
      s.device_map);
    v(Field{"max_memory", "memory that each device may use: {0: 4GiB, cpu: 24GiB}"}, s.max_memory);
    v(Field{"threads", "CPU threads; 0 takes every core"}, s.threads);
  }
};

struct QuantizationConfig {
  static constexpr bool kHasFields = true;
  bool load_in_4bit = true;
  std::string bnb_4bit_quant_type = "nf4";
  bool bnb_4bit_use_double_quant = true;
  ComputeType bnb_4bit_compute_dtype = ComputeType::automatic;
  std::string bnb_4bit_quant_storage = "uint8";

  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"load_in_4bit", "keep the frozen linear layers in NF4"}, s.load_in_4bit);
    v(Field{"bnb_4bit_quant_type", "nf4"}, s.bnb_4bit_quant_type);
    v(Field{"bnb_4bit_use_double_quant",
            "quantise the block scales too",
            {"double_quantization", "use_bnb_nested_quant"}},
      s.bnb_4bit_use_double_quant);
    v(Field{"bnb_4bit_compute_dtype", "compute type of the products"}, s.bnb_4bit_compute_dtype);
    v(Field{"bnb_4bit_quant_storage", "accepted: uint8"}, s.bnb_4bit_quant_storage);
  }
};

enum class LoraBias { none, all, lora_only };
template <>
struct EnumNames<LoraBias> {
  static constexpr std::string_view names[] = {"none", "all", "lora_only"};
};

struct LoraConfig {
  static constexpr bool kHasFields = true;
  int r = 16;
  double lora_alpha = 32;
  /// Names of projections; or the one entry "all-linear"; or one entry that is a regular
  /// expression.
  std::vector<std::string> target_modules = {"all-linear"};
  std::vector<std::string> exclude_modules;  ///< written as target_modules
  std::vector<int> layers_to_transform;      ///< the only blocks that are adapted; empty: all
  std::vector<std::string> layers_pattern;   ///< what the number of a block comes after in names
  /// r and lora_alpha of modules whose name, or its end after a dot, a key matches whole as a
  /// regular expression.
  std::map<std::string, int> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  double lora_dropout = 0;
  LoraBias bias = LoraBias::none;
  std::vector<std::string> modules_to_save;
  bool ensure_weight_tying = false;
  bool use_rslora = false;
  bool use_dora = false;
  double loraplus_lr_ratio = 1;
  std::optional<std::string> init_from;
  bool exists = false;  ///< read from an adapter's folder, not asked for by a recipe

  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"r", "rank: rows of A and columns of B", {"lora_r", "lora_rank"}}, s.r);
    v(Field{"lora_alpha", "the adapter is scaled by lora_alpha / r"}, s.lora_alpha);
    v(Field{"target_modules",
            "projections to adapt: a list, all-linear, or a regular expression",
            {"lora_target_modules", "lora_target"}},
      s.target_modules);
    v(Field{"exclude_modules", "projections to leave out: a list, or a regular expression"},
      s.exclude_modules);
    v(Field{"layers_to_transform", "the only blocks to adapt: a number, or a list"},
      s.layers_to_transform);
    v(Field{"layers_pattern", "of layers_to_transform: what stands before a block's number"},
      s.layers_pattern);
    v(Field{"rank_pattern", "other ranks by module: {name or regular expression: r}"},
      s.rank_pattern);
    v(Field{"alpha_pattern", "other lora_alpha by module: {name or regular expression: alpha}"},
      s.alpha_pattern);
    v(Field{"lora_dropout", "dropout on the adapter's input"}, s.lora_dropout);
    v(Field{"bias", "which biases of the model to train: none, all, lora_only"}, s.bias);
    v(Field{"modules_to_save",
            "modules trained and saved whole: embed_tokens, lm_head",
            {"lora_modules_to_save"}},
      s.modules_to_save);
    v(Field{"ensure_weight_tying", "of modules_to_save: keep a tied head and embedding one matrix"},
      s.ensure_weight_tying);
    v(Field{"use_rslora", "scale by lora_alpha / sqrt(r)", {"peft_use_rslora"}}, s.use_rslora);
    v(Field{"use_dora",
            "train the length of each row of the weights apart from its direction (DoRA)",
            {"peft_use_dora"}},
      s.use_dora);
    v(Field{"loraplus_lr_ratio", "learning rate of B over that of A (LoRA+)"}, s.loraplus_lr_ratio);
    v(Field{"init_from", "an adapter folder to start from"}, s.init_from);
  }
};

}  // namespace elenchus
