#pragma once
// A model small enough to train in microseconds, and a run around it. For tests only.

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "base/file.h"
#include "train/callbacks/metrics_csv.h"
#include "train/callbacks/summary.h"
#include "train/callbacks/trainer_log.h"
#include "train/trainer.h"

namespace elenchus::toy {

/// A folder that is deleted with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    // Memory, where there is such a folder: these tests sync thousands of small files.
    const std::filesystem::path memory = "/dev/shm";
    const auto parent =
        access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
    std::string name = (parent / "elenchus-train-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A linear regression: p(token) = sum_i b_i phi_i(token) + sum_j a_j psi_j(token), loss
/// (p - label / 10)^2 / 2. Dropout leaves targets out, by the micro-batch's key.
class Model : public LanguageModel {
 public:
  explicit Model(Stream& stream) {
    const ParamSet::Entry entries[] = {{"model.layers.0.self_attn.q_proj.lora_A.weight", {2, 3}},
                                       {"model.layers.0.self_attn.q_proj.lora_B.weight", {4, 2}},
                                       {"model.layers.1.self_attn.q_proj.lora_B.weight", {2, 2}}};
    params_ = ParamSet(stream, entries);
    stream.zero(params_.values());
    stream.zero(params_.grads());
    for (float& a : params_.params()[0].value.values<float>()) a = 0.1f;
  }
  double feature(int i, std::int32_t token) const {
    const bool dead = dead_second_layer && i >= 14;
    return dead ? 0 : std::sin(0.7 * (i + 1) * (token + 1));
  }
  double predict(std::int32_t token) const {
    const auto values = params_.values().values<float>();
    double p = 0;
    for (int i = 0; i < int(values.size()); ++i) p += double(values[i]) * feature(i, token);
    return p;
  }
  LossSum loss_and_backward(Context& ctx, ConstTensor tokens, const Targets& targets,
                            float scale) override {
    ++calls;
    const auto rows = targets.rows.values<std::int32_t>();
    const auto labels = targets.labels.values<std::int32_t>();
    const auto grads = params_.grads().values<float>();
    LossSum sum;
    for (std::size_t m = 0; m < rows.size(); ++m) {
      if (use_dropout && ctx.dropout->uniform(m) < 0.2f) continue;
      const std::int32_t token = tokens.values<std::int32_t>()[std::size_t(rows[m])];
      const double error = predict(token) - labels[m] * 0.1;
      sum += {0.5 * error * error, 1};
      for (int i = 0; i < int(grads.size()); ++i)
        grads[i] += scale * float(error * feature(i, token));
    }
    if (poison) poison(calls, sum, grads);
    return sum;
  }
  void losses(Context&, ConstTensor tokens, const Targets& targets,
              const LossOutputs& outputs) override {
    for (std::int64_t m = 0; m < targets.count(); ++m) {
      const auto row = std::size_t(targets.rows.values<std::int32_t>()[std::size_t(m)]);
      const double p = predict(tokens.values<std::int32_t>()[row]);
      const double error = p - targets.labels.values<std::int32_t>()[std::size_t(m)] * 0.1;
      outputs.row_loss.values<float>()[std::size_t(m)] = float(0.5 * error * error);
      outputs.prediction.values<std::int32_t>()[std::size_t(m)] = std::int32_t(std::lround(p * 10));
    }
  }
  Tensor logits(Context&, ConstTensor, ConstTensor) override {
    throw InternalError("the toy has no logits");
  }
  ParamSet& params() override { return params_; }
  std::int64_t vocabulary_size() const override { return 64; }
  KvCache make_cache(Stream& stream, std::int64_t, std::int64_t) const override {
    return KvCache(stream, {}, DType::f32);
  }

  std::function<void(int call, LossSum&, std::span<float> grads)> poison;
  int calls = 0;
  bool use_dropout = false, dead_second_layer = false;

 private:
  ParamSet params_;
};

/// `rows` sequences of 2 to 5 tokens, `size` of them a batch; another order in each epoch.
class Batches : public BatchSource {
 public:
  Batches(std::int64_t rows, std::int64_t size) : rows_(rows), size_(size) {}
  std::int64_t batches_per_epoch() const override { return (rows_ + size_ - 1) / size_; }
  PackedBatch batch(std::int64_t epoch, std::int64_t index) const override {
    if (asked) asked(epoch, index);
    PackedBatch out;
    out.starts = {0};
    for (std::int64_t k = index * size_; k < std::min(rows_, (index + 1) * size_); ++k) {
      const std::int64_t row = (k + epoch * 3) % rows_;
      for (std::int32_t i = 0; i < 2 + row % 4; ++i) {
        if (i > 0) {
          out.target_rows.push_back(std::int32_t(out.tokens.size()) - 1);
          out.labels.push_back(std::int32_t((row * 5 + i) % 11));
        }
        out.tokens.push_back(std::int32_t((row * 7 + i) % 13));
        out.positions.push_back(i);
      }
      out.starts.push_back(std::int32_t(out.tokens.size()));
      out.rows.push_back(row);
    }
    return out;
  }
  std::int64_t max_tokens() const override { return size_ * 5; }
  std::int64_t max_targets() const override { return size_ * 4; }
  std::int64_t rows() const override { return rows_; }
  std::string fingerprint() const override { return "toy"; }

  std::function<void(std::int64_t epoch, std::int64_t index)> asked;

 private:
  std::int64_t rows_, size_;
};

/// Remembers what it was told, and runs a hook after each step.
class Recorder : public Callback {
 public:
  struct Log {
    std::vector<StepReport> steps;
    std::vector<std::string> messages;
    std::vector<std::int64_t> saves, evaluations;
    std::function<void(std::int64_t step)> after_step;
    bool said(std::string_view text) const {
      for (const std::string& message : messages)
        if (message.find(text) != std::string::npos) return true;
      return false;
    }
  };
  explicit Recorder(Log& log) : log_(log) {}
  void on_step(const StepReport& report) override {
    log_.steps.push_back(report);
    if (log_.after_step) log_.after_step(report.progress.step);
  }
  void on_evaluate(const EvaluationReport& report) override {
    log_.evaluations.push_back(report.progress.step);
  }
  void on_save(const SaveReport& report) override { log_.saves.push_back(report.step); }
  void on_message(MessageLevel, const std::string& text) override { log_.messages.push_back(text); }

 private:
  Log& log_;
};

/// Everything of one process's run.
struct ToyRun {
  std::unique_ptr<Stream> stream = Stream::open({}, 1);
  Arena arena{*stream, 1 << 16};
  Model model{*stream};
  Batches batches, eval_batches{6, 2};
  Recorder::Log log;
  std::unique_ptr<CheckpointStore> store;
  std::unique_ptr<Evaluator> evaluator;
  std::unique_ptr<Trainer> trainer;
  TrainingConfig config;
  Json identity = Json::Object{{"seed", 1}};
  StopSignal* stop = nullptr;
  std::function<std::vector<Sample>()> sample_replies;
  bool scale_loss = false;

  explicit ToyRun(const std::filesystem::path& folder, std::int64_t rows = 10,
                  std::int64_t size = 1)
      : batches(rows, size) {
    config.output_dir = folder.string();
    config.num_train_epochs = 2;
    config.gradient_accumulation_steps = 4;
    config.learning_rate = 0.05;
    config.logging_steps = 1;
    config.save_strategy = Strategy::no;
  }
  Trainer& make() {
    store = std::make_unique<CheckpointStore>(
        *stream, config.output_dir, config.save_total_limit,
        AdapterFiles{.config = {}, .files = {{"tokenizer.json", "{}"}}});
    evaluator = std::make_unique<Evaluator>(EvaluatorParts{.stream = *stream,
                                                           .arena = arena,
                                                           .model = model,
                                                           .batches = eval_batches,
                                                           .tokenizer = nullptr,
                                                           .metrics = {},
                                                           .combined = {},
                                                           .generate = {}});
    std::vector<std::unique_ptr<Callback>> callbacks;
    callbacks.push_back(std::make_unique<Recorder>(log));
    callbacks.push_back(std::make_unique<TrainerLog>());
    callbacks.push_back(std::make_unique<MetricsCsv>());
    callbacks.push_back(std::make_unique<Summary>());
    trainer = std::make_unique<Trainer>(config, TrainerParts{.stream = *stream,
                                                             .arena = arena,
                                                             .model = model,
                                                             .batches = batches,
                                                             .checkpoints = *store,
                                                             .evaluator = evaluator.get(),
                                                             .stop = stop,
                                                             .callbacks = std::move(callbacks),
                                                             .sample_replies = sample_replies,
                                                             .identity = identity,
                                                             .scale_loss = scale_loss,
                                                             .flops_per_token = 6});
    return *trainer;
  }
  std::vector<float> values() {
    const auto span = model.params().values().values<float>();
    return {span.begin(), span.end()};
  }
};

inline std::string text_of(const std::filesystem::path& path) { return read_text_file(path); }

}  // namespace elenchus::toy
