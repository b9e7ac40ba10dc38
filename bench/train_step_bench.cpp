// Speed of training and of generation on the CPU with a real model: tokens/s, and the share of the
// multiply-add peak.
//   build/train_step_bench MODEL [rows] [tokens a row] [steps] [threads]

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "bench/fma_peak.h"
#include "jobs/memory_plan.h"
#include "jobs/random_rows.h"
#include "models/loader.h"
#include "train/adamw.h"

namespace elenchus {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Bench {
  Bench(const char* path, std::int64_t rows, std::int64_t length, int threads)
      : files(open_model_files(path)), stream(Stream::open({}, threads)) {
    load.lora = LoraConfig{};
    load.max_positions = std::max<std::int64_t>(length, 1024);
    shapes = {.train_tokens = rows * length,
              .train_targets = rows * (length - 1),
              .train_sequences = rows};
    shapes.prompts = 1;
    shapes.prompt_tokens = 512;
    shapes.cache_rows = 1024;
    TrainingConfig training;
    training.gradient_checkpointing = Recompute::off;
    plan = plan_memory([&](Stream& dry) { return load_model(dry, files, load); }, shapes, &training,
                       choose_device("cpu", threads));
    arena = std::make_unique<Arena>(*stream, plan.activations);
    model = load_model(*stream, files, load);
  }

  /// Seconds of each training step: forward, backward and update.
  std::vector<double> train(const RandomRows& batch, int steps) {
    TrainingConfig config;
    AdamW optimizer(*stream, model.decoder->params(), config);
    std::vector<double> seconds;
    for (int step = 0; step < steps; ++step) {
      const double began = now();
      Arena::Scope scope(*arena);
      stream->zero(model.decoder->params().grads());
      DeviceBatch device = upload(*stream, *arena, batch.view());
      const LossSum loss =
          model.decoder->loss_and_backward(device.context, device.tokens, device.targets, 1);
      optimizer.clip_and_step(
          {.gradient_scale = 1 / loss.tokens, .max_grad_norm = 1, .learning_rate = 1e-4});
      seconds.push_back(now() - began);
    }
    return seconds;
  }

  /// One forward of `counts` new tokens a sequence over the cache.
  void extend(KvCache& cache, std::int64_t sequences, std::int64_t count, std::int64_t position) {
    Arena::Scope scope(*arena);
    RandomRows rows(sequences, count, model.decoder->vocabulary_size(), 0,
                    RandomTargets::every_token);
    for (std::int32_t& p : rows.positions) p += std::int32_t(position);
    std::vector<std::int32_t> last;
    const std::vector<std::int32_t> counts(static_cast<std::size_t>(sequences),
                                           std::int32_t(count));
    for (std::int64_t s = 1; s <= sequences; ++s) last.push_back(std::int32_t(s * count - 1));
    rows.targets = last;
    rows.labels = last;
    DeviceBatch device = upload(*stream, *arena, rows.view(), {}, &cache);
    model.decoder->logits(device.context, device.tokens, device.targets.rows);
    cache.advance(counts);
  }

  ModelFiles files;
  std::unique_ptr<Stream> stream;
  LoadOptions load;
  LargestShapes shapes;
  MemoryPlan plan;
  std::unique_ptr<Arena> arena;
  LoadedModel model;
};

/// Multiply-adds of a training step count four operations a weight and token forward and back (the
/// frozen weights have no gradient), six an adapter parameter; attention's are counted causally.
double training_flops(const Decoder& decoder, std::int64_t rows, std::int64_t length) {
  const DecoderConfig& c = decoder.config();
  double weights = 0;
  for (const Slot slot : kProjectionSlots)
    if (has_projection(c, slot)) weights += double(projection_shape(c, slot).elements());
  const double tokens = double(rows * length);
  const double linear = tokens * 4 * (weights * double(c.layers) + double(c.vocabulary * c.width));
  const double attention =
      7 * double(c.layers * c.heads * c.head_dim) * double(rows) * double(length * length);
  return linear + attention;
}

int run(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: train_step_bench MODEL [rows] [tokens a row] [steps] [threads]\n");
    return 2;
  }
  const auto number = [&](int i, int fallback) { return argc > i ? std::atoi(argv[i]) : fallback; };
  const int rows = number(2, 4), length = number(3, 256), steps = number(4, 6),
            threads = number(5, 0);
  Bench bench(argv[1], rows, length, threads);
  const double peak = fma_peak_gflops(bench.stream->pool());
  Decoder& decoder = *bench.model.decoder;
  const RandomRows batch(rows, length, decoder.vocabulary_size(), 0, RandomTargets::every_token);
  const double step = median(bench.train(batch, steps));
  const double flops = training_flops(decoder, rows, length) +
                       6.0 * double(decoder.params().elements()) * rows * length;
  std::printf("threads %d, multiply-add peak %.0f GFLOP/s\n", bench.stream->pool().threads(), peak);
  std::printf(
      "training %d x %d, rank 16 on all linear layers, NF4, every token trained: %.1f tokens/s, "
      "%.0f GFLOP/s, "
      "%.0f %% of peak (median of %d steps, %.2f s each)\n",
      rows, length, double(rows) * length / step, flops / step * 1e-9,
      100 * flops / step * 1e-9 / peak, steps, step);

  constexpr int kPrompt = 512, kNew = 64;
  KvCache cache = decoder.make_cache(*bench.stream, 1, 1024);
  std::vector<double> prompt, generated;
  for (int attempt = 0; attempt < 3; ++attempt) {
    cache.clear();
    double began = now();
    bench.extend(cache, 1, kPrompt, 0);
    prompt.push_back(now() - began);
    began = now();
    for (int i = 0; i < kNew; ++i) bench.extend(cache, 1, 1, kPrompt + i);
    generated.push_back(now() - began);
  }
  std::printf("prompt %.0f tokens/s (%d at once), generation %.1f tokens/s (one sequence)\n",
              kPrompt / median(prompt), kPrompt, kNew / median(generated));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("memory planned %s, measured peak %s\n", bytes_text(bench.plan.peak()).c_str(),
              bytes_text(std::size_t(usage.ru_maxrss) * 1024).c_str());
  return 0;
}

}  // namespace
}  // namespace elenchus

int main(int argc, char** argv) {
  try {
    return elenchus::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
