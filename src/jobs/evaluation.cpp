#include "jobs/evaluation.h"

#include "jobs/classes.h"

namespace elenchus {

Evaluator make_evaluator(RunSetup& run, Stream& stream, Arena& arena, LanguageModel& model,
                         Replier& replier) {
  return Evaluator({.stream = stream,
                    .arena = arena,
                    .model = model,
                    .batches = *run.eval_batches,
                    .tokenizer = run.text.tokenizer.get(),
                    .class_names = class_names(run.dataset),
                    .class_weights = run.load.classifier ? run.load.classifier->class_weights
                                                         : std::vector<float>{},
                    .metrics = std::move(run.metrics.metrics),
                    .combined = run.metrics.combined,
                    .generate = [&replier](std::span<const std::int64_t> rows) {
                      return replier.to_eval_rows(rows);
                    }});
}

}  // namespace elenchus
