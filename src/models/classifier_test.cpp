// A tiny classifier against transformers and PEFT: scores, weighted loss, every gradient.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/golden_classifier_test.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

using namespace golden_classifier;
using testing::relative_error;

// f32 sums of at most a few hundred terms in another order than PyTorch's.
constexpr double kTolerance = 1e-5;

class GoldenClassifier : public testing::OnDevice {};

TEST_P(GoldenClassifier, ScoresArePefts) {
  Classifier classifier(stream());
  EXPECT_EQ(classifier.model.decoder->num_labels(), std::int64_t(kLabels));
  EXPECT_LT(relative_error(classifier.scores(golden_rows()), wide(reference("scores"))),
            kTolerance);
}

TEST_P(GoldenClassifier, WeightedLossAndEveryGradientArePyTorchs) {
  Classifier classifier(stream());
  const LossSum loss = classifier.train(golden_rows());
  const double wanted = reference("loss.weighted")[0];
  EXPECT_NEAR(loss.nats / loss.tokens, wanted, wanted * kTolerance);
  for (const Param& param : classifier.model.decoder->params().params()) {
    std::vector<double> gradient = classifier.values(param.grad);
    for (double& g : gradient) g /= loss.tokens;
    EXPECT_LT(relative_error(gradient, wide(reference("grad.weighted." + param.name))), kTolerance)
        << param.name;
  }
}

TEST_P(GoldenClassifier, SmoothedWeightedLossIsPyTorchs) {
  Classifier classifier(stream(), golden_options(false, 0.1f));
  const LossSum loss = classifier.train(golden_rows());
  const double wanted = reference("loss.smoothed")[0];
  EXPECT_NEAR(loss.nats / loss.tokens, wanted, wanted * kTolerance);
  const Param& score = classifier.score();
  std::vector<double> gradient = classifier.values(score.grad);
  for (double& g : gradient) g /= loss.tokens;
  EXPECT_LT(relative_error(gradient, wide(reference("grad.smoothed.score.weight"))), kTolerance);
}

TEST_P(GoldenClassifier, EvaluationFindsTheSameLossesScoresAndClasses) {
  Classifier classifier(stream());
  const auto rows = golden_rows();
  const Batch batch(rows);
  Arena::Scope scope(classifier.arena);
  DeviceBatch device = upload(stream(), classifier.arena, batch.host());
  const Tensor loss = classifier.arena.alloc({kRows}, DType::f32);
  const Tensor prediction = classifier.arena.alloc({kRows}, DType::i32);
  const Tensor scores = classifier.arena.alloc({kRows, kLabels}, DType::f32);
  classifier.model.decoder->losses(device.context, device.tokens, device.targets,
                                   {loss, prediction, scores});
  const auto losses = classifier.values(loss);
  const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
  const LossSum trained = classifier.train(rows);
  EXPECT_NEAR(sum, trained.nats, 1e-6 * sum);
  const auto found = classifier.values(scores);
  EXPECT_LT(relative_error(found, wide(reference("scores"))), kTolerance);
  std::vector<std::int32_t> classes(kRows);
  stream().copy(Tensor(classes.data(), {kRows}, DType::i32), prediction);
  stream().synchronize();
  for (std::size_t i = 0; i < kRows; ++i) {
    const auto row = found.begin() + std::ptrdiff_t(i * kLabels);
    EXPECT_EQ(classes[i], std::max_element(row, row + kLabels) - row);
  }
}

TEST_P(GoldenClassifier, PoolsByLengthWhateverTheLastTokenIs) {
  // Rows alone and packed behind others give the same scores; a row that ends in the padding token
  // of the golden model is scored at that token.
  Classifier classifier(stream());
  auto rows = golden_rows();
  rows[3].ids = {5, 129, 129};
  const std::vector<double> together = classifier.scores(rows);
  for (std::size_t i = 0; i < kRows; ++i) {
    const auto row = std::span(together).subspan(i * kLabels, kLabels);
    EXPECT_LT(relative_error(classifier.scores(std::span(rows).subspan(i, 1)), row), kTolerance);
  }
  auto shorter = rows[3];
  shorter.ids.pop_back();
  EXPECT_GT(relative_error(classifier.scores({&shorter, 1}),
                           std::span(together).subspan(3 * kLabels, kLabels)),
            1e-2);
}

TEST_P(GoldenClassifier, SixteenBitActivationsStayNear) {
  Classifier exact(stream(), golden_options(true, 0));
  const LossSum wanted = exact.train(golden_rows());
  const auto gradients = exact.values(exact.model.decoder->params().grads());
  for (const auto& [compute, tolerance] :
       {std::pair{DType::f16, 1e-2}, std::pair{DType::bf16, 6e-2}}) {
    LoadOptions options = golden_options(true, 0);
    options.compute = compute;
    Classifier narrow(stream(), options);
    const LossSum found = narrow.train(golden_rows());
    EXPECT_NEAR(found.nats, wanted.nats, tolerance * wanted.nats);
    EXPECT_LT(relative_error(narrow.values(narrow.model.decoder->params().grads()), gradients),
              tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, GoldenClassifier, testing::every_device(), testing::case_name);

TEST(ClassifierCpu, ResultsDoNotDependOnThreads) {
  std::vector<double> first;
  for (const int threads : {1, 2, 5}) {
    const auto stream = Stream::open({}, threads);
    Classifier classifier(*stream, golden_options(true, 0));
    classifier.train(golden_rows());
    const auto gradients = classifier.values(classifier.model.decoder->params().grads());
    if (first.empty()) first = gradients;
    EXPECT_EQ(first, gradients) << threads << " threads";
  }
}

TEST(ClassifierCpu, AFreshHeadIsNormalAndTheFilesOwnHeadIsTaken) {
  const auto stream = Stream::open({}, 1);
  ModelFiles files = open_model_files(golden() / "llama");
  const LoadedModel model = load_model(*stream, files, golden_options(false, 0));
  const auto head = model.decoder->params().find(kScoreName)->value.values<float>();
  double squares = 0;
  for (const float w : head) squares += double(w) * double(w);
  // 192 values: their deviation strays by 1 / sqrt(2 * 192) of itself.
  EXPECT_NEAR(std::sqrt(squares / double(head.size())), 0.02, 3 * 0.02 / std::sqrt(2.0 * 192));

  const TemporaryFolder folder;
  const SafetensorsFile base(golden() / "llama" / "model.safetensors");
  SafetensorsWriter writer;
  std::vector<std::vector<float>> kept;
  for (const TensorEntry& entry : base.entries()) {
    kept.emplace_back(std::size_t(entry.elements()));
    base.read_f32(entry, 0, kept.back());
    writer.add_f32(entry.name, entry.shape, kept.back());
  }
  const std::vector<float> stored(3 * 48, 0.25f);
  writer.add_f32(std::string(kScoreName), {3, 48}, stored);
  write_safetensors(folder.path() / "model.safetensors", writer);
  std::string config = read_text_file(golden() / "llama" / "config.json");
  config.replace(config.find("ForCausalLM"), 11, "ForSequenceClassification");
  write_file_atomically(folder.path() / "config.json", config);
  ModelFiles own = open_model_files(folder.path());
  LoadOptions options = golden_options(false, 0);
  EXPECT_THROW(load_model(*stream, own, options), UserError);
  options.classifier = ClassifierOptions{3, {}};
  const LoadedModel loaded = load_model(*stream, own, options);
  const auto taken = loaded.decoder->params().find(kScoreName)->value.values<float>();
  EXPECT_TRUE(std::ranges::equal(taken, stored));
}

}  // namespace
}  // namespace elenchus
