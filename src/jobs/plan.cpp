// `elenchus plan`: what a run will take, before anything is started.

#include <fmt/format.h>

#include "base/terminal.h"
#include "data/row_checks.h"
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
  write_output(fmt::format(
      "Model       {}: {} layers, width {}, {} heads ({} for keys), MLP {}, vocabulary {}\n",
      run.recipe.model_as_written, config.layers, config.width, config.heads, config.kv_heads,
      config.mlp_width, config.vocabulary));
  write_output(fmt::format("Trained     {} parameters, rank {}\n", memory.trained_parameters,
                           run.recipe.lora.r));
  if (run.load.classifier)
    write_output(fmt::format("Classes     {}, from the last token of a row, head in float32\n",
                             run.load.classifier->num_labels));
  write_output(fmt::format("Data        {}\n", describe(run.dataset, run.recipe.data)));
  for (const std::string& warning : warnings_of(run.dataset, run.recipe.data))
    write_output(warning + "\n");
  write_output(fmt::format(
      "Steps       {} ({} an epoch, {} epochs), {} rows a micro-batch, {} micro-batches a step\n",
      steps.total_steps, steps.steps_per_epoch, steps.epochs, training.per_device_train_batch_size,
      training.gradient_accumulation_steps));
  write_output(fmt::format("Schedule    {}\n", schedule.describe()));
  write_output(fmt::format("Largest     {} tokens, {} trained, in a micro-batch\n",
                           run.shapes.train_tokens, run.shapes.train_targets));
  write_output(fmt::format("Memory ({}), {} available\n{}", run.where.name(),
                           bytes_text(run.where.available_bytes), memory_plan_text(memory)));
  return 0;
}

}  // namespace elenchus
