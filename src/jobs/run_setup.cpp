#include "jobs/run_setup.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/terminal.h"
#include "generate/generator.h"
#include "jobs/classes.h"
#include "train/step_plan.h"

namespace elenchus {
namespace {

std::uint64_t data_seed(const Recipe& recipe) {
  return std::uint64_t(recipe.data.data_seed.value_or(recipe.training.seed));
}

BatchRules train_rules(const Recipe& recipe) {
  return {.batch_size = recipe.training.per_device_train_batch_size,
          .packing = recipe.data.packing,
          .max_length = recipe.data.max_length,
          .sampling = recipe.data.sampling,
          .seed = data_seed(recipe)};
}

BatchRules eval_rules(const Recipe& recipe) {
  return {.batch_size = recipe.training.per_device_eval_batch_size,
          .packing = false,
          .max_length = recipe.data.max_length,
          .sampling = Sampling::sequential,
          .seed = 0};
}

std::size_t longest(std::span<const std::vector<TokenId>> prompts) {
  std::size_t length = 0;
  for (const auto& prompt : prompts) length = std::max(length, prompt.size());
  return length;
}

}  // namespace

namespace {

/// UserError if modules are placed one by one, which is not in this build; better said than left undone.
Recipe with_known_placement(Recipe recipe) {
  if (recipe.model.device_map.starts_with('{'))
    throw UserError(
        "model.device_map: placing modules one by one is not in this build; set it to auto, and "
        "model.device to the "
        "device that the whole model goes to");
  return recipe;
}

ComputeType trained_in(const TrainingConfig& training) {
  if (training.fp16) return ComputeType::float16;
  return training.bf16 ? ComputeType::bfloat16 : ComputeType::automatic;
}

}  // namespace

LoadOptions load_options(const Recipe& recipe, const DeviceChoice& where) {
  return {.load_in_4bit = recipe.quantization.load_in_4bit,
          .double_quant = recipe.quantization.bnb_4bit_use_double_quant,
          .lora = recipe.lora,
          .compute = choose_compute(
              where.device, {trained_in(recipe.training),
                             recipe.quantization.bnb_4bit_compute_dtype, recipe.model.dtype}),
          .max_positions = recipe.data.max_length,
          .seed = std::uint64_t(recipe.training.seed),
          .label_smoothing = float(recipe.training.label_smoothing_factor)};
}

RunSetup::RunSetup(Recipe from)
    : recipe(with_known_placement(std::move(from))),
      where(choose_device(recipe.model.device, recipe.model.threads, recipe.model.max_memory)),
      files(open_model_files(recipe.model.model_name_or_path)),
      text(load_text(files, recipe.data.chat_template_path)),
      renderer(render_rules(text, recipe.data, kTemplateClock)),
      dataset(load_rows(recipe, renderer, *text.tokenizer)),
      train_batches(dataset.train, train_rules(recipe)),
      metrics(make_metrics(recipe.metrics, "metrics",
                           is_classifier(recipe) ? MetricTask::classes : MetricTask::language)) {
  if (!dataset.eval.empty())
    eval_batches = std::make_unique<RowBatchSource>(dataset.eval, eval_rules(recipe));
  const std::int64_t vocabulary = identify_model(files).config.vocabulary;
  if (text.tokenizer->vocabulary_size() > vocabulary)
    throw InputError(cat(files.path.string(), ": the tokenizer has ",
                         text.tokenizer->vocabulary_size(), " tokens, the model only ",
                         vocabulary));
  make_prompts();
  measure_shapes();
  load = load_options(recipe, where);
  load.max_positions = std::max(load.max_positions, shapes.cache_rows);
  if (is_classifier(recipe)) load.classifier = classifier_options(recipe, dataset);
}

void RunSetup::make_prompts() {
  if (metrics.replies)
    for (const Conversation& conversation : dataset.eval_conversations) {
      ReplyTask task = renderer.reply_task(conversation);
      eval_prompts.push_back(std::move(task.prompt.ids));
      eval_answers.push_back(std::move(task.reference));
      if (eval_prompts.back().empty())
        throw UserError(
            "metrics: a metric of generated replies needs conversations to reply to, and the "
            "evaluation rows "
            "are plain texts; use mode: teacher_forced");
    }
  for (const std::string& prompt : recipe.training.sample_prompts) {
    const Message message{.role = "user", .content = prompt};
    sample_prompts.push_back(renderer.prompt({&message, 1}).ids);
  }
}

void add_replies(LargestShapes& shapes, std::span<const std::vector<TokenId>> prompts,
                 std::int64_t new_tokens, std::int64_t batch_size) {
  if (prompts.empty()) return;
  const std::int64_t prompt = std::int64_t(longest(prompts));
  const std::int64_t together = std::min(batch_size, std::int64_t(prompts.size()));
  shapes.prompts = std::max(shapes.prompts, together);
  shapes.prompt_tokens =
      std::max(shapes.prompt_tokens,
               std::min(together * prompt, std::max(GenerateOptions{}.prefill_tokens, prompt)));
  shapes.cache_rows = std::max(shapes.cache_rows, prompt + new_tokens);
}

void RunSetup::measure_shapes() {
  const TrainingConfig& training = recipe.training;
  const StepPlan steps = make_step_plan(training, train_batches.batches_per_epoch());
  const BatchExtents train = train_batches.largest(steps.epochs);
  shapes = {.train_tokens = train.tokens,
            .train_targets = train.targets,
            .train_sequences = train.sequences};
  if (eval_batches) {
    const BatchExtents eval = eval_batches->largest(1);
    shapes.eval_tokens = eval.tokens;
    shapes.eval_targets = eval.targets;
    shapes.eval_sequences = eval.sequences;
  }
  if (metrics.replies)
    add_replies(shapes, eval_prompts, metrics.replies->max_new_tokens,
                training.per_device_eval_batch_size);
  add_replies(shapes, sample_prompts, training.sample_max_new_tokens,
              training.per_device_eval_batch_size);
}

MemoryPlan plan_run(RunSetup& run) {
  MemoryPlan plan =
      plan_memory([&](Stream& stream) { return load_model(stream, run.files, run.load); },
                  run.shapes, &run.recipe.training, run.where);
  if (plan.peak() > run.where.available_bytes)
    throw UserError(
        fmt::format(
            "this run needs {} of memory and {} are there:\n{}What helps, most first: "
            "training.gradient_checkpointing=true, a smaller "
            "training.per_device_train_batch_size, a smaller data.max_length, a smaller lora.r",
            bytes_text(plan.peak()), bytes_text(run.where.available_bytes), memory_plan_text(plan)),
        ExitCode::out_of_resources);
  return plan;
}

void say(const std::string& line) { write_error(line + "\n"); }

}  // namespace elenchus
