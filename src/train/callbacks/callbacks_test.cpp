// What the callbacks write, given the values a run tells them.

#include <gtest/gtest.h>

#include <cmath>

#include "train/callbacks/memory_log.h"
#include "train/callbacks/plots.h"
#include "train/callbacks/progress_bar.h"
#include "train/callbacks/samples.h"
#include "train/log_rows.h"
#include "train/toy_run_test.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

RunInfo info_of(const fs::path& folder) {
  return {.output_dir = folder,
          .first_step = 0,
          .total_steps = 10,
          .steps_per_epoch = 5,
          .epochs = 2,
          .schedule = "linear",
          .metrics = {"style", "combined_score"},
          .lower_is_better = {"loss", "perplexity"},
          .best_metric = "combined_score",
          .log_history = {}};
}

Json train_row(std::int64_t step, double loss) {
  return Json::Object{{"epoch", double(step) / 5},
                      {"grad_norm", 0.5},
                      {"learning_rate", 1e-4},
                      {"loss", loss},
                      {"step", step}};
}

Json eval_row(std::int64_t step, double score) {
  return Json::Object{{"epoch", double(step) / 5},
                      {"eval_combined_score", score},
                      {"eval_loss", 1.5},
                      {"eval_style", 0.25},
                      {"step", step}};
}

TEST(MetricsCsv, OneLineAStepAndEmptyWhereNotMeasured) {
  toy::TemporaryFolder folder;
  const fs::path file = folder.path() / "training_progress/training_metrics.csv";
  RunInfo resumed = info_of(folder.path());
  for (int begin = 0; begin < 2; ++begin) {
    MetricsCsv csv;
    csv.on_begin(begin == 0 ? info_of(folder.path()) : resumed);
    if (begin == 0) csv.on_log({.row = train_row(1, 2.5)});
    csv.on_log({.row = train_row(2, NAN)});
    csv.on_evaluate({.row = eval_row(2, 0.75)});
    csv.on_evaluate({.row = eval_row(3, 1)});
    EXPECT_EQ(toy::text_of(file),
              "step,epoch,loss,learning_rate,eval_loss,style,combined_score\n"
              "1,0.2,2.5,0.0001,,,\n"
              "2,0.4,nan,0.0001,1.5,0.25,0.75\n"
              "3,0.6,,,1.5,0.25,1.0\n");
    resumed.first_step = 1;
    resumed.log_history = {train_row(1, 2.5)};
  }
}

TEST(MetricsCsv, TakesUpLinesThatTheDiskDidNotTake) {
  toy::TemporaryFolder folder;
  const fs::path file = folder.path() / "training_progress/training_metrics.csv";
  MetricsCsv csv;
  csv.on_begin(info_of(folder.path()));
  csv.on_log({.row = train_row(1, 2.5)});
  const fs::path hidden = folder.path() / "hidden";
  fs::rename(file, hidden);  // its place is gone, so nothing can be written
  csv.on_log({.row = train_row(2, 2)});
  csv.on_evaluate({.row = eval_row(2, 0.75)});
  csv.on_log({.row = train_row(3, 1)});
  fs::rename(hidden, file);
  csv.on_log({.row = train_row(4, 1)});
  EXPECT_EQ(toy::text_of(file),
            "step,epoch,loss,learning_rate,eval_loss,style,combined_score\n"
            "1,0.2,2.5,0.0001,,,\n"
            "2,0.4,2.0,0.0001,1.5,0.25,0.75\n"
            "3,0.6,1.0,0.0001,,,\n"
            "4,0.8,1.0,0.0001,,,\n");
}

TEST(MemoryLog, HasALineForEachEvaluation) {
  toy::TemporaryFolder folder;
  RunInfo info = info_of(folder.path());
  info.memory = {.process_bytes = 10, .process_peak_bytes = 20, .device_bytes = std::nullopt};
  EvaluationReport evaluation;
  evaluation.progress.step = 4;
  evaluation.progress.memory = {.process_bytes = 11, .process_peak_bytes = 20, .device_bytes = 5};
  EndReport end;
  end.progress.step = 10;
  for (int begin = 0; begin < 2; ++begin) {
    MemoryLog log;
    log.on_begin(info);
    log.on_evaluate(evaluation);
    log.on_end(end);
    info.first_step = 4;
  }
  EXPECT_EQ(toy::text_of(folder.path() / "training_progress/memory.csv"),
            "step,event,process_bytes,process_peak_bytes,device_bytes\n"
            "0,start,10,20,\n4,evaluation,11,20,5\n10,end,0,0,\n"
            "4,start,10,20,\n4,evaluation,11,20,5\n10,end,0,0,\n");
}

TEST(Summary, SaysWhatWasBest) {
  toy::TemporaryFolder folder;
  Summary summary;
  RunInfo info = info_of(folder.path());
  info.metrics.emplace_back("perplexity");
  summary.on_begin(info);
  for (const std::int64_t step : {2, 4}) {
    Json row = eval_row(step, step == 2 ? 0.75 : 0.5);
    row.set("eval_perplexity", double(step));
    summary.on_evaluate({.row = row});
  }
  EndReport end;
  end.progress.step = 10;
  end.progress.epoch = 2;
  end.seconds = 12.5;
  end.final_loss = 2.25;
  end.best_step = 2;
  summary.on_end(end);
  const Json out = Json::parse(
      toy::text_of(folder.path() / "training_progress/training_summary.json"), "summary");
  EXPECT_EQ(out.at("best_combined_score", "s"), Json(0.75));
  EXPECT_EQ(out.at("best_eval_loss", "s"), Json(1.5));
  EXPECT_EQ(out.at("best_perplexity", "s"), Json(2.0));
  EXPECT_EQ(out.at("final_loss", "s"), Json(2.25));
  EXPECT_EQ(out.at("total_steps", "s"), Json(10));
  EXPECT_EQ(out.at("final_epoch", "s"), Json(2.0));
  EXPECT_EQ(out.at("training_duration", "s"), Json(12.5));
}

TEST(TrainerLog, HasTheKeysOfLlamaFactoryAndIsCutBackOnResume) {
  toy::TemporaryFolder folder;
  TrainerLog log;
  log.on_begin(info_of(folder.path()));
  for (std::int64_t step = 1; step <= 4; ++step) {
    LogReport report;
    report.progress = {.step = step, .total_steps = 10, .epoch = 0.5, .elapsed_seconds = 62};
    report.loss = 2.5;
    report.learning_rate = 1e-4;
    log.on_log(report);
  }
  const fs::path file = folder.path() / "trainer_log.jsonl";
  EXPECT_EQ(toy::text_of(file).substr(0, toy::text_of(file).find('\n')),
            R"({"current_steps": 1, "total_steps": 10, "loss": 2.5, "lr": 0.0001, "epoch": 0.5, )"
            R"("percentage": 10.0, "elapsed_time": "0:01:02", "remaining_time": "0:00:00", )"
            R"("throughput": 0.0, "total_tokens": 0})");
  try_append(file, "{\"current_steps\": 2, \"los");  // a line that a kill cut off
  EvaluationReport evaluation;
  evaluation.progress = {.step = 2, .total_steps = 10};
  evaluation.values["eval_loss"] = 1.5;
  log.on_evaluate(evaluation);  // after the checkpoint of its step, which does not know of it
  RunInfo resumed = info_of(folder.path());
  resumed.first_step = 2;
  resumed.log_history = {train_row(1, 2.5), train_row(2, 2.5)};
  TrainerLog().on_begin(resumed);
  const std::string text = toy::text_of(file);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(text.find("eval_loss"), std::string::npos);
  fs::remove(file);  // as after a power failure
  TrainerLog().on_begin(resumed);
  EXPECT_EQ(toy::text_of(file),
            R"({"current_steps": 1, "total_steps": 10, "lr": 0.0001, "loss": 2.5, "epoch": 0.2})"
            "\n"
            R"({"current_steps": 2, "total_steps": 10, "lr": 0.0001, "loss": 2.5, "epoch": 0.4})"
            "\n");
}

TEST(Samples, BlocksOfNoEvaluationInTheLogGoOnResume) {
  toy::TemporaryFolder folder;
  Samples samples;
  samples.on_begin(info_of(folder.path()));
  for (std::int64_t step = 2; step <= 6; step += 2) {
    EvaluationReport report;
    report.progress.step = step;
    report.samples = {{"q", "=== step 1\nnot a head"}};
    samples.on_evaluate(report);
  }
  RunInfo resumed = info_of(folder.path());
  resumed.first_step = 4;
  resumed.log_history = {eval_row(2, 1), train_row(4, 1)};
  Samples().on_begin(resumed);
  const std::string text = toy::text_of(folder.path() / "training_progress/samples.txt");
  EXPECT_EQ(text, "=== step 2, epoch 0 ===\nprompt:\n  q\nreply:\n  === step 1\n  not a head\n\n");
}

TEST(ProgressBar, WritesPlainLinesWhereThereIsNoTerminal) {
  std::FILE* file = std::tmpfile();
  {
    ProgressBar bar(Verbosity::normal, file);
    bar.on_begin(info_of("."));
    StepReport step;
    step.progress = {.step = 1, .total_steps = 10};
    bar.on_step(step);
    LogReport log;
    log.progress = {.step = 2, .total_steps = 10, .epoch = 0.4};
    log.loss = 2.5;
    bar.on_log(log);
    bar.on_message(MessageLevel::warning, "careful");
  }
  std::rewind(file);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  EXPECT_NE(text.find("step 2/10  epoch 0.40  loss 2.5000"), std::string::npos);
  EXPECT_EQ(bar_text(0.5, 10), "[=====>    ]");
  EXPECT_EQ(bar_text(1, 4), "[====]");
}

TEST(Plots, DrawsEveryPicture) {
  toy::TemporaryFolder folder;
  std::vector<std::string> warnings;
  Plots plots([&](const std::string& text) { warnings.push_back(text); });
  plots.on_begin(info_of(folder.path()));
  for (std::int64_t step = 1; step <= 4; ++step)
    plots.on_log({.row = train_row(step, 3 - 0.1 * double(step))});
  plots.on_evaluate({.row = eval_row(4, 0.5)});
  plots.on_end({});
  if (!warnings.empty()) GTEST_SKIP() << warnings.front();
  for (const char* name :
       {"training_progress/training_progress.png", "training_loss.png", "training_eval_loss.png",
        "training_style.png", "training_combined_score.png"}) {
    const std::string png = toy::text_of(folder.path() / name);
    ASSERT_GT(png.size(), 1000u) << name;
    EXPECT_EQ(png.substr(1, 3), "PNG");
    EXPECT_EQ(png.substr(16, 8), std::string("\0\0\x04\xb0\0\0\x03\x84", 8));  // 1200 x 900
  }
}

TEST(Plots, AFolderThatCannotBeWrittenIsAWarning) {
  toy::TemporaryFolder folder;
  std::vector<std::string> warnings;
  Plots plots([&](const std::string& text) { warnings.push_back(text); });
  plots.on_begin(info_of(folder.path() / "gone" / "\x01"));
  fs::create_directories(folder.path() / "gone");
  std::ofstream(folder.path() / "gone" / "\x01") << "a file in the folder's place";
  plots.on_log({.row = train_row(1, 2)});
  plots.on_end({});
  EXPECT_EQ(warnings.size(), 1u);
}

}  // namespace
}  // namespace elenchus
