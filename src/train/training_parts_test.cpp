// The small parts of the loop: step plan, optimizer, loss scaler, best metric.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
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

Tensor state_of(const AdamW& optimizer, std::string_view name) {
  for (const AdamW::State& state : optimizer.states())
    if (state.name == name) return state.tensor;
  throw InternalError("no such state");
}

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
  EXPECT_NEAR(state_of(optimizer, "exp_avg.b").values<float>()[1], 0.1 * -5 * clip, 1e-7);
}

TEST(AdamW, LeavesEverythingAloneWhenTheGradientIsNotFinite) {
  for (const float bad : {NAN, INFINITY}) {
    Fixture f;
    AdamW optimizer(*f.stream, f.params, f.config);
    f.params.grads().values<float>()[2] = bad;
    EXPECT_FALSE(optimizer.clip_and_step({.learning_rate = 0.01}).applied);
    EXPECT_EQ(f.params.values().values<float>()[0], 1);
    EXPECT_EQ(state_of(optimizer, "exp_avg_sq.a").values<float>()[0], 0);
    EXPECT_EQ(optimizer.updates(), 0);
  }
}

TEST(AdamW, RatesDifferByParameter) {
  Fixture f;
  f.params.params()[1].rate_factor = 4;
  AdamW optimizer(*f.stream, f.params, f.config);
  optimizer.clip_and_step({.learning_rate = 0.01});
  const auto w = f.params.values().values<float>();
  EXPECT_NEAR(w[0], 1 - 0.01 * 0.1 * 1 - 0.01, 1e-6);
  EXPECT_NEAR(w[3], 0.5 - 0.04, 1e-6);
}

/// A large parameter, which 8 bits are for, between two small ones.
struct Mixed {
  std::unique_ptr<Stream> stream = Stream::open({}, 2);
  ParamSet params;
  explicit Mixed() {
    const ParamSet::Entry entries[] = {{"small", {5}}, {"large", {17, 300}}, {"last", {4, 3}}};
    params = ParamSet(*stream, entries);
  }
  void set_gradients(std::uint64_t step) {
    const RandomKey key{.seed = step};
    auto grads = params.grads().values<float>();
    for (std::size_t i = 0; i < grads.size(); ++i) grads[i] = key.uniform(i) - 0.5f;
  }
};

TEST(AdamW, EightBitMomentsTakeAQuarterAndStayNearTheWideOnes) {
  Mixed narrow, wide;
  TrainingConfig config;
  const std::size_t before[] = {narrow.stream->allocated_bytes(), wide.stream->allocated_bytes()};
  AdamW in_32(*wide.stream, wide.params, config);
  config.optim = "adamw_8bit";
  AdamW in_8(*narrow.stream, narrow.params, config);
  const std::size_t bytes_8 = narrow.stream->allocated_bytes() - before[0],
                    bytes_32 = wide.stream->allocated_bytes() - before[1];
  EXPECT_EQ(bytes_32, 8u * (5 + 17 * 300 + 12));
  EXPECT_LT(double(bytes_8), 0.28 * double(bytes_32));
  for (std::uint64_t step = 1; step <= 20; ++step) {
    for (Mixed* each : {&narrow, &wide}) each->set_gradients(step);
    in_8.clip_and_step({.learning_rate = 0.01});
    in_32.clip_and_step({.learning_rate = 0.01});
  }
  const auto a = narrow.params.values().values<float>(), b = wide.params.values().values<float>();
  double difference = 0, moved = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double(a[i]) - double(b[i]), 2);
    moved += std::pow(double(b[i]), 2);
  }
  EXPECT_LT(std::sqrt(difference / moved), 0.03);  // codes are a few per cent apart
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(a[i], b[i]);
  EXPECT_EQ(a.back(), b.back());
}

TEST(AdamW, NamesTheStateOfEightBits) {
  Mixed mixed;
  TrainingConfig config;
  config.optim = "adamw_8bit";
  const AdamW optimizer(*mixed.stream, mixed.params, config);
  EXPECT_EQ(state_of(optimizer, "exp_avg.small").dtype(), DType::f32);
  EXPECT_EQ(state_of(optimizer, "exp_avg_sq.large").dtype(), DType::u8);
  EXPECT_EQ(state_of(optimizer, "exp_avg_sq.large").shape(), (Shape{17, 300}));
  EXPECT_EQ(state_of(optimizer, "exp_avg_sq.large.absmax").shape(), Shape{20});
  EXPECT_EQ(state_of(optimizer, "exp_avg.last").shape(), (Shape{4, 3}));
}

TEST(AdamW, NamesAreMappedOrRefused) {
  EXPECT_EQ(describe_optimizer("adamw_torch_fused"), "");
  EXPECT_EQ(describe_optimizer("adamw_8bit"), "");
  EXPECT_NE(describe_optimizer("paged_adamw_8bit").find("blocks of 8 bits, which stay"),
            std::string::npos);
  EXPECT_NE(describe_optimizer("paged_adamw_32bit").find("float32 moments"), std::string::npos);
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

const std::vector<std::string> kLowerIsBetter = {"loss", "perplexity"};

TEST(BestMetric, DirectionIsTheMetricsOwnUnlessTheRecipeSaysOtherwise) {
  TrainingConfig config;
  EXPECT_FALSE(BestMetric(config, kLowerIsBetter).greater_is_better());
  config.metric_for_best_model = "eval_perplexity";
  EXPECT_FALSE(BestMetric(config, kLowerIsBetter).greater_is_better());
  config.greater_is_better = true;
  EXPECT_TRUE(BestMetric(config, kLowerIsBetter).greater_is_better());
  EXPECT_NE(BestMetric(config, kLowerIsBetter).warning()->find("highest eval_perplexity"),
            std::string::npos);
}

TEST(BestMetric, BetterIsStrictlyBetter) {
  TrainingConfig config;
  config.metric_for_best_model = "eval_style";
  BestMetric best(config, kLowerIsBetter);
  EXPECT_FALSE(best.warning());
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
  BestMetric best(config, kLowerIsBetter);
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
