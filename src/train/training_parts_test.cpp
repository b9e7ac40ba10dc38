// The small parts of the loop: step plan, optimizer, loss scaler, best metric.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "train/adamw.h"
#include "train/early_stopping.h"
#include "train/loss_scaler.h"
#include "train/step_plan.h"

namespace elenchus {
namespace {

TEST(StepPlan, LastGroupOfAnEpochMayBeShort) {
  TrainingConfig config;
  config.gradient_accumulation_steps = 4;
  config.num_train_epochs = 2.5;
  const StepPlan plan = make_step_plan(config, 10);
  EXPECT_EQ(plan.steps_per_epoch, 3);
  EXPECT_EQ(plan.total_steps, 8);  // ceil(2.5 * 3)
  EXPECT_EQ(plan.epochs, 3);
  EXPECT_EQ(plan.group(3).count, 2);
  EXPECT_EQ(plan.group(4).epoch, 1);
  EXPECT_EQ(plan.group(4).first, 0);
  EXPECT_DOUBLE_EQ(plan.epoch_after(2), 0.8);
  EXPECT_DOUBLE_EQ(plan.epoch_after(3), 1.0);
  EXPECT_DOUBLE_EQ(plan.epoch_after(4), 1.4);
}

TEST(StepPlan, MaxStepsWins) {
  TrainingConfig config;
  config.gradient_accumulation_steps = 4;
  config.max_steps = 7;
  const StepPlan plan = make_step_plan(config, 10);
  EXPECT_EQ(plan.total_steps, 7);
  EXPECT_EQ(plan.epochs, 3);
}

TEST(StepPlan, RefusesRunsWithoutSteps) {
  TrainingConfig config;
  EXPECT_THROW(make_step_plan(config, 0), UserError);
  config.num_train_epochs = 0;
  EXPECT_THROW(make_step_plan(config, 5), UserError);
  config.max_steps = std::numeric_limits<decltype(config.max_steps)>::max();
  EXPECT_THROW(make_step_plan(config, 5), UserError);
  config.max_steps = -1;
  config.gradient_accumulation_steps = 0;
  EXPECT_THROW(make_step_plan(config, 5), UserError);
}

TEST(StepPlan, IntervalsBelowOneAreShares) {
  EXPECT_EQ(interval_steps(0.1, 25, "save_steps"), 3);
  EXPECT_EQ(interval_steps(20, 25, "save_steps"), 20);
  EXPECT_THROW(interval_steps(0, 25, "save_steps"), UserError);
}

struct Fixture {
  std::unique_ptr<Stream> stream = Stream::open({}, 1);
  ParamSet params;
  TrainingConfig config;
  Fixture() {
    const ParamSet::Entry entries[] = {{"a", {3}}, {"b", {2}}};
    params = ParamSet(*stream, entries);
    params.params()[1].weight_decay = false;
    set(params.values(), {1, -2, 3, 0.5f, -1});
    set(params.grads(), {2, -4, 6, 8, -10});
    config.weight_decay = 0.1;
  }
  static void set(Tensor tensor, std::vector<float> values) {
    std::copy(values.begin(), values.end(), tensor.as<float>());
  }
};

TEST(AdamW, ClipsTheMeanGradientAndDecaysWhatItShould) {
  Fixture f;
  AdamW optimizer(*f.stream, f.params, f.config);
  const UpdateResult result =
      optimizer.clip_and_step({.gradient_scale = 0.5, .max_grad_norm = 1, .learning_rate = 0.01});
  EXPECT_TRUE(result.applied);
  EXPECT_NEAR(result.grad_norm, std::sqrt(1.0 + 4 + 9 + 16 + 25), 1e-12);
  // The first update of Adam is the sign of the gradient times the rate.
  const auto w = f.params.values().values<float>();
  EXPECT_NEAR(w[0], 1 - 0.01 * 0.1 * 1 - 0.01, 1e-6);
  EXPECT_NEAR(w[1], -2 + 0.01 * 0.1 * 2 + 0.01, 1e-6);
  EXPECT_NEAR(w[3], 0.5 - 0.01, 1e-6);  // no decay
  const double clip = 1 / (result.grad_norm + 1e-6);
  EXPECT_NEAR(optimizer.first_moments().values<float>()[4], 0.1 * -5 * clip, 1e-7);
}

TEST(AdamW, LeavesEverythingAloneWhenTheGradientIsNotFinite) {
  for (const float bad : {NAN, INFINITY}) {
    Fixture f;
    AdamW optimizer(*f.stream, f.params, f.config);
    f.params.grads().values<float>()[2] = bad;
    EXPECT_FALSE(optimizer.clip_and_step({.learning_rate = 0.01}).applied);
    EXPECT_EQ(f.params.values().values<float>()[0], 1);
    EXPECT_EQ(optimizer.second_moments().values<float>()[0], 0);
    EXPECT_EQ(optimizer.updates(), 0);
  }
}

TEST(AdamW, NamesAreMappedOrRefused) {
  EXPECT_EQ(describe_optimizer("adamw_torch_fused"), "");
  EXPECT_NE(describe_optimizer("paged_adamw_8bit").find("float32 moments"), std::string::npos);
  EXPECT_THROW(describe_optimizer("sgd"), UserError);
  EXPECT_THROW(describe_optimizer("adafactor"), UserError);
}

TEST(LossScaler, HalvesOnOverflowAndDoublesAfterTwoThousandGoodSteps) {
  LossScaler scaler;
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 32768);
  for (int i = 0; i < 1999; ++i) scaler.update(false);
  EXPECT_EQ(scaler.scale(), 32768);
  LossScaler resumed;
  resumed.restore(scaler.state());
  resumed.update(false);
  EXPECT_EQ(resumed.scale(), 65536);
  for (int i = 0; i < 40; ++i) resumed.update(true);
  EXPECT_EQ(resumed.scale(), 1);
  EXPECT_THROW(resumed.restore(Json::Object{{"scale", 0}}), InputError);
}

TEST(BestMetric, DirectionFollowsTheName) {
  TrainingConfig config;
  EXPECT_FALSE(BestMetric(config).greater_is_better());
  config.metric_for_best_model = "eval_style";
  BestMetric best(config);
  EXPECT_EQ(best.key(), "eval_style");
  EXPECT_TRUE(best.greater_is_better());
  EXPECT_FALSE(best.observe(1, NAN));
  EXPECT_TRUE(best.observe(2, 0.5));
  EXPECT_FALSE(best.observe(3, 0.5));
  EXPECT_TRUE(best.observe(4, 0.6));
  EXPECT_EQ(best.best_step(), 4);
  const std::string known[] = {"loss", "tone"};
  EXPECT_THROW(best.check_known(known), UserError);
}

TEST(BestMetric, PatienceCountsEvaluationsThatDoNotImproveEnough) {
  TrainingConfig config;
  config.early_stopping_patience = 2;
  config.early_stopping_threshold = 0.1;
  BestMetric best(config);
  best.observe(1, 1.0);
  EXPECT_TRUE(best.observe(2, 0.95));  // better, but not by enough for patience
  EXPECT_FALSE(best.out_of_patience());
  best.observe(3, 0.94);
  EXPECT_TRUE(best.out_of_patience());
  best.observe(4, 0.5);
  EXPECT_FALSE(best.out_of_patience());
}

}  // namespace
}  // namespace elenchus
