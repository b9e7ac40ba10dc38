// Forty steps of a tiny classifier against transformers and PEFT.

#include "data/batch_source.h"
#include "models/golden_classifier_test.h"
#include "testing/temporary_folder.h"
#include "train/trainer.h"

namespace elenchus {
namespace {

using namespace golden_classifier;
using testing::relative_error;

/// Keeps what each step reports.
class StepRecorder : public Callback {
 public:
  explicit StepRecorder(std::vector<StepReport>& steps) : steps_(steps) {}
  void on_step(const StepReport& step) override { steps_.push_back(step); }

 private:
  std::vector<StepReport>& steps_;
};

TEST(ClassifierCpu, FortyStepsFollowTransformersAndPeft) {
  const auto stream = Stream::open({}, 2);
  Classifier classifier(*stream);
  const TemporaryFolder folder;
  TrainingConfig config;
  config.output_dir = (folder.path() / "out").string();
  config.max_steps = 40;
  config.gradient_accumulation_steps = 2;
  config.learning_rate = 3e-3;
  config.weight_decay = 0.05;
  config.warmup_steps = 5;
  config.lr_scheduler_type = "linear";
  config.max_grad_norm = 0.5;
  config.save_strategy = Strategy::no;
  std::vector<TokenizedRow> rows;
  for (const Row& row : golden_rows()) {
    rows.emplace_back();
    rows.back().number = std::int64_t(rows.size()) - 1;
    rows.back().ids = row.ids;
    rows.back().label = row.label;
  }
  const RowBatchSource batches(rows, {.batch_size = 2, .sampling = Sampling::sequential});
  std::filesystem::create_directory(config.output_dir);
  CheckpointStore store(*stream, config.output_dir, {}, AdapterFiles{});
  std::vector<StepReport> steps;
  std::vector<std::unique_ptr<Callback>> callbacks;
  callbacks.push_back(std::make_unique<StepRecorder>(steps));
  Trainer trainer(config, {.stream = *stream,
                           .arena = classifier.arena,
                           .model = *classifier.model.decoder,
                           .batches = batches,
                           .checkpoints = store,
                           .callbacks = std::move(callbacks),
                           .sample_replies = {},
                           .identity = Json(Json::Object{})});
  trainer.run();
  const std::vector<float> losses = reference("trajectory.losses"),
                           norms = reference("trajectory.norms");
  ASSERT_EQ(steps.size(), losses.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_NEAR(steps[i].loss, losses[i], 1e-3 * losses[i]) << "step " << i + 1;
    EXPECT_NEAR(steps[i].grad_norm, norms[i], 1e-3 * norms[i]) << "step " << i + 1;
    EXPECT_EQ(steps[i].supervised_tokens, 4);
  }
  EXPECT_LT(relative_error(classifier.values(classifier.score().value),
                           wide(reference("trajectory.score"))),
            1e-4);
}

}  // namespace
}  // namespace elenchus
