#include "train/trainer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "train/toy_run_test.h"

namespace elenchus {
namespace {

using toy::TemporaryFolder;
using toy::ToyRun;
namespace fs = std::filesystem;

TEST(Trainer, LearnsAndExports) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.num_train_epochs = 20;
  const RunResult result = run.make().run();
  EXPECT_EQ(result.end, RunEnd::finished);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.step, 60);
  const auto epoch_loss = [&](std::size_t first) {
    double sum = 0;
    for (std::size_t i = first; i < first + 3; ++i) sum += run.log.steps[i].loss;
    return sum;
  };
  EXPECT_LT(epoch_loss(57), 0.8 * epoch_loss(0));
  for (const char* file :
       {"adapter_model.safetensors", "adapter_config.json", "README.md", "tokenizer.json",
        "trainer_state.json", "train_results.json", "all_results.json", "trainer_log.jsonl",
        "training_progress/training_metrics.csv", "training_progress/training_summary.json"})
    EXPECT_TRUE(fs::exists(folder.path() / file)) << file;
}

TEST(Trainer, EightTimesOneEqualsFourTimesTwo) {
  TemporaryFolder one, two;
  ToyRun fine(one.path(), 11, 1), coarse(two.path(), 11, 2);
  fine.config.gradient_accumulation_steps = 8;
  coarse.config.gradient_accumulation_steps = 4;
  fine.make().run();
  coarse.make().run();
  ASSERT_EQ(fine.log.steps.size(), coarse.log.steps.size());
  for (std::size_t i = 0; i < fine.log.steps.size(); ++i) {
    EXPECT_NEAR(fine.log.steps[i].loss, coarse.log.steps[i].loss, 1e-7);
    EXPECT_NEAR(fine.log.steps[i].grad_norm, coarse.log.steps[i].grad_norm, 1e-6);
  }
  const auto a = fine.values(), b = coarse.values();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5);
}

TEST(Trainer, FirstStepRunsAtTheFirstRateOfTheWarmup) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.warmup_steps = 2;
  run.config.num_train_epochs = 4;
  run.make().run();
  EXPECT_EQ(run.log.steps[0].learning_rate, 0);
  EXPECT_DOUBLE_EQ(run.log.steps[1].learning_rate, 0.025);
  EXPECT_FALSE(run.log.said("did not move"));
}

TEST(Trainer, NamesAdaptersThatDoNotLearn) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.model.dead_second_layer = true;
  run.make().run();
  EXPECT_TRUE(run.log.said("1 of 2 adapters did not move"));
  EXPECT_TRUE(run.log.said("model.layers.1.self_attn.q_proj.lora_B.weight"));
}

TEST(Trainer, AStepThatIsNotFiniteChangesNothing) {
  for (const bool in_loss : {true, false}) {
    TemporaryFolder folder;
    ToyRun run(folder.path());
    run.model.poison = [&](int call, LossSum& sum, std::span<float> grads) {
      if (call != 5) return;  // the first micro-batch of step 2
      if (in_loss) sum.nats = NAN;
      grads[0] = INFINITY;
    };
    std::vector<std::vector<float>> values;
    run.log.after_step = [&](std::int64_t) { values.push_back(run.values()); };
    const RunResult result = run.make().run();
    EXPECT_EQ(result.end, RunEnd::finished);
    EXPECT_EQ(values[0], values[1]);
    EXPECT_NE(values[1], values[2]);
    EXPECT_FALSE(run.log.steps[1].applied);
    EXPECT_TRUE(run.log.said("step 2 was skipped"));
    EXPECT_TRUE(run.log.said("rows 4, 5, 6, 7"));
    EXPECT_EQ(run.trainer->state().updates, 5);
  }
}

TEST(Trainer, ThreeBadStepsInARowEndTheRunWithoutSavingThem) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 1;
  run.model.poison = [](int call, LossSum& sum, std::span<float>) {
    if (call > 8) sum.nats = NAN;
  };
  const RunResult result = run.make().run();
  EXPECT_EQ(result.end, RunEnd::bad_numbers);
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.step, 5);
  EXPECT_FALSE(fs::exists(folder.path() / "adapter_model.safetensors"));
}

TEST(Trainer, ExportsNothingThatIsNotFinite) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 4;
  run.log.after_step = [&](std::int64_t step) {
    if (step == 6) run.model.params().values().values<float>()[0] = NAN;
  };
  const RunResult result = run.make().run();
  EXPECT_EQ(result.end, RunEnd::bad_numbers);
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_TRUE(run.log.said((folder.path() / "checkpoint-4").string()));
  for (const char* file : {"adapter_model.safetensors", "trainer_state.json", "all_results.json"})
    EXPECT_FALSE(fs::exists(folder.path() / file)) << file;
}

TEST(Trainer, ALearningRateThatIsNotFiniteIsAnErrorBeforeTheUpdate) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.lr_scheduler_type = "cosine_warmup_with_min_lr";
  run.config.lr_scheduler_kwargs = {{"min_lr_rate", 0}, {"warmup_lr_rate", 1e308}};
  run.config.learning_rate = 1e10;
  run.config.warmup_steps = 3;
  const std::vector<float> before = run.values();
  run.make();
  try {
    run.trainer->run();
    FAIL() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::bad_numbers);
  }
  EXPECT_EQ(run.values(), before);
}

TEST(Trainer, LossScaleIsHalvedAndTheGradientUnscaled) {
  TemporaryFolder one, two;
  ToyRun scaled(one.path()), plain(two.path());
  scaled.scale_loss = true;
  scaled.model.poison = [](int call, LossSum&, std::span<float> grads) {
    if (call <= 4) grads[0] = INFINITY;
  };
  scaled.make().run();
  EXPECT_TRUE(scaled.log.said("loss scale 65536 -> 32768"));
  plain.make().run();
  EXPECT_NEAR(scaled.log.steps[1].grad_norm, plain.log.steps[1].grad_norm,
              0.5 * plain.log.steps[1].grad_norm);
  EXPECT_EQ(scaled.trainer->state().updates, 5);
}

TEST(Trainer, EvaluatesSavesAndKeepsTheBest) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.num_train_epochs = 4;  // 12 steps
  run.config.eval_strategy = Strategy::steps;
  run.config.eval_steps = 2;
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 5;
  run.config.save_total_limit = 2;
  run.config.load_best_model_at_end = true;
  run.config.eval_on_start = true;
  run.make().run();
  EXPECT_EQ(run.log.evaluations, (std::vector<std::int64_t>{0, 2, 4, 6, 8, 10, 12}));
  const Json state = Json::parse(toy::text_of(folder.path() / "trainer_state.json"), "state");
  const std::int64_t best = state.at("best_global_step", "s").as_integer("s");
  const auto checkpoints = checkpoint_steps(folder.path());
  EXPECT_LE(checkpoints.size(), 2u);
  EXPECT_TRUE(std::ranges::count(checkpoints, best) == 1);
  EXPECT_EQ(state.at("best_model_checkpoint", "s").as_string("s"),
            (folder.path() / cat("checkpoint-", best)).string());
  EXPECT_EQ(toy::text_of(folder.path() / "adapter_model.safetensors"),
            toy::text_of(folder.path() / cat("checkpoint-", best) / "adapter_model.safetensors"));
}

TEST(Trainer, StopsEarly) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.num_train_epochs = 100;
  run.config.eval_strategy = Strategy::epoch;
  run.config.metric_for_best_model = "eval_loss";
  run.config.greater_is_better = true;  // the loss falls, so nothing is ever better
  run.config.early_stopping_patience = 3;
  const RunResult result = run.make().run();
  EXPECT_EQ(result.end, RunEnd::finished);
  EXPECT_LT(result.step, 30);
}

TEST(Trainer, RefusesWhatCannotWorkBeforeTheFirstStep) {
  const auto refuses = [](auto&& change) {
    TemporaryFolder folder;
    ToyRun run(folder.path());
    change(run);
    EXPECT_THROW(run.make(), UserError);
  };
  refuses([](ToyRun& run) {
    run.config.eval_strategy = Strategy::steps;
    run.config.metric_for_best_model = "socratic";
  });
  refuses([](ToyRun& run) { run.config.load_best_model_at_end = true; });
  refuses([](ToyRun& run) { run.config.early_stopping_patience = 2; });
  refuses([](ToyRun& run) { run.config.eval_strategy = Strategy::best; });
  refuses([](ToyRun& run) { run.config.optim = "lion_32bit"; });
  refuses([](ToyRun& run) { run.config.logging_steps = 0; });
  refuses([](ToyRun& run) { run.config.max_grad_norm = -1; });
}

TEST(Trainer, SavesWhenASignalAsksAndGoesOn) {
  TemporaryFolder folder;
  StopSignal stop;
  ToyRun run(folder.path());
  run.stop = &stop;
  run.log.after_step = [](std::int64_t step) {
    if (step == 2) raise(SIGUSR1);
  };
  EXPECT_EQ(run.make().run().end, RunEnd::finished);
  EXPECT_EQ(run.log.saves, std::vector<std::int64_t>{2});
}

TEST(Trainer, StopsAtASignalWithItsExitCode) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    TemporaryFolder folder;
    StopSignal stop;
    ToyRun run(folder.path());
    run.stop = &stop;
    run.model.poison = [&](int call, LossSum&, std::span<float>) {
      if (call == 10) raise(signal);  // in the middle of step 3: 4 + 4 + 2
    };
    run.config.num_train_epochs = 4;
    const RunResult result = run.make().run();
    EXPECT_EQ(result.end, RunEnd::interrupted);
    EXPECT_EQ(result.exit_code, 128 + signal);
    EXPECT_EQ(run.log.saves.size(), 1u);
  }
}

TEST(StopSignal, LeavesAHangUpAloneThatIsIgnored) {
  const auto earlier = std::signal(SIGHUP, SIG_IGN);  // as nohup has it
  {
    const StopSignal stop;
    raise(SIGHUP);
    EXPECT_EQ(stop.stop_requested(), 0);
  }
  EXPECT_EQ(std::signal(SIGHUP, earlier), SIG_IGN);
}

TEST(Trainer, AStopDuringSamplesRepeatsTheEvaluation) {
  TemporaryFolder folder;
  for (const bool resumed : {false, true}) {
    StopSignal stop;
    ToyRun run(folder.path());
    run.stop = &stop;
    run.config.eval_strategy = Strategy::steps;
    run.config.eval_steps = 3;
    run.sample_replies = [&] {
      if (!resumed) raise(SIGTERM);
      return std::vector<Sample>{{"prompt", "reply"}};
    };
    run.make();
    if (resumed) run.trainer->resume();
    const RunResult result = run.trainer->run();
    EXPECT_EQ(result.end, resumed ? RunEnd::finished : RunEnd::interrupted);
    EXPECT_EQ(run.log.evaluations,
              resumed ? (std::vector<std::int64_t>{3, 6}) : std::vector<std::int64_t>{});
  }
}

TEST(TrainerDeathTest, ASecondSignalEndsAtOnce) {
  EXPECT_EXIT(
      {
        StopSignal stop;
        raise(SIGTERM);
        raise(SIGTERM);
      },
      testing::ExitedWithCode(143), "");
}

/// While it lives, no file may grow beyond a few bytes: writes fail as on a full disk.
class FullDisk {
 public:
  FullDisk() : earlier_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit small{16, limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &limit_);
    std::signal(SIGXFSZ, earlier_);
  }

 private:
  rlimit limit_{};
  void (*earlier_)(int);
};

TEST(Trainer, GoesOnWhenASaveFails) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 1;
  std::optional<FullDisk> full;
  run.log.after_step = [&](std::int64_t step) {
    full.reset();
    if (step == 2 || step == 3) full.emplace();
  };
  EXPECT_EQ(run.make().run().end, RunEnd::finished);
  EXPECT_EQ(checkpoint_steps(folder.path()), (std::vector<std::int64_t>{1, 4, 5, 6}));
  EXPECT_TRUE(run.log.said("checkpoint of step 2 failed"));
  for (const auto& entry : fs::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos);
}

/// Evaluates and saves after each of 6 steps; as the loss falls, the first step is the "best".
void configure_best(ToyRun& run) {
  run.config.learning_rate = 0.003;  // small enough to fall at every step
  run.config.eval_strategy = Strategy::steps;
  run.config.eval_steps = 1;
  run.config.greater_is_better = true;
  run.config.load_best_model_at_end = true;
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 1;
}

/// That the adapter and eval_results.json are those of a step.
void expect_result_of_step(const ToyRun& run, std::int64_t step) {
  const fs::path folder = run.config.output_dir;
  EXPECT_EQ(toy::text_of(folder / "adapter_model.safetensors"),
            toy::text_of(folder / cat("checkpoint-", step) / "adapter_model.safetensors"));
  const Json told = Json::parse(toy::text_of(folder / "eval_results.json"), "eval_results");
  for (const Json& row : run.trainer->state().log_history) {
    if (!row.find("eval_loss") || row.at("step", "row") != Json(step)) continue;
    EXPECT_EQ(told.at("eval_loss", "told"), row.at("eval_loss", "row"));
  }
}

TEST(Trainer, TheResultIsTheBestAdapterThatCanBeRead) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  configure_best(run);
  run.log.after_step = [&](std::int64_t step) {
    if (step == 6)
      std::ofstream(folder.path() / "checkpoint-1" / "adapter_model.safetensors") << "damage";
  };
  EXPECT_EQ(run.make().run().end, RunEnd::finished);
  EXPECT_TRUE(run.log.said("the best adapter of step 1 cannot be loaded"));
  EXPECT_TRUE(run.log.said("highest eval_loss"));
  expect_result_of_step(run, 2);
}

TEST(Trainer, RotationKeepsTheBestCheckpointThatThereIs) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  configure_best(run);
  run.config.save_total_limit = 1;
  run.log.after_step = [&](std::int64_t step) {
    if (step == 3) fs::remove_all(folder.path() / "checkpoint-1");
  };
  EXPECT_EQ(run.make().run().end, RunEnd::finished);
  EXPECT_EQ(checkpoint_steps(folder.path()), (std::vector<std::int64_t>{2, 6}));
  expect_result_of_step(run, 2);
}

TEST(Trainer, NoResultOfAnEarlierRunIsTakenForThisOnes) {
  TemporaryFolder folder;
  for (const bool evaluates : {true, false}) {
    ToyRun run(folder.path());
    if (evaluates) run.config.eval_strategy = Strategy::epoch;
    run.make().run();
    EXPECT_EQ(fs::exists(folder.path() / "eval_results.json"), evaluates);
  }
  EXPECT_TRUE(fs::exists(folder.path() / "previous_run" / "eval_results.json"));
}

TEST(Trainer, GivesUpAfterThreeFailedSaves) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 1;
  std::optional<FullDisk> full;
  run.log.after_step = [&](std::int64_t step) {
    if (step == 2) full.emplace();
  };
  run.make();
  try {
    run.trainer->run();
    FAIL() << "no DeviceError";
  } catch (const DeviceError& error) {
    full.reset();
    EXPECT_EQ(error.exit_code, ExitCode::out_of_resources);
  }
}

}  // namespace
}  // namespace elenchus
