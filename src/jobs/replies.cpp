#include "jobs/replies.h"

#include "base/error.h"

namespace elenchus {

Replier::Replier(RunSetup& run, LanguageModel& model, Stream& stream, Arena& arena,
                 std::function<bool()> stop_asked)
    : run_(run),
      generator_(model, stream, arena, *run.text.tokenizer),
      stop_asked_(std::move(stop_asked)) {}

GenerateOptions Replier::options() const {
  GenerateOptions options;
  options.stop_ids = run_.text.stop_ids;
  options.max_positions = run_.load.max_positions;
  options.batch_size = std::max<std::int64_t>(1, run_.shapes.prompts);
  options.stop_asked = stop_asked_;
  if (run_.metrics.replies) {
    const ReplySettings& settings = *run_.metrics.replies;
    options.max_new_tokens = settings.max_new_tokens;
    options.sampling = {.temperature = settings.temperature,
                        .top_p = settings.top_p,
                        .top_k = settings.top_k,
                        .seed = std::uint64_t(run_.recipe.training.seed)};
  }
  return options;
}

std::vector<std::string> Replier::to(std::span<const std::vector<TokenId>> prompts,
                                     const GenerateOptions& options) {
  std::vector<std::string> texts;
  for (Reply& reply : generator_.generate(prompts, options)) texts.push_back(std::move(reply.text));
  return texts;
}

std::vector<RowReply> Replier::to_eval_rows(std::span<const std::int64_t> rows) {
  std::vector<std::vector<TokenId>> prompts;
  for (const std::int64_t row : rows) prompts.push_back(run_.eval_prompts.at(std::size_t(row)));
  GenerateOptions numbered = options();
  numbered.sequence_numbers = rows;  // a row's random numbers do not depend on its batch
  std::vector<RowReply> replies;
  std::vector<std::string> texts = to(prompts, numbered);
  for (std::size_t i = 0; i < texts.size(); ++i)
    replies.push_back({std::move(texts[i]), run_.eval_answers.at(std::size_t(rows[i]))});
  return replies;
}

std::vector<std::string> Replier::to_samples() {
  GenerateOptions chosen = options();
  chosen.max_new_tokens = run_.recipe.training.sample_max_new_tokens;
  chosen.sampling = {};
  return to(run_.sample_prompts, chosen);
}

}  // namespace elenchus
