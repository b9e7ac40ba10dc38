// `elenchus predict`: the probabilities of rows' classes, in the order of the input.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "data/classification.h"
#include "jobs/adapter_choice.h"
#include "jobs/class_probabilities.h"
#include "jobs/classes.h"
#include "jobs/jobs.h"
#include "jobs/output_choice.h"
#include "jobs/run_setup.h"
#include "models/device_batch.h"

namespace elenchus {
namespace {

/// The rows to classify, as they are given and, if asked for, with their answers exchanged.
struct Input {
  UnlabelledRows given, swapped;
};

/// Whether classes begin with these names.
bool begin_with(std::span<const ClassName> classes, std::span<const std::string_view> names) {
  return classes.size() >= names.size() &&
         std::ranges::equal(classes.first(names.size()), names, {}, &ClassName::name);
}

/// The rows' format is that of what was trained on, which the names of the classes tell: the columns
/// of a file may suit both.
DataConfig data_of(const Recipe& recipe, std::span<const ClassName> classes) {
  DataConfig data = recipe.data;
  if (data.format != "auto" || !classes.front().given) return data;
  const bool arena = begin_with(classes, kArenaFormat.classes);
  data.format = arena ? kArenaFormat.name : kClassificationFormat.name;
  return data;
}

Input read_input(const PredictOptions& options, const Recipe& recipe, const Tokenizer& tokenizer,
                 const std::vector<ClassName>& classes) {
  Input input;
  const std::string path = options.input.string();
  const DataConfig data = data_of(recipe, classes);
  input.given = load_unlabelled(path, data, tokenizer, AnswerOrder::as_given);
  if (!options.average_swapped) return input;
  input.swapped = load_unlabelled(path, data, tokenizer, AnswerOrder::swapped);
  const auto pair = kArenaFormat.classes.first(2);
  if (!begin_with(classes, pair))
    throw InputError(cat("--average-swapped: ", printable(options.adapter.string(), 512),
                         " has the classes ", printable(classes[0].name), ", ",
                         printable(classes[1].name), ", ...; expected ", pair[0], " and ", pair[1],
                         " as the first two, which change places with the answers"));
  return input;
}

/// Widens `shapes` by the largest batch of these rows.
void add_batches(LargestShapes& shapes, std::span<const TokenizedRow> rows,
                 std::int64_t batch_size) {
  if (rows.empty()) return;
  const LengthBatches batches(rows, batch_size);
  std::int64_t tokens = 0;
  for (const std::size_t row : batches.rows(0)) tokens += std::int64_t(rows[row].ids.size());
  const auto count = std::int64_t(batches.rows(0).size());
  shapes.eval_tokens = std::max(shapes.eval_tokens, tokens);
  shapes.eval_targets = std::max(shapes.eval_targets, count);
  shapes.eval_sequences = std::max(shapes.eval_sequences, count);
}

/// The number of the first row one of whose scores is not finite.
std::size_t row_without_score(std::span<const float> scores, std::span<const std::size_t> rows) {
  const std::size_t classes = scores.size() / rows.size();
  const auto bad = std::ranges::find_if(scores, [](float score) { return !std::isfinite(score); });
  return rows[std::size_t(bad - scores.begin()) / classes];
}

/// A classifier ready to score rows.
struct Scorer {
  Stream& stream;
  Arena& arena;
  Decoder& decoder;
  std::int64_t batch_size;

  /// In the order of `rows`.
  ClassScores operator()(std::span<const TokenizedRow> rows) const {
    const LengthBatches batches(rows, batch_size);
    ClassScores scores(rows.size());
    for (std::size_t batch = 0; batch < batches.count(); ++batch)
      score(rows, batches.rows(batch), scores);
    return scores;
  }

 private:
  void score(std::span<const TokenizedRow> rows, std::span<const std::size_t> chosen,
             ClassScores& scores) const {
    std::vector<std::int32_t> tokens, positions, starts = {0}, last;
    for (const std::size_t row : chosen) {
      const auto& ids = rows[row].ids;
      tokens.insert(tokens.end(), ids.begin(), ids.end());
      for (std::size_t i = 0; i < ids.size(); ++i) positions.push_back(std::int32_t(i));
      starts.push_back(std::int32_t(tokens.size()));
      last.push_back(starts.back() - 1);
    }
    Arena::Scope scope(arena);
    DeviceBatch batch =
        upload(stream, arena,
               {.tokens = tokens, .positions = positions, .starts = starts, .target_rows = last});
    const Tensor out = decoder.logits(batch.context, batch.tokens, batch.targets.rows);
    std::vector<float> host(std::size_t(out.elements()));
    stream.copy(Tensor(host.data(), out.shape(), DType::f32), out);
    stream.synchronize();
    if (!std::ranges::all_of(host, [](float score) { return std::isfinite(score); }))
      throw UserError(cat("predict: a score of row ", row_without_score(host, chosen) + 1,
                          " is not finite; the adapter or the compute type does not fit the model"),
                      ExitCode::bad_numbers);
    const auto classes = std::ptrdiff_t(out.dim(1));
    for (std::size_t i = 0; i < chosen.size(); ++i)
      scores[chosen[i]].assign(host.begin() + std::ptrdiff_t(i) * classes,
                               host.begin() + std::ptrdiff_t(i + 1) * classes);
  }
};

/// The evaluation rows, if the temperature is fitted on them. UserError if there are none.
std::vector<TokenizedRow> rows_to_fit(const PredictOptions& options, const Recipe& recipe,
                                      const Tokenizer& tokenizer) {
  if (!options.fit_temperature) return {};
  Dataset data = load_classification(
      recipe.data, {.tokenizer = tokenizer, .num_labels = recipe.model.num_labels},
      std::uint64_t(recipe.training.seed));
  if (data.eval.empty())
    throw UserError(
        "--fit-temperature: there is no row to fit on: set data.eval_file, data.folds, or "
        "data.train_fraction below 1");
  return std::move(data.eval);
}

/// The temperature that fits the evaluation rows, which is said.
double told_temperature(const ClassScores& scores, std::span<const TokenizedRow> fit,
                        const std::vector<ClassName>& classes) {
  const double temperature = fitted_temperature(scores, fit, classes);
  say(fmt::format("temperature {:.4f}: log loss of the {} evaluation rows {:.4f} -> {:.4f}",
                  temperature, fit.size(), mean_log_loss(scores, fit, classes, 1),
                  mean_log_loss(scores, fit, classes, temperature)));
  if (temperature < 1.01 * kLeastTemperature)
    say("warning: no evaluation row held the temperature back (all are right), so the "
        "probabilities are surer than they can be known to be; fit it on more rows");
  else if (temperature > 0.99 * kLargestTemperature)
    say("warning: nearly equal probabilities fit the evaluation rows best: the scores say little "
        "of the classes; train for longer, or look at the metrics first");
  return temperature;
}

/// Where the probabilities go: none of the files that are read.
std::filesystem::path output_of(const PredictOptions& options, const Recipe& recipe) {
  std::vector<std::filesystem::path> read = {options.input, recipe.file, options.adapter,
                                             recipe.model.model_name_or_path};
  for (const DataSource& file : recipe.data.train_file) read.emplace_back(file.path);
  read.insert(read.end(), recipe.data.eval_file.begin(), recipe.data.eval_file.end());
  return choose_output_file(options.output, "--output", read);
}

void check_plan(const MemoryPlan& plan, const DeviceChoice& where) {
  if (plan.peak() <= where.available_bytes) return;
  throw UserError(fmt::format("this needs {} of memory and {} are there:\n{}What helps: a smaller "
                              "training.per_device_eval_batch_size or data.max_length",
                              bytes_text(plan.peak()), bytes_text(where.available_bytes),
                              memory_plan_text(plan)),
                  ExitCode::out_of_resources);
}

}  // namespace

int predict(const PredictOptions& options) {
  const Recipe recipe = read_recipe(options.recipe.file, options.recipe.overrides);
  expect_classifier(recipe, "predict");
  for (const std::string& note : recipe.notes) say(note);
  const std::filesystem::path output = output_of(options, recipe);
  const DeviceChoice where =
      choose_device(recipe.model.device, recipe.model.threads, recipe.model.max_memory);
  ModelFiles files = open_model_files(recipe.model.model_name_or_path);
  const TextFiles text = load_text(files, recipe.data.chat_template_path);
  LoadOptions load = load_options(recipe, where);
  load.lora = adapter_choice(options.adapter, {files, TaskType::SEQ_CLS});
  const std::vector<ClassName> classes = predicted_classes(files, options.adapter, recipe);
  const Input input = read_input(options, recipe, *text.tokenizer, classes);
  const std::vector<TokenizedRow> fit = rows_to_fit(options, recipe, *text.tokenizer);

  load.classifier = ClassifierOptions{.num_labels = std::int64_t(classes.size())};
  const std::int64_t batch_size = recipe.training.per_device_eval_batch_size;
  LargestShapes shapes;
  for (const auto* rows : {&input.given.rows, &input.swapped.rows, &fit})
    add_batches(shapes, *rows, batch_size);
  const MemoryPlan plan = plan_memory([&](Stream& dry) { return load_model(dry, files, load); },
                                      shapes, nullptr, where);
  check_plan(plan, where);
  const std::unique_ptr<Stream> stream = Stream::open(where.device, recipe.model.threads);
  Arena arena(*stream, plan.activations);
  LoadedModel model = load_model(*stream, files, load);
  load_adapter_folder(*stream, model, options.adapter, files);

  const Scorer score{*stream, arena, *model.decoder, batch_size};
  const double temperature = fit.empty() ? 1 : told_temperature(score(fit), fit, classes);
  const ScoredRows scored{.ids = input.given.ids,
                          .scores = score(input.given.rows),
                          .swapped = score(input.swapped.rows)};
  write_file_atomically(output, probabilities_csv(scored, classes, temperature));
  say(fmt::format("{} rows -> {}", scored.ids.size(), options.output.string()));
  return 0;
}

}  // namespace elenchus
