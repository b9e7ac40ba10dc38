// `elenchus plan`: what a run will take, before anything is started.

#include <fmt/format.h>

#include "jobs/jobs.h"
#include "jobs/run_setup.h"
#include "train/schedule.h"
#include "train/step_plan.h"

namespace elenchus {

int plan(const PlanOptions& options) {
  RunSetup run(read_recipe(options.recipe.file, options.recipe.overrides));
  for (const std::string& note : run.recipe.notes) say(note);
  const TrainingConfig& training = run.recipe.training;
  const MemoryPlan memory = plan_run(run);
  const StepPlan steps = make_step_plan(training, run.train_batches.batches_per_epoch());
  const Schedule schedule(training, steps.total_steps);
  const DecoderConfig config = identify_model(run.files).config;
  fmt::print("Model       {}: {} layers, width {}, {} heads ({} for keys), MLP {}, vocabulary {}\n",
             run.recipe.model_as_written, config.layers, config.width, config.heads,
             config.kv_heads, config.mlp_width, config.vocabulary);
  fmt::print("Trained     {} parameters, rank {}\n", memory.trained_parameters, run.recipe.lora.r);
  fmt::print("Data        {}\n", describe(run.dataset, run.recipe.data));
  fmt::print(
      "Steps       {} ({} an epoch, {} epochs), {} rows a micro-batch, {} micro-batches a step\n",
      steps.total_steps, steps.steps_per_epoch, steps.epochs, training.per_device_train_batch_size,
      training.gradient_accumulation_steps);
  fmt::print("Schedule    {}\n", schedule.describe());
  fmt::print("Largest     {} tokens, {} trained, in a micro-batch\n", run.shapes.train_tokens,
             run.shapes.train_targets);
  fmt::print("Memory (cpu), {} available\n{}", bytes_text(available_memory()),
             memory_plan_text(memory));
  return 0;
}

}  // namespace elenchus
