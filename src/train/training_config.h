#pragma once
// What a recipe says of the training loop. Names and meanings are transformers' TrainingArguments.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace elenchus {

enum class Strategy { no, steps, epoch, best };
template <>
struct EnumNames<Strategy> {
  static constexpr std::string_view names[] = {"no", "steps", "epoch", "best"};
};
enum class Recompute { off, on, automatic };
template <>
struct EnumNames<Recompute> {
  static constexpr std::string_view names[] = {"false", "true", "auto"};
};

struct TrainingConfig {
  static constexpr bool kHasFields = true;
  std::string output_dir = "trainer_output";
  std::optional<std::string> resume_from_checkpoint;  ///< "true", or a checkpoint folder
  std::vector<std::string> accept_changes;
  double num_train_epochs = 3;
  std::int64_t max_steps = -1;
  int per_device_train_batch_size = 8;
  int per_device_eval_batch_size = 8;
  int gradient_accumulation_steps = 1;
  double learning_rate = 2e-4;
  double weight_decay = 0;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  std::string optim = "adamw_torch_fused";
  double max_grad_norm = 1.0;
  std::string lr_scheduler_type = "linear";
  std::map<std::string, double> lr_scheduler_kwargs;
  double warmup_steps = 0;  ///< below 1: a share of all steps
  double warmup_ratio = 0;
  bool fp16 = false, bf16 = false;
  Recompute gradient_checkpointing = Recompute::automatic;
  Strategy eval_strategy = Strategy::no;
  std::optional<double> eval_steps;  ///< below 1: a share of all steps; none: logging_steps
  bool eval_on_start = false;
  double eval_delay = 0;
  Strategy save_strategy = Strategy::steps;
  double save_steps = 500;
  std::optional<int> save_total_limit;
  bool save_only_model = false;
  bool load_best_model_at_end = false;
  std::string metric_for_best_model = "loss";
  std::optional<bool> greater_is_better;
  std::optional<int> early_stopping_patience;
  double early_stopping_threshold = 0;
  Strategy logging_strategy = Strategy::steps;
  double logging_steps = 10;
  bool logging_first_step = false;
  std::vector<std::string> report_to;
  std::int64_t seed = 42;
  double label_smoothing_factor = 0;
  double neftune_noise_alpha = 0;
  bool tf32 = false;
  bool overwrite_output_dir = false;
  std::optional<std::string> logging_dir;
  std::vector<std::string> class_weights;  ///< numbers, or the one word "balanced"
  std::vector<std::string> sample_prompts;
  int sample_max_new_tokens = 80;

  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"output_dir", "where checkpoints, logs and the adapter go"}, s.output_dir);
    v(Field{"resume_from_checkpoint",
            "true: go on from the newest valid checkpoint; or a checkpoint folder",
            {"auto_resume_from_checkpoints"}},
      s.resume_from_checkpoint);
    v(Field{"accept_changes",
            "what a resumed run may change, by name: [training.num_train_epochs] extends a run; "
            "recorded in trainer_state.json"},
      s.accept_changes);
    v(Field{"num_train_epochs", "passes over the training rows", {"num_epochs", "epochs"}},
      s.num_train_epochs);
    v(Field{"max_steps", "stop after so many optimizer steps; -1: by epochs", {"iters"}},
      s.max_steps);
    v(Field{"per_device_train_batch_size",
            "rows of a micro-batch",
            {"micro_batch_size", "batch_size"}},
      s.per_device_train_batch_size);
    v(Field{"per_device_eval_batch_size", "rows evaluated at a time", {"eval_batch_size"}},
      s.per_device_eval_batch_size);
    v(Field{"gradient_accumulation_steps", "micro-batches of one optimizer step"},
      s.gradient_accumulation_steps);
    v(Field{"learning_rate", "peak learning rate", {"lr"}}, s.learning_rate);
    v(Field{"weight_decay", "decoupled weight decay of every adapter matrix"}, s.weight_decay);
    v(Field{"adam_beta1", "AdamW's first decay rate"}, s.adam_beta1);
    v(Field{"adam_beta2", "AdamW's second decay rate"}, s.adam_beta2);
    v(Field{"adam_epsilon", "AdamW's epsilon, added after the square root"}, s.adam_epsilon);
    v(Field{"optim",
            "adamw_torch_fused, or adamw_8bit: AdamW with moments in 8 bits",
            {"optimizer"}},
      s.optim);
    v(Field{"max_grad_norm", "clip the global gradient norm; 0: never"}, s.max_grad_norm);
    v(Field{"lr_scheduler_type", "a schedule of transformers", {"lr_scheduler"}},
      s.lr_scheduler_type);
    v(Field{"lr_scheduler_kwargs", "num_cycles, power, min_lr, ..."}, s.lr_scheduler_kwargs);
    v(Field{"warmup_steps", "steps of linear warm-up; below 1: a share of all steps"},
      s.warmup_steps);
    v(Field{"warmup_ratio", "share of all steps for warm-up, if warmup_steps is 0"},
      s.warmup_ratio);
    v(Field{"fp16", "compute in float16 with loss scaling"}, s.fp16);
    v(Field{"bf16", "compute in bfloat16"}, s.bf16);
    v(Field{"gradient_checkpointing",
            "recompute activations: false, true, or auto: only as memory needs"},
      s.gradient_checkpointing);
    v(Field{"eval_strategy", "when to evaluate: no, steps or epoch", {"evaluation_strategy"}},
      s.eval_strategy);
    v(Field{"eval_steps", "evaluate every so many steps"}, s.eval_steps);
    v(Field{"eval_on_start", "evaluate before the first step"}, s.eval_on_start);
    v(Field{"eval_delay", "no evaluation before this step (or epoch)"}, s.eval_delay);
    v(Field{"save_strategy", "when to save a checkpoint: no, steps, epoch or best"},
      s.save_strategy);
    v(Field{"save_steps", "save every so many steps; below 1: a share of all steps"}, s.save_steps);
    v(Field{"save_total_limit", "newest checkpoints to keep; the best one is kept besides"},
      s.save_total_limit);
    v(Field{"save_only_model", "accepted: a checkpoint always holds what a resumed run needs"},
      s.save_only_model);
    v(Field{"load_best_model_at_end", "the final adapter is the best one, not the last"},
      s.load_best_model_at_end);
    v(Field{"metric_for_best_model", "with or without eval_"}, s.metric_for_best_model);
    v(Field{"greater_is_better",
            "null: as the metric has it; false for loss, perplexity, log_loss, ece"},
      s.greater_is_better);
    v(Field{"early_stopping_patience", "stop after so many evaluations without a better one"},
      s.early_stopping_patience);
    v(Field{"early_stopping_threshold", "how much better counts"}, s.early_stopping_threshold);
    v(Field{"logging_strategy", "when to log: no, steps or epoch"}, s.logging_strategy);
    v(Field{"logging_steps", "log every so many steps; below 1: a share of all steps"},
      s.logging_steps);
    v(Field{"logging_first_step", "log the first step too"}, s.logging_first_step);
    v(Field{"report_to",
            "tensorboard: event files, too; trainer_state.json, trainer_log.jsonl and "
            "training_progress/ are always written"},
      s.report_to);
    v(Field{"seed", "of every random number", {"random_state"}}, s.seed);
    v(Field{"label_smoothing_factor", "label smoothing of the loss"}, s.label_smoothing_factor);
    v(Field{"neftune_noise_alpha", "noise added to embeddings in training; only 0 is known"},
      s.neftune_noise_alpha);
    v(Field{"tf32", "accepted: products of float32 are never rounded to TF32"}, s.tf32);
    v(Field{"overwrite_output_dir",
            "accepted: an earlier run's checkpoints are moved into previous_run"},
      s.overwrite_output_dir);
    v(Field{"logging_dir", "where event files go; null: output_dir/runs"}, s.logging_dir);
    v(Field{"class_weights", "classifiers: a list, or balanced"}, s.class_weights);
    v(Field{"sample_prompts", "prompts answered at each evaluation, into the log"},
      s.sample_prompts);
    v(Field{"sample_max_new_tokens", "longest reply to a sample prompt, in tokens"},
      s.sample_max_new_tokens);
  }
};

}  // namespace elenchus
