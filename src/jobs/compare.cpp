// `elenchus compare`: the base model's reply and the tuned model's, side by side, with the recipe's
// scores.

#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "base/terminal.h"
#include "jobs/adapter_choice.h"
#include "jobs/classes.h"
#include "jobs/jobs.h"
#include "jobs/replies.h"
#include "jobs/run_setup.h"

namespace elenchus {
namespace {

/// "socratic_style 0.85": what the recipe's metrics of generated text say of one reply.
std::string scores(const RunSetup& run, const std::string& reply) {
  std::string out;
  for (const auto& metric : run.metrics.metrics) {
    if (metric->input() != MetricInput::generated) continue;
    metric->reset();
    Prediction prediction;
    prediction.text = reply;
    metric->observe(prediction);
    out += fmt::format("{}{} {:.2f}", out.empty() ? "" : ", ", metric->name(), metric->result());
  }
  return out.empty() ? out : " (" + out + ")";
}

}  // namespace

int compare(const CompareOptions& options) {
  RunSetup run(read_recipe(options.recipe.file, options.recipe.overrides));
  expect_language_model(run.recipe, "compare");
  run.load.lora = adapter_choice(options.adapter, {run.files, TaskType::CAUSAL_LM});
  std::vector<std::vector<TokenId>> prompts;
  for (const std::string& prompt : options.prompts) {
    const Message message{.role = "user", .content = prompt};
    prompts.push_back(run.renderer.prompt({&message, 1}).ids);
  }
  run.shapes = {};
  add_replies(run.shapes, prompts, options.max_new_tokens, std::int64_t(prompts.size()));
  run.load.max_positions = run.shapes.cache_rows;
  const MemoryPlan memory = plan_run(run);
  const std::unique_ptr<Stream> stream = Stream::open(run.where.device, run.recipe.model.threads);
  // The adapter as it is made changes nothing (B is zero): the base model speaks first.
  LoadedModel model = load_model(*stream, run.files, run.load);
  Arena arena(*stream, memory.activations);
  Replier replier(run, *model.decoder, *stream, arena);
  GenerateOptions generate = replier.options();
  generate.max_new_tokens = options.max_new_tokens;
  const std::vector<std::string> before = replier.to(prompts, generate);
  load_adapter_folder(*stream, model, options.adapter, run.files);
  const std::vector<std::string> after = replier.to(prompts, generate);
  for (std::size_t i = 0; i < prompts.size(); ++i)
    write_output(without_controls(fmt::format("> {}\n\nbase{}\n{}\n\ntuned{}\n{}\n\n",
                                              options.prompts[i], scores(run, before[i]), before[i],
                                              scores(run, after[i]), after[i])));
  return 0;
}

}  // namespace elenchus
