// An interrupted run, continued, is the run that was never interrupted.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "base/atomic_folder.h"
#include "base/sha256.h"
#include "train/log_rows.h"
#include "train/toy_run_test.h"

namespace elenchus {
namespace {

using toy::TemporaryFolder;
using toy::ToyRun;
namespace fs = std::filesystem;

void configure(ToyRun& run) {
  run.config.num_train_epochs = 4;  // 12 steps, the last of each epoch short
  run.config.warmup_ratio = 0.25;
  run.config.logging_steps = 2;
  run.config.eval_strategy = Strategy::steps;
  run.config.eval_steps = 3;
  run.config.load_best_model_at_end = true;
  run.config.lr_scheduler_type = "cosine";
  run.model.use_dropout = true;
}

/// log_history without what depends on the clock.
std::string timeless_history(const fs::path& folder) {
  const Json state = Json::parse(toy::text_of(folder / "trainer_state.json"), "state");
  std::string out;
  for (Json row : state.at("log_history", "state").as_array("log_history")) {
    Json kept = Json::Object{};
    for (const auto& [key, value] : row.as_object("row"))
      if (key.find("runtime") == std::string::npos && key.find("per_second") == std::string::npos)
        kept.set(key, value);
    out += kept.dump_sorted() + "\n";
  }
  return out;
}

std::string timeless_log(const fs::path& folder) {
  std::string out;
  const std::string text = toy::text_of(folder / "trainer_log.jsonl");
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    Json row = Json::parse(std::string_view(text).substr(begin, end - begin), "log");
    for (const char* key : {"elapsed_time", "remaining_time", "throughput"}) row.set(key, 0);
    out += row.dump() + "\n";
    begin = end + 1;
  }
  return out;
}

/// Stops a run by a signal after `calls` micro-batches, as often as asked, and then lets it finish.
void run_in_pieces(const fs::path& folder, std::vector<int> calls) {
  calls.push_back(0);
  bool first = true;
  for (const int stop_at : calls) {
    StopSignal stop;
    ToyRun run(folder);
    configure(run);
    run.stop = &stop;
    run.model.poison = [&](int call, LossSum&, std::span<float>) {
      if (call == stop_at) raise(SIGTERM);
    };
    Trainer& trainer = run.make();
    if (!first) trainer.resume();
    const RunResult result = trainer.run();
    ASSERT_EQ(result.end, stop_at > 0 ? RunEnd::interrupted : RunEnd::finished);
    first = false;
  }
}

void expect_same_result(const fs::path& a, const fs::path& b, const std::string& what) {
  EXPECT_EQ(toy::text_of(a / "adapter_model.safetensors"),
            toy::text_of(b / "adapter_model.safetensors"))
      << what;
  EXPECT_EQ(timeless_history(a), timeless_history(b)) << what;
  EXPECT_EQ(timeless_log(a), timeless_log(b)) << what;
  const char* csv = "training_progress/training_metrics.csv";
  EXPECT_EQ(toy::text_of(a / csv), toy::text_of(b / csv)) << what;
}

TEST(Resume, AtEveryMicroBatchGivesTheSameRun) {
  TemporaryFolder whole;
  ToyRun run(whole.path());
  configure(run);
  run.make().run();
  for (int calls = 1; calls < 40; ++calls) {
    TemporaryFolder parts;
    run_in_pieces(parts.path(), {calls});
    expect_same_result(whole.path(), parts.path(), cat("stopped at micro-batch ", calls));
  }
}

/// Fifty steps in two epochs, the last of each short, every one of them saved.
void fifty_steps(ToyRun& run) {
  configure(run);
  run.config.num_train_epochs = 2;
  run.config.load_best_model_at_end = false;  // the best may be a checkpoint of the other folder
  run.config.logging_steps = 1;
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 1;
  run.scale_loss = true;
  run.model.poison = [&run](int, LossSum& sum, std::span<float> grads) {
    // An overflow is a function of the data here, so that it comes again in a resumed run.
    if (sum.nats > 0.1 && run.trainer->state().step % 9 == 4) grads[0] = INFINITY;
  };
}

TEST(Resume, FromEachOfFiftyStepsGivesTheSameRun) {
  constexpr std::int64_t kRows = 98, kSteps = 50;
  TemporaryFolder whole;
  ToyRun run(whole.path(), kRows);
  fifty_steps(run);
  ASSERT_EQ(run.make().run().step, kSteps);
  ASSERT_GT(run.trainer->state().step, run.trainer->state().updates);
  const std::string scaler =
      toy::text_of(whole.path() / cat("checkpoint-", kSteps) / "scaler.json");
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    TemporaryFolder rest;
    ToyRun resumed(rest.path(), kRows);
    fifty_steps(resumed);
    resumed.config.save_steps = kSteps;
    resumed.make().resume_from(whole.path() / cat("checkpoint-", step));
    ASSERT_EQ(resumed.trainer->run().step, kSteps);
    EXPECT_EQ(toy::text_of(whole.path() / "adapter_model.safetensors"),
              toy::text_of(rest.path() / "adapter_model.safetensors"))
        << step;
    EXPECT_EQ(timeless_history(whole.path()), timeless_history(rest.path())) << step;
    EXPECT_EQ(run.trainer->state().updates, resumed.trainer->state().updates);
    if (step == kSteps) continue;
    EXPECT_EQ(scaler, toy::text_of(rest.path() / cat("checkpoint-", kSteps) / "scaler.json"));
  }
}

TEST(Resume, SeesEachRowOncePerEpoch) {
  TemporaryFolder folder;
  std::map<std::pair<std::int64_t, std::int64_t>, int> seen;
  bool done = false;
  for (int stop_at = 3; !done; stop_at += 4) {
    StopSignal stop;
    ToyRun run(folder.path());
    configure(run);
    std::vector<std::pair<std::int64_t, std::int64_t>> asked;
    run.batches.asked = [&](std::int64_t epoch, std::int64_t index) {
      asked.emplace_back(epoch, index);
    };
    run.stop = &stop;
    run.model.poison = [&](int call, LossSum&, std::span<float>) {
      if (call == stop_at) raise(SIGTERM);
    };
    run.make().resume();
    const std::int64_t before = run.trainer->state().step;
    done = run.trainer->run().end == RunEnd::finished;
    // What the interrupted step had begun with is asked for again.
    std::int64_t batches = 0;
    for (std::int64_t step = before + 1; step <= run.trainer->state().step; ++step)
      batches += run.trainer->plan().group(step).count;
    asked.resize(std::size_t(batches));
    for (const auto& one : asked) ++seen[one];
  }
  EXPECT_EQ(seen.size(), 40u);  // ten rows, four epochs
  for (const auto& [place, times] : seen) EXPECT_EQ(times, 1) << place.first << place.second;
}

TEST(Resume, OfAResumedRunGivesTheSameRun) {
  TemporaryFolder whole, parts;
  ToyRun run(whole.path());
  configure(run);
  run.make().run();
  run_in_pieces(parts.path(), {5, 6, 2, 9, 1, 3, 4, 2, 5, 3});
  expect_same_result(whole.path(), parts.path(), "ten times");
}

TEST(Resume, AKilledRunLosesOnlyWhatCameAfterItsCheckpoint) {
  TemporaryFolder whole, parts;
  struct Killed {};
  for (const auto& folder : {whole.path(), parts.path()}) {
    ToyRun run(folder);
    configure(run);
    run.config.save_strategy = Strategy::steps;
    run.config.save_steps = 4;
    if (folder == parts.path())
      run.log.after_step = [](std::int64_t step) {
        if (step == 7) throw Killed();
      };
    try {
      run.make().run();
    } catch (const Killed&) {
      run.log.after_step = {};
      ToyRun again(folder);
      configure(again);
      again.config = run.config;
      ASSERT_TRUE(again.make().resume());
      EXPECT_GE(again.trainer->state().step, 4);
      again.trainer->run();
    }
  }
  expect_same_result(whole.path(), parts.path(), "killed after step 7");
}

TEST(Resume, WithNothingLeftTouchesNothing) {
  TemporaryFolder folder;
  ToyRun first(folder.path());
  configure(first);
  first.make().run();
  const auto snapshot = [&] {
    std::string out;
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
      if (entry.is_regular_file()) files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto& file : files)
      out += cat(file.string(), fs::last_write_time(file).time_since_epoch().count(),
                 toy::text_of(file));
    return out;
  };
  const std::string before = snapshot();
  ToyRun second(folder.path());
  configure(second);
  EXPECT_TRUE(second.make().resume());
  EXPECT_TRUE(second.trainer->nothing_to_do());
  const RunResult result = second.trainer->run();
  EXPECT_EQ(result.end, RunEnd::nothing_to_do);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(snapshot(), before);
}

TEST(Resume, ListsEveryDifferenceOfAnotherRun) {
  TemporaryFolder folder;
  ToyRun first(folder.path());
  first.config.save_strategy = Strategy::steps;
  first.config.save_steps = 2;
  first.identity =
      Json::Object{{"training", Json::Object{{"lr", 1e-4}, {"seed", 1}}}, {"data", "a"}};
  first.make().run();
  ToyRun second(folder.path());
  second.identity =
      Json::Object{{"training", Json::Object{{"lr", 2e-4}, {"seed", 1}}}, {"data", "b"}};
  second.make();
  try {
    second.trainer->resume();
    FAIL() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::wrong_checkpoint);
    const std::string text = error.what();
    EXPECT_NE(text.find("training.lr: the checkpoint has 0.0001, this run 0.0002"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("data: "), std::string::npos);
    EXPECT_EQ(text.find("accept_changes"), std::string::npos);  // other data is another training
    EXPECT_EQ(text.find("seed"), std::string::npos);
  }
}

TEST(Resume, TakesOverTheChangesThatAreAccepted) {
  TemporaryFolder folder;
  const auto identity = [](int epochs, double rate) {
    return Json(Json::Object{
        {"training", Json::Object{{"learning_rate", rate}, {"num_train_epochs", epochs}}}});
  };
  ToyRun first(folder.path());
  first.config.save_strategy = Strategy::steps;
  first.identity = identity(2, 0.05);
  ASSERT_EQ(first.make().run().step, 6);
  ToyRun longer(folder.path());
  longer.config.num_train_epochs = 3;
  longer.config.save_strategy = Strategy::steps;
  longer.identity = identity(3, 0.05);
  EXPECT_THROW(longer.make().resume(), UserError);
  longer.config.accept_changes = {"training.learning_rate"};
  EXPECT_THROW(longer.make().resume(), UserError);
  longer.config.accept_changes = {"training.num_train_epochs"};
  ASSERT_TRUE(longer.make().resume());
  EXPECT_EQ(longer.trainer->run().step, 9);
  EXPECT_TRUE(longer.log.said("accepted change: training.num_train_epochs: the checkpoint has 2"));
  EXPECT_EQ(longer.log.steps.size(), 3u);
  for (const char* file : {"checkpoint-9/trainer_state.json", "trainer_state.json"})
    EXPECT_NE(toy::text_of(folder.path() / file).find("this run 3"), std::string::npos);
  ToyRun shorter(folder.path());
  shorter.config.num_train_epochs = 1;
  shorter.identity = identity(1, 0.05);
  shorter.config.accept_changes = {"training"};  // and all below it
  try {
    shorter.make().resume();
    FAIL() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::wrong_checkpoint);
    EXPECT_NE(std::string(error.what()).find("past this run's last step 3"), std::string::npos);
  }
}

/// A run with checkpoints every other step that was not finished, and whose last one, of step 6, has
/// a wrong bit.
void leave_the_newest_checkpoint_damaged(const fs::path& folder) {
  ToyRun run(folder);
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 2;
  run.make().run();
  const fs::path file = folder / "checkpoint-6" / "optimizer.safetensors";
  std::string bytes = toy::text_of(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
  fs::remove(folder / "trainer_state.json");
}

TEST(Resume, SkipsADamagedCheckpointAndSaysSo) {
  TemporaryFolder folder;
  leave_the_newest_checkpoint_damaged(folder.path());
  ToyRun second(folder.path());
  EXPECT_TRUE(second.make().resume());
  EXPECT_EQ(second.trainer->state().step, 4);
  EXPECT_TRUE(second.log.said("checkpoint-6"));
}

TEST(Resume, NeverPassesOverACheckpointOfANewerRelease) {
  TemporaryFolder folder;
  leave_the_newest_checkpoint_damaged(folder.path());
  Json manifest = Json::Object{{"format_version", 2}};
  manifest.set("sha256", sha256_hex(manifest.dump_sorted()));
  std::ofstream(folder.path() / "checkpoint-6" / "manifest.json") << manifest.dump();
  ToyRun second(folder.path());
  second.make();
  for (const bool newest : {true, false}) {
    try {
      newest ? void(second.trainer->resume())
             : second.trainer->resume_from(folder.path() / "checkpoint-6");
      FAIL() << "no UserError";
    } catch (const UserError& error) {
      EXPECT_EQ(error.exit_code, ExitCode::wrong_checkpoint);
      EXPECT_NE(std::string(error.what()).find("newer release"), std::string::npos);
    }
  }
}

TEST(Resume, WhatIsSavedOutlivesDamagedCheckpointsPastIt) {
  TemporaryFolder folder;
  leave_the_newest_checkpoint_damaged(folder.path());
  ToyRun second(folder.path());
  second.config.save_strategy = Strategy::steps;
  second.config.save_steps = 1;
  second.config.save_total_limit = 1;
  EXPECT_TRUE(second.make().resume());
  second.trainer->run();
  EXPECT_TRUE(fs::exists(folder.path() / "previous_run" / "checkpoint-6"));
  EXPECT_FALSE(verify_folder(folder.path() / "checkpoint-6").has_value());
}

TEST(Resume, StartsFromTheBeginningWhereThereIsNoCheckpoint) {
  TemporaryFolder folder;
  ToyRun run(folder.path());
  EXPECT_FALSE(run.make().resume());
  EXPECT_EQ(run.trainer->run().end, RunEnd::finished);
}

TEST(Resume, ANewRunMovesAnEarlierOnesCheckpointsAside) {
  TemporaryFolder folder;
  for (int i = 0; i < 3; ++i) {
    ToyRun run(folder.path());
    run.config.save_strategy = Strategy::steps;
    run.config.save_steps = 3;
    run.make().run();
    EXPECT_EQ(run.log.said("previous_run"), i >= 1);
    EXPECT_EQ(run.log.said("previous_run-2"), i == 2);
  }
  for (const char* place : {".", "previous_run", "previous_run-2"})
    EXPECT_EQ(checkpoint_steps(folder.path() / place), (std::vector<std::int64_t>{3, 6})) << place;
}

TEST(Resume, LogsNoRowOfAStepThatAnEarlierProcessDid) {
  TemporaryFolder folder;
  for (const bool resumed : {false, true}) {
    ToyRun run(folder.path());
    run.config.save_strategy = Strategy::steps;
    run.config.save_steps = 3;
    run.config.logging_steps = resumed ? 1 : 100;
    run.make();
    if (resumed) run.trainer->resume_from(folder.path() / "checkpoint-3");
    run.trainer->run();
    if (!resumed) continue;
    std::vector<std::int64_t> logged;
    for (const Json& row : run.trainer->state().log_history)
      if (row.find("grad_norm")) logged.push_back(row.at("step", "row").as_integer("step"));
    EXPECT_EQ(logged, (std::vector<std::int64_t>{4, 5, 6}));
  }
}

/// Trains with checkpoints at steps 2, 4 and 6 and an evaluation at each.
void train_and_keep_all(ToyRun& run) {
  run.config.save_strategy = Strategy::steps;
  run.config.save_steps = 2;
  run.config.eval_strategy = Strategy::steps;
  run.config.eval_steps = 2;
  run.config.load_best_model_at_end = true;
}

TEST(Resume, FromAnotherFolderTakesNothingOfItsOwnForTheRuns) {
  TemporaryFolder one, two;
  ToyRun first(one.path()), other(two.path());
  train_and_keep_all(first);
  train_and_keep_all(other);
  other.config.learning_rate = 0.001;
  first.make().run();
  other.make().run();
  ToyRun moved(two.path());
  train_and_keep_all(moved);
  moved.make().resume_from(one.path() / "checkpoint-4");
  EXPECT_EQ(moved.trainer->run().end, RunEnd::finished);
  EXPECT_EQ(checkpoint_steps(two.path() / "previous_run"), (std::vector<std::int64_t>{2, 4, 6}));
  EXPECT_TRUE(fs::exists(two.path() / "previous_run" / "adapter_model.safetensors"));
  EXPECT_EQ(moved.values(), first.values());
}

TEST(Resume, AStopBeforeTheFirstStepSavesWhereTheRunIs) {
  TemporaryFolder one, two;
  ToyRun first(one.path());
  train_and_keep_all(first);
  first.make().run();
  StopSignal stop;
  ToyRun moved(two.path());
  train_and_keep_all(moved);
  moved.stop = &stop;
  moved.make().resume_from(one.path() / "checkpoint-4");
  raise(SIGTERM);
  EXPECT_EQ(moved.trainer->run().end, RunEnd::interrupted);
  EXPECT_EQ(checkpoint_steps(two.path()), std::vector<std::int64_t>{4});
}

TEST(Resume, JudgesWhatWasMeasuredByTheMetricOfNow) {
  TemporaryFolder folder;
  ToyRun first(folder.path());
  first.identity = Json::Object{{"training", Json::Object{{"metric_for_best_model", "loss"}}}};
  train_and_keep_all(first);
  first.make().run();
  ToyRun second(folder.path());
  second.identity =
      Json::Object{{"training", Json::Object{{"metric_for_best_model", "perplexity"}}}};
  train_and_keep_all(second);
  second.config.metric_for_best_model = "perplexity";
  second.config.accept_changes = {"training.metric_for_best_model"};
  second.make().resume_from(folder.path() / "checkpoint-4");
  second.trainer->run();
  const Json state = Json::parse(toy::text_of(folder.path() / "trainer_state.json"), "state");
  const std::int64_t best = state.at("best_global_step", "s").as_integer("s");
  for (const Json& row : second.trainer->state().log_history) {
    if (!row.find("eval_perplexity") || row.at("step", "row") != Json(best)) continue;
    EXPECT_EQ(state.at("best_metric", "s"), row.at("eval_perplexity", "row"));
  }
}

TEST(Resume, KeepsTheLossScale) {
  TemporaryFolder folder;
  for (const bool resumed : {false, true}) {
    ToyRun run(folder.path());
    run.scale_loss = true;
    run.config.save_strategy = Strategy::steps;
    run.config.save_steps = 3;
    run.config.max_steps = 6;
    if (!resumed)
      run.model.poison = [](int call, LossSum&, std::span<float> grads) {
        if (call <= 4) grads[0] = INFINITY;
      };
    run.make();
    if (resumed) {
      run.trainer->resume_from(folder.path() / "checkpoint-3");
      EXPECT_EQ(run.trainer->state().updates, 2);
      EXPECT_NE(toy::text_of(folder.path() / "checkpoint-3/scaler.json").find("32768"),
                std::string::npos);
    }
    EXPECT_EQ(run.trainer->run().end, RunEnd::finished);
  }
}

}  // namespace
}  // namespace elenchus
