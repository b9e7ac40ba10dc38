// `elenchus predict`: the probabilities of rows' classes, in the order of the input.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "data/classification.h"
#include "data/csv_reader.h"
#include "io/peft_adapter.h"
#include "jobs/adapter_choice.h"
#include "jobs/classes.h"
#include "jobs/jobs.h"
#include "jobs/run_setup.h"
#include "models/device_batch.h"

namespace elenchus {
namespace {

using Scores = std::vector<std::vector<float>>;  // of each row: a logit of each class

/// The rows to classify, as they are given and, if asked for, with their answers exchanged.
struct Input {
  std::vector<std::string> ids;
  std::vector<TokenizedRow> rows, swapped;
};

Input read_input(const PredictOptions& options, const Recipe& recipe, const Tokenizer& tokenizer) {
  Input input;
  const std::string path = options.input.string();
  input.rows = load_unlabelled(path, recipe.data, tokenizer, AnswerOrder::as_given, input.ids);
  if (options.average_swapped)
    input.swapped = load_unlabelled(path, recipe.data, tokenizer, AnswerOrder::swapped, input.ids);
  return input;
}

/// Rows in batches of like length, longest first: the first batch is the largest.
class LengthBatches {
 public:
  LengthBatches(std::span<const TokenizedRow> rows, std::int64_t size) : rows_(rows), size_(size) {
    order_.resize(rows.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::ranges::stable_sort(order_, std::greater<>(),
                             [&](std::size_t row) { return rows[row].ids.size(); });
  }
  std::size_t count() const {
    return (order_.size() + std::size_t(size_) - 1) / std::size_t(size_);
  }
  /// The numbers of a batch's rows.
  std::span<const std::size_t> rows(std::size_t batch) const {
    const std::size_t first = batch * std::size_t(size_);
    return std::span(order_).subspan(first, std::min(std::size_t(size_), order_.size() - first));
  }
  /// Widens `shapes` by the largest batch.
  void measure(LargestShapes& shapes) const {
    if (order_.empty()) return;
    std::int64_t tokens = 0;
    for (const std::size_t row : rows(0)) tokens += std::int64_t(rows_[row].ids.size());
    const auto count = std::int64_t(rows(0).size());
    shapes.eval_tokens = std::max(shapes.eval_tokens, tokens);
    shapes.eval_targets = std::max(shapes.eval_targets, count);
    shapes.eval_sequences = std::max(shapes.eval_sequences, count);
  }

 private:
  std::span<const TokenizedRow> rows_;
  std::int64_t size_;
  std::vector<std::size_t> order_;
};

/// A classifier ready to score rows.
struct Scorer {
  Stream& stream;
  Arena& arena;
  Decoder& decoder;
  std::int64_t batch_size;

  Scores operator()(std::span<const TokenizedRow> rows) const {
    const LengthBatches batches(rows, batch_size);
    Scores scores(rows.size());
    for (std::size_t batch = 0; batch < batches.count(); ++batch)
      score(rows, batches.rows(batch), scores);
    return scores;
  }

 private:
  void score(std::span<const TokenizedRow> rows, std::span<const std::size_t> chosen,
             Scores& scores) const {
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
      throw UserError(
          cat("predict: a score of rows ", chosen.front() + 1, " to ", chosen.back() + 1,
              " is not finite; the adapter or the compute type does not fit the model"),
          ExitCode::bad_numbers);
    const auto classes = std::ptrdiff_t(out.dim(1));
    for (std::size_t i = 0; i < chosen.size(); ++i)
      scores[chosen[i]].assign(host.begin() + std::ptrdiff_t(i) * classes,
                               host.begin() + std::ptrdiff_t(i + 1) * classes);
  }
};

/// softmax(scores / temperature) over the classes that the data names; 0 for the others.
std::vector<double> probabilities(const std::vector<float>& scores,
                                  const std::vector<ClassName>& classes, double temperature) {
  double top = -INFINITY, sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (classes[i].given) top = std::max(top, double(scores[i]));
  std::vector<double> out(scores.size(), 0);
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (classes[i].given) sum += out[i] = std::exp((double(scores[i]) - top) / temperature);
  for (double& p : out) p /= sum;
  return out;
}

double log_loss(const Scores& scores, std::span<const TokenizedRow> rows,
                const std::vector<ClassName>& classes, double temperature) {
  double nats = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double p = probabilities(scores[i], classes, temperature)[std::size_t(rows[i].label)];
    nats -= std::log(std::max(p, 1e-300));
  }
  return nats / double(rows.size());
}

/// The temperature of the least log loss between 1/20 and 20: golden sections of its logarithm, in
/// which the loss falls, then rises. Guo et al. 2017, arXiv:1706.04599.
double fitted_temperature(const Scores& scores, std::span<const TokenizedRow> rows,
                          const std::vector<ClassName>& classes) {
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(0.05), high = std::log(20.0);
  for (int i = 0; i < 60; ++i) {
    const double a = high - ratio * (high - low), b = low + ratio * (high - low);
    const auto loss = [&](double place) {
      return log_loss(scores, rows, classes, std::exp(place));
    };
    if (loss(a) <= loss(b))
      high = b;
    else
      low = a;
  }
  return std::exp((low + high) / 2);
}

std::string output_text(const Input& input, const Scores& scores, const Scores& swapped,
                        const std::vector<ClassName>& classes, double temperature) {
  std::vector<std::string> header = {"id"};
  for (const ClassName& each : classes)
    if (each.given) header.push_back(each.name);
  std::string text = csv_line(header);
  for (std::size_t row = 0; row < scores.size(); ++row) {
    std::vector<double> p = probabilities(scores[row], classes, temperature);
    if (!swapped.empty()) {
      std::vector<double> other = probabilities(swapped[row], classes, temperature);
      std::swap(other[0], other[1]);  // the answers changed places
      for (std::size_t i = 0; i < p.size(); ++i) p[i] = (p[i] + other[i]) / 2;
    }
    std::vector<std::string> fields = {input.ids[row]};
    for (std::size_t i = 0; i < classes.size(); ++i)
      if (classes[i].given) fields.push_back(fmt::format("{}", p[i]));
    text += csv_line(fields);
  }
  return text;
}

/// As the adapter's config.json has them; without it, as the recipe does.
std::vector<ClassName> classes_of(const PredictOptions& options, const Recipe& recipe) {
  std::vector<ClassName> classes = read_classes(options.adapter);
  if (!classes.empty()) return classes;
  say(cat("note: ", printable(options.adapter.string(), 512),
          " has no config.json with id2label; classes are named by their numbers"));
  for (int i = 0; i < recipe.model.num_labels; ++i) classes.push_back({cat("LABEL_", i), true});
  return classes;
}

/// The evaluation rows, if the temperature is fitted on them. UserError if there are none, or if
/// their classes are not the adapter's.
std::vector<TokenizedRow> rows_to_fit(const PredictOptions& options, const Recipe& recipe,
                                      const std::vector<ClassName>& classes,
                                      const Tokenizer& tokenizer) {
  if (!options.fit_temperature) return {};
  Dataset data = load_classification(
      recipe.data, {.tokenizer = tokenizer, .num_labels = recipe.model.num_labels},
      std::uint64_t(recipe.training.seed));
  if (data.eval.empty())
    throw UserError(
        "--fit-temperature: there is no row to fit on: set data.eval_file, data.folds, or "
        "data.train_fraction below 1");
  const auto names = [](const ClassName& a, const ClassName& b) { return a.name == b.name; };
  if (!std::ranges::equal(data.classes, classes, names))
    throw UserError(cat("--fit-temperature: the recipe's rows have other classes than ",
                        printable(options.adapter.string(), 512),
                        "/config.json; give the recipe that the adapter was trained with"));
  return std::move(data.eval);
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
  const DeviceChoice where =
      choose_device(recipe.model.device, recipe.model.threads, recipe.model.max_memory);
  ModelFiles files = open_model_files(recipe.model.model_name_or_path);
  const TextFiles text = load_text(files, recipe.data.chat_template_path);
  const std::vector<ClassName> classes = classes_of(options, recipe);
  const Input input = read_input(options, recipe, *text.tokenizer);
  const std::vector<TokenizedRow> fit = rows_to_fit(options, recipe, classes, *text.tokenizer);

  LoadOptions load = load_options(recipe, where);
  load.lora = adapter_choice(options.adapter);
  load.classifier = ClassifierOptions{.num_labels = std::int64_t(classes.size())};
  const std::int64_t batch_size = recipe.training.per_device_eval_batch_size;
  LargestShapes shapes;
  for (const auto* rows : {&input.rows, &input.swapped, &fit})
    LengthBatches(*rows, batch_size).measure(shapes);
  const MemoryPlan plan = plan_memory([&](Stream& dry) { return load_model(dry, files, load); },
                                      shapes, nullptr, where);
  check_plan(plan, where);
  const std::unique_ptr<Stream> stream = Stream::open(where.device, recipe.model.threads);
  Arena arena(*stream, plan.activations);
  LoadedModel model = load_model(*stream, files, load);
  load_adapter(*stream, model.decoder->params(), open_adapter_weights(options.adapter));

  const Scorer score{*stream, arena, *model.decoder, batch_size};
  double temperature = 1;
  if (!fit.empty()) {
    const Scores scores = score(fit);
    temperature = fitted_temperature(scores, fit, classes);
    say(fmt::format("temperature {:.4f}: log loss of the {} evaluation rows {:.4f} -> {:.4f}",
                    temperature, fit.size(), log_loss(scores, fit, classes, 1),
                    log_loss(scores, fit, classes, temperature)));
  }
  const Scores scores = score(input.rows), swapped = score(input.swapped);
  write_file_atomically(options.output, output_text(input, scores, swapped, classes, temperature));
  say(fmt::format("{} rows -> {}", input.rows.size(), options.output.string()));
  return 0;
}

}  // namespace elenchus
