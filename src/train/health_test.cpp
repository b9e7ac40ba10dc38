// Numbers that go bad, and losses that jump.

#include <gtest/gtest.h>

#include <cmath>

#include "train/toy_run_test.h"

namespace elenchus {
namespace {

using toy::TemporaryFolder;
using toy::ToyRun;

std::string bytes_of(Tensor tensor) {
  return {static_cast<const char*>(tensor.data()), tensor.bytes()};
}

/// Parameters and moments, bit for bit.
std::string state_of(ToyRun& run) {
  const auto& optimizer = run.trainer->optimizer();
  std::string bytes = bytes_of(run.model.params().values());
  for (const AdamW::State& state : optimizer.states()) bytes += bytes_of(state.tensor);
  return bytes;
}

TEST(Health, NoBadStepOfFiftyChangesABit) {
  constexpr int kSteps = 50, kCallsAStep = 4;
  for (int bad = 1; bad <= kSteps; ++bad) {
    TemporaryFolder folder;
    ToyRun run(folder.path(), 100);
    run.model.poison = [&](int call, LossSum& sum, std::span<float> grads) {
      if (call != kCallsAStep * (bad - 1) + 1 + bad % kCallsAStep) return;
      if (bad % 2) sum.nats = NAN;
      grads[std::size_t(bad) % grads.size()] = bad % 2 ? 0 : INFINITY;
    };
    std::string before;
    run.make();
    run.log.after_step = [&](std::int64_t step) {
      EXPECT_EQ(state_of(run) == before, step == bad) << "step " << step << ", bad " << bad;
      before = state_of(run);
    };
    before = state_of(run);
    ASSERT_EQ(run.trainer->run().step, kSteps);
    EXPECT_EQ(run.trainer->state().updates, kSteps - 1);
    EXPECT_TRUE(run.log.said(cat("step ", bad, " was skipped")));
    const std::string log = toy::text_of(folder.path() / "trainer_log.jsonl");
    EXPECT_EQ(log.find("\"loss\": null") != std::string::npos, bad % 2 == 1);
    EXPECT_EQ(log.find("\"loss\": 0.0,"), std::string::npos);
  }
}

TEST(Health, TheLossScaleFollowsAScriptedThousandSteps) {
  const auto overflows = [](std::int64_t step) { return step % 97 == 3 || step % 250 < 4; };
  TemporaryFolder folder;
  ToyRun run(folder.path(), 4000);
  run.scale_loss = true;
  run.config.num_train_epochs = 1;
  run.config.logging_steps = 1000;
  run.model.poison = [&](int call, LossSum&, std::span<float> grads) {
    if (overflows((call - 1) / 4 + 1)) grads[0] = INFINITY;
  };
  double scale = 65536;
  std::int64_t updates = 0;
  run.make();
  run.log.after_step = [&](std::int64_t step) {
    if (overflows(step)) {
      EXPECT_TRUE(run.log.messages.back().find(cat("loss scale ", scale, " -> ",
                                                   std::max(1.0, scale / 2))) != std::string::npos)
          << run.log.messages.back();
      scale = std::max(1.0, scale / 2);
    } else {
      ++updates;
    }
    EXPECT_EQ(run.trainer->state().updates, updates);
    EXPECT_EQ(run.log.steps.back().learning_rate,
              run.trainer->schedule().lr(updates - (overflows(step) ? 0 : 1)));
  };
  ASSERT_EQ(run.trainer->run().step, 1000);
}

TEST(Health, EveryCheckpointOfARunThatGoesBadIsFinite) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 1;
  run.model.poison = [](int call, LossSum&, std::span<float> grads) {
    if (call > 8) grads[1] = NAN;
  };
  const RunResult result = run.make().run();
  EXPECT_EQ(result.exit_code, 5);
  ASSERT_FALSE(checkpoint_steps(folder.path()).empty());
  for (const std::int64_t step : checkpoint_steps(folder.path())) {
    ToyRun back(folder.path());
    back.make().resume_from(folder.path() / cat("checkpoint-", step));
    for (const float value : back.values()) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(LossWatch, NoticesAJumpAndGetsUsedToIt) {
  LossWatch watch;
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(watch.observe(i == 5 ? 100.0 : 2.0));  // too few to say
  EXPECT_FALSE(watch.observe(2));
  EXPECT_FALSE(watch.observe(10));
  EXPECT_EQ(watch.observe(10.1), 2.0);
  EXPECT_FALSE(watch.observe(NAN));
  LossWatch resumed;
  resumed.restore(watch.state());
  EXPECT_EQ(resumed.observe(10.1), 2.0);
  for (int i = 0; i < 200; ++i) resumed.observe(10);
  EXPECT_FALSE(resumed.observe(20));
  EXPECT_EQ(resumed.state().as_array("losses").size(), 200u);
  EXPECT_THROW(resumed.restore(Json::Array{"x"}), InputError);
}

TEST(Health, AJumpOfTheLossIsAWarning) {
  TemporaryFolder folder;
  ToyRun run(folder.path(), 100);
  run.model.poison = [](int call, LossSum& sum, std::span<float>) {
    if (call == 4 * 30 + 1) sum.nats += 1000;
  };
  run.make().run();
  EXPECT_TRUE(run.log.said("step 31: the loss "));
  EXPECT_FALSE(run.log.said("step 32: the loss "));
}

}  // namespace
}  // namespace elenchus
