// `elenchus eval`: a recipe's metrics on its evaluation rows, with or without an adapter.

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/terminal.h"
#include "jobs/adapter_choice.h"
#include "jobs/classes.h"
#include "jobs/evaluation.h"
#include "jobs/jobs.h"

namespace elenchus {

int evaluate(const EvaluateOptions& options) {
  RunSetup run(read_recipe(options.recipe.file, options.recipe.overrides));
  if (!run.eval_batches)
    throw UserError(
        "there is no row to evaluate on: set data.eval_file, or data.train_fraction below 1");
  run.load.lora = adapter_choice(options.adapter, {run.files, run.recipe.model.task_type});
  if (is_classifier(run.recipe)) {
    if (!options.adapter && !run.files.weights().find(kScoreName))
      throw UserError(cat(
          "eval: ", printable(run.files.path.string(), 512), " has no trained head (", kScoreName,
          "), so a random one would be measured; give the trained one: --adapter DIR"));
    expect_trained_classes(run.files, options.adapter, run.dataset.classes);
  }
  run.shapes.train_tokens = 0;
  const MemoryPlan memory = plan_run(run);
  const std::unique_ptr<Stream> stream = Stream::open(run.where.device, run.recipe.model.threads);
  LoadedModel model = load_model(*stream, run.files, run.load);
  for (const std::string& note : model.notes) say("note: " + note);
  Arena arena(*stream, memory.activations);
  if (options.adapter) load_adapter_folder(*stream, model, *options.adapter, run.files);

  Replier replier(run, *model.decoder, *stream, arena);
  Evaluator evaluator = make_evaluator(run, *stream, arena, *model.decoder, replier);
  const Evaluation result = evaluator.evaluate();
  Json out{Json::Object{}};
  for (const auto& [name, value] : result.values) out.set(name, value);
  if (!result.confusion.empty())
    out.set("eval_confusion_matrix", confusion_json(result.confusion, evaluator.class_names()));
  out.set("eval_runtime", result.seconds);
  out.set("eval_samples", result.samples);
  write_output(fmt::format("{}\n", out.dump()));
  if (!std::isfinite(result.values.at("eval_loss")))
    throw UserError(
        "eval: the loss is not finite (null above); the adapter or the compute type does not fit "
        "the model",
        ExitCode::bad_numbers);
  return 0;
}

}  // namespace elenchus
