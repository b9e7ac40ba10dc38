#include "jobs/recipe_checks.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/field_visitors.h"
#include "base/file.h"
#include "jobs/device_choice.h"
#include "metrics/metric_config.h"

namespace elenchus {
namespace {

bool is_whole(double value) { return value == std::floor(value); }

/// A number of steps, or a share of all steps.
bool is_step_count(double value) { return value > 0 && (value < 1 || is_whole(value)); }

bool is_device(std::string_view text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return true;
  constexpr std::string_view kPrefix = "cuda:";
  if (!text.starts_with(kPrefix)) return false;
  text.remove_prefix(kPrefix.size());
  return !text.empty() && text.size() <= 3 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// "4GiB", "500 MB", "1e9".
bool is_positive_number(std::string_view text) {
  double number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(number) &&
         number > 0;
}

class Checker {
 public:
  Checker(const Recipe& recipe, const ConfigNode& tree) : recipe_(recipe), tree_(tree) {}

  void model() const;
  void quantization() const;
  void lora() const;
  void data() const;
  void classified_data() const;
  void optimization() const;
  void schedule_of_events() const;
  void best_model() const;
  void metrics() const;

 private:
  /// `key` is "section.key".
  void require(bool ok, std::string_view key, std::string_view expected) const {
    if (ok) return;
    const std::size_t dot = key.find('.');
    const ConfigNode* const section = tree_.find(key.substr(0, dot));
    const ConfigNode* const node =
        section && dot != key.npos ? section->find(key.substr(dot + 1)) : section;
    const std::string place = printable(recipe_.file.native(), 512);
    throw_wrong_value(node ? *node : ConfigNode::null(place), key, expected);
  }
  void require_between(double value, double low, double high, std::string_view key) const {
    require(value >= low && value <= high, key, cat("a number from ", low, " to ", high));
  }

  /// Neither blank nor nothing, which is what an empty shell variable leaves.
  bool names_a_folder() const;

  const Recipe& recipe_;
  const ConfigNode& tree_;
};

bool Checker::names_a_folder() const {
  const ConfigNode* const section = tree_.find("training");
  const ConfigNode* const node = section ? section->find("output_dir") : nullptr;
  return !node || (!node->is_null() && node->text.find_first_not_of(" \t") != std::string::npos);
}

/// Whether a checkpoint's identity has something of that name: a recipe's key or section, or one of
/// what is recorded beside them.
bool is_change(std::string_view name) {
  constexpr std::string_view kOthers[] = {
      "num_labels",       "data_fingerprint",       "eval_data_fingerprint",
      "init_from_sha256", "base_model_fingerprint", "device",
      "compute_type"};
  if (std::ranges::find(kOthers, name) != std::end(kOthers)) return true;
  const Json recipe = recipe_to_json(Recipe());
  const std::size_t dot = name.find('.');
  const Json* const section = recipe.find(name.substr(0, dot));
  return section && (dot == name.npos || !section->is_object() ||
                     section->find(name.substr(dot + 1, name.find('.', dot + 1) - dot - 1)));
}

void Checker::model() const {
  const ModelConfig& model = recipe_.model;
  require(!model.model_name_or_path.empty(), "model.model_name_or_path",
          "a Hugging Face folder or a GGUF file");
  require_between(model.num_labels, 2, 65536, "model.num_labels");
  require(is_device(model.device), "model.device", "auto, cpu, cuda or cuda:N");
  constexpr std::string_view kMaps[] = {"auto", "balanced", "balanced_low_0", "sequential", "none"};
  const bool map_known = std::ranges::find(kMaps, model.device_map) != std::end(kMaps) ||
                         model.device_map.starts_with('{') || is_device(model.device_map);
  require(map_known, "model.device_map",
          "auto, balanced, balanced_low_0, sequential, none, or a map {module: device}");
  for (const auto& [device, size] : model.max_memory) {
    const bool device_known =
        device == "cpu" || (device != "auto" && is_device(device)) || is_device("cuda:" + device);
    require(device_known && memory_size(size), "model.max_memory",
            cat("devices and sizes such as {0: 4GiB, cpu: 24GiB}; found ", printable(device), ": ",
                printable(size)));
  }
  require_between(model.threads, 0, 1024, "model.threads");
}

void Checker::quantization() const {
  const QuantizationConfig& quantization = recipe_.quantization;
  if (!quantization.load_in_4bit) return;
  require(quantization.bnb_4bit_quant_type == "nf4", "quantization.bnb_4bit_quant_type",
          "nf4 (the data type that is supported)");
  require(quantization.bnb_4bit_quant_storage == "uint8", "quantization.bnb_4bit_quant_storage",
          "uint8 (the storage that is supported; it does not change any value)");
}

void Checker::lora() const {
  const LoraConfig& lora = recipe_.lora;
  require_between(lora.r, 1, 4096, "lora.r");
  require(lora.lora_alpha > 0 && lora.lora_alpha <= 1e6, "lora.lora_alpha",
          "a number above 0 and at most 1000000");
  require(lora.lora_dropout >= 0 && lora.lora_dropout < 1, "lora.lora_dropout",
          "a number from 0 to below 1");
  require(std::ranges::none_of(lora.modules_to_save, &std::string::empty), "lora.modules_to_save",
          "a list of modules, such as [embed_tokens, lm_head]");
  require(!lora.ensure_weight_tying || !lora.modules_to_save.empty(), "lora.ensure_weight_tying",
          "lora.modules_to_save beside it, with embed_tokens or lm_head");
  require(lora.layers_pattern.empty() || !lora.layers_to_transform.empty(), "lora.layers_pattern",
          "lora.layers_to_transform beside it");
  for (const auto& [name, rank] : lora.rank_pattern)
    require(rank >= 1 && rank <= 4096, "lora.rank_pattern",
            cat("ranks from 1 to 4096; found ", printable(name), ": ", rank));
  for (const auto& [name, alpha] : lora.alpha_pattern)
    require(alpha > 0 && alpha <= 1e6, "lora.alpha_pattern",
            cat("numbers above 0 and at most 1000000; found ", printable(name), ": ", alpha));
  require(lora.loraplus_lr_ratio > 0 && lora.loraplus_lr_ratio <= 1e6, "lora.loraplus_lr_ratio",
          "a number above 0 and at most 1000000");
  require(std::ranges::none_of(lora.exclude_modules, &std::string::empty), "lora.exclude_modules",
          "a list of modules, or a regular expression");
  const bool has_targets = !lora.target_modules.empty() &&
                           std::ranges::none_of(lora.target_modules, &std::string::empty);
  require(has_targets, "lora.target_modules",
          "a list of modules, all-linear, or a regular expression");
}

void Checker::data() const {
  const DataConfig& data = recipe_.data;
  const bool has_files =
      !data.train_file.empty() &&
      std::ranges::none_of(data.train_file, &std::string::empty, &DataSource::path);
  require(has_files, "data.train_file", "a file of rows, or a list of files");
  require(std::ranges::none_of(data.eval_file, &std::string::empty), "data.eval_file",
          "a file of rows, a list of files, or null");
  require(data.train_fraction > 0 && data.train_fraction <= 1, "data.train_fraction",
          "a number above 0 and at most 1");
  require(!data.mask_history || data.assistant_only_loss, "data.mask_history",
          "false where data.assistant_only_loss is false, which trains on every token");
  require_between(data.max_eval_samples.value_or(1), 1, 1e9, "data.max_eval_samples");
  require_between(data.max_length, 2, 1 << 20, "data.max_length");
  require_between(data.pad_to_multiple_of.value_or(1), 1, 65536, "data.pad_to_multiple_of");
  require_between(data.bad_rows_limit, 0, 1, "data.bad_rows_limit");
  require(data.data_seed.value_or(0) >= 0, "data.data_seed", "a whole number, 0 or above");
  classified_data();
}

/// The keys of data that only classifiers have.
void Checker::classified_data() const {
  const DataConfig& data = recipe_.data;
  const bool classifier = recipe_.model.task_type == TaskType::SEQ_CLS;
  constexpr std::string_view kOnlyClassifiers =
      "another value, or model.task_type: SEQ_CLS, for it is meant for classifiers";
  require(classifier || (data.format != "arena" && data.format != "classification"), "data.format",
          kOnlyClassifiers);
  require(classifier || data.truncation != Truncation::proportional, "data.truncation",
          kOnlyClassifiers);
  require(classifier || !data.swap_answers, "data.swap_answers", kOnlyClassifiers);
  require(classifier || !data.folds, "data.folds", kOnlyClassifiers);
  require_between(data.folds.value_or(2), 2, 1e6, "data.folds");
  require(data.folds || !data.fold, "data.fold", "data.folds beside it, the number of parts");
  require(!data.folds || (data.fold && *data.fold >= 0 && *data.fold < *data.folds), "data.fold",
          cat("a part from 0 to ", data.folds.value_or(2) - 1));
}

void Checker::optimization() const {
  const TrainingConfig& training = recipe_.training;
  require(names_a_folder(), "training.output_dir", "a folder (without the key: trainer_output)");
  require(
      std::ranges::all_of(training.accept_changes, is_change), "training.accept_changes",
      "what a checkpoint's refusal lists: keys such as training.num_train_epochs, or a section");
  require(training.max_steps == -1 || training.max_steps >= 1, "training.max_steps",
          "-1 (by epochs), or at least 1");
  require(training.num_train_epochs > 0 && training.num_train_epochs <= 1e6,
          "training.num_train_epochs", "a number above 0 and at most 1000000");
  require_between(training.per_device_train_batch_size, 1, 65536,
                  "training.per_device_train_batch_size");
  require_between(training.per_device_eval_batch_size, 1, 65536,
                  "training.per_device_eval_batch_size");
  require_between(training.gradient_accumulation_steps, 1, 1e6,
                  "training.gradient_accumulation_steps");
  require_between(training.learning_rate, 0, 1000, "training.learning_rate");
  require_between(training.weight_decay, 0, 1000, "training.weight_decay");
  constexpr std::string_view kBeta = "a number from 0 to below 1";
  require(training.adam_beta1 >= 0 && training.adam_beta1 < 1, "training.adam_beta1", kBeta);
  require(training.adam_beta2 >= 0 && training.adam_beta2 < 1, "training.adam_beta2", kBeta);
  require(training.adam_epsilon > 0 && training.adam_epsilon <= 1, "training.adam_epsilon",
          "a number above 0 and at most 1");
  require_between(training.max_grad_norm, 0, 1e9, "training.max_grad_norm");
  const bool warmup_ok = training.warmup_steps == 0 || is_step_count(training.warmup_steps);
  require(warmup_ok, "training.warmup_steps",
          "a whole number of steps, or a share of all steps below 1");
  require_between(training.warmup_ratio, 0, 1, "training.warmup_ratio");
  require(!(training.fp16 && training.bf16), "training.fp16",
          "only one of training.fp16 and training.bf16 to be true");
  require(training.label_smoothing_factor >= 0 && training.label_smoothing_factor < 1,
          "training.label_smoothing_factor", "a number from 0 to below 1");
  require(training.neftune_noise_alpha == 0, "training.neftune_noise_alpha",
          "0 (noise on embeddings is not supported)");
  require(training.seed >= 0, "training.seed", "a whole number, 0 or above");
  const std::vector<std::string>& weights = training.class_weights;
  const bool balanced = weights.size() == 1 && weights[0] == "balanced";
  require(balanced || std::ranges::all_of(weights, is_positive_number), "training.class_weights",
          "a list of numbers above 0, or balanced");
  const bool classifier = recipe_.model.task_type == TaskType::SEQ_CLS;
  require(classifier || weights.empty(), "training.class_weights",
          "null, or model.task_type: SEQ_CLS");
  require(balanced || weights.empty() || int(weights.size()) == recipe_.model.num_labels,
          "training.class_weights",
          cat("a weight for each of model.num_labels: ", recipe_.model.num_labels, " classes"));
  require(!classifier || training.sample_prompts.empty(), "training.sample_prompts",
          "none: a classifier gives no replies");
  require_between(training.sample_max_new_tokens, 1, 65536, "training.sample_max_new_tokens");
}

void Checker::schedule_of_events() const {
  const TrainingConfig& training = recipe_.training;
  constexpr std::string_view kSteps = "a whole number of steps, or a share of all steps below 1";
  require(training.eval_strategy != Strategy::best, "training.eval_strategy", "no, steps or epoch");
  require(training.logging_strategy != Strategy::best, "training.logging_strategy",
          "no, steps or epoch");
  require(is_step_count(training.eval_steps.value_or(1)), "training.eval_steps", kSteps);
  require(is_step_count(training.save_steps), "training.save_steps", kSteps);
  require(is_step_count(training.logging_steps), "training.logging_steps", kSteps);
  require_between(training.eval_delay, 0, 1e12, "training.eval_delay");
  require_between(training.save_total_limit.value_or(1), 1, 1e9, "training.save_total_limit");
  require_between(training.early_stopping_patience.value_or(1), 1, 1e9,
                  "training.early_stopping_patience");
  require_between(training.early_stopping_threshold, 0, 1e9, "training.early_stopping_threshold");
}

void Checker::best_model() const {
  const TrainingConfig& training = recipe_.training;
  const bool evaluates = training.eval_strategy != Strategy::no;
  constexpr std::string_view kNeedsEvaluation =
      "training.eval_strategy: steps or epoch beside it, so that there is a metric";
  require(evaluates || !training.load_best_model_at_end, "training.load_best_model_at_end",
          kNeedsEvaluation);
  require(evaluates || !training.early_stopping_patience, "training.early_stopping_patience",
          kNeedsEvaluation);
  require(evaluates || training.save_strategy != Strategy::best, "training.save_strategy",
          kNeedsEvaluation);
  std::string_view wanted = training.metric_for_best_model;
  if (wanted.starts_with("eval_")) wanted.remove_prefix(5);
  std::vector<std::string_view> known = {"loss", "perplexity", "mean_token_accuracy"};
  if (recipe_.model.task_type == TaskType::SEQ_CLS)
    known = {"loss", "accuracy", "balanced_accuracy", "log_loss", "macro_f1", "ece"};
  for (const Json& metric : recipe_.metrics.as_array("metrics")) {
    if (metric.is_string()) {
      known.push_back(metric.as_string("metrics"));
      continue;
    }
    const auto& [kind, settings] = metric.as_object("metrics").front();
    const Json* const name = settings.find("name");
    known.push_back(name && name->is_string() ? name->as_string("name") : kind);
  }
  std::ranges::sort(known);
  known.erase(std::ranges::unique(known).begin(), known.end());
  std::string names;
  for (const std::string_view name : known) names += cat(names.empty() ? "" : ", ", name);
  require(std::ranges::find(known, wanted) != known.end(), "training.metric_for_best_model",
          cat("a metric of this recipe: ", names));
}

void Checker::metrics() const {
  for (const Json& metric : recipe_.metrics.as_array("metrics")) {
    const bool one_key = metric.is_object() && metric.as_object("metrics").size() == 1;
    require(one_key || metric.is_string(), "metrics",
            "a list of names of metrics, or of {KIND: {name: ..., ...}}");
  }
  const bool classes = recipe_.model.task_type == TaskType::SEQ_CLS;
  try {
    make_metrics(recipe_.metrics, "metrics", classes ? MetricTask::classes : MetricTask::language);
  } catch (const UserError& error) {
    const ConfigNode* const node = tree_.find("metrics");
    throw UserError(cat(node ? node->place : recipe_.file.string(), ": ", error.what()));
  }
}

}  // namespace

void check_recipe(const Recipe& recipe, const ConfigNode& tree) {
  const Checker checker(recipe, tree);
  checker.model();
  checker.quantization();
  checker.lora();
  checker.data();
  checker.optimization();
  checker.schedule_of_events();
  checker.metrics();
  checker.best_model();
}

}  // namespace elenchus
