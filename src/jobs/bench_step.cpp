// `elenchus bench step`: training steps of a model of random weights, timed.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/clock.h"
#include "base/error.h"
#include "base/terminal.h"
#include "jobs/bench_models.h"
#include "jobs/jobs.h"
#include "jobs/memory_plan.h"
#include "jobs/random_rows.h"
#include "models/random_weights.h"
#include "ops/attention/attention_library.h"
#include "ops/matmul/matmul.h"
#include "tensor/device_streams.h"
#include "tensor/work_parts.h"
#include "train/adamw.h"

namespace elenchus {
namespace {

constexpr std::int64_t kBenchLabels = 3;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Operations of training a token, forward and backward: four a frozen weight, whose gradient is
/// not needed, and attention's products counted for the keys that a query sees.
double flops_per_token(const DecoderConfig& c, const BenchStepOptions& options) {
  double weights = options.task == BenchTask::causal ? double(c.vocabulary * c.width) : 0;
  for (const Slot slot : kProjectionSlots)
    weights += double(c.layers) * double(projection_shape(c, slot).elements());
  const double attention = 2 * double(c.layers * c.heads * c.head_dim) * double(options.length);
  return 4 * weights + 3.5 * attention;
}

/// Operations a second of a large product in the compute type.
double matrix_peak(Stream& stream, DType dtype) {
  const std::int64_t n = stream.on_cuda() ? 8192 : 1024;
  const Buffer a(stream, {n, n}, dtype), b(stream, {n, n}, dtype), c(stream, {n, n}, dtype);
  const RandomKey key{.seed = 5};
  visit_float(dtype, [&]<class T>() {
    std::vector<T> row(std::size_t(n), T(0.0f));
    for (const Buffer* matrix : {&a, &b})
      for (std::int64_t r = 0; r < n; ++r) {
        for (std::int64_t i = 0; i < n; ++i)
          row[std::size_t(i)] = T(key.uniform(std::uint64_t((r * 977 + i) % (1 << 20))) - 0.5f);
        stream.copy(matrix->tensor().rows(r, 1), ConstTensor(row.data(), {1, n}, dtype));
        stream.synchronize();
      }
  });
  Arena scratch(stream, std::size_t{64} << 20);
  std::vector<double> seconds;
  for (int i = 0; i < 8; ++i) {
    const double began = monotonic_seconds();
    ops::matmul(stream, scratch, c.tensor(), a.tensor(), ops::Transpose::as_is, b.tensor(),
                ops::Transpose::transposed);
    stream.synchronize();
    seconds.push_back(monotonic_seconds() - began);
  }
  return 2 * std::pow(double(n), 3) / median(seconds);
}

/// The model, its plan and what trains it.
class Bench {
 public:
  explicit Bench(const BenchStepOptions& options)
      : options_(options),
        identity_(bench_model(options.architecture)),
        where_(choose_device(options.device, 0, limits(options))),
        load_(load_options()),
        training_(training_config()),
        plan_(plan_memory([this](Stream& stream) { return build(stream); }, shapes(), &training_,
                          where_)) {
    if (plan_.peak() > where_.available_bytes)
      throw UserError(
          fmt::format("this needs {} of memory and {} are there:\n{}", bytes_text(plan_.peak()),
                      bytes_text(where_.available_bytes), memory_plan_text(plan_)),
          ExitCode::out_of_resources);
  }

  int run();

 private:
  static std::map<std::string, std::string> limits(const BenchStepOptions& options) {
    if (!options.max_memory) return {};
    if (!memory_size(*options.max_memory))
      throw UserError(cat("--max-memory: found ", *options.max_memory,
                          "; expected a number of bytes, such as 8GiB"));
    constexpr int kDevices = 64;  // whichever is taken
    std::map<std::string, std::string> limits{{"cpu", *options.max_memory}};
    for (int i = 0; i < kDevices; ++i) limits[std::to_string(i)] = *options.max_memory;
    return limits;
  }
  LoadOptions load_options() const {
    LoadOptions load;
    load.lora.emplace();
    load.lora->r = options_.rank;
    load.lora->lora_alpha = 2.0 * options_.rank;
    load.lora->lora_dropout = options_.dropout;
    if (!options_.target_modules.empty()) load.lora->target_modules = options_.target_modules;
    load.compute = choose_compute(where_.device, {options_.compute});
    load.max_positions = options_.length;
    if (options_.task == BenchTask::classifier)
      load.classifier = ClassifierOptions{.num_labels = kBenchLabels};
    return load;
  }
  TrainingConfig training_config() const {
    TrainingConfig training;
    training.gradient_checkpointing = options_.recompute;
    return training;
  }
  LoadedModel build(Stream& stream) const {
    RandomWeights weights(stream, load_.compute, 7);
    return build_model(stream, identity_, weights, load_);
  }
  LargestShapes shapes() const {
    return {.train_tokens = options_.rows * options_.length,
            .train_targets = options_.task == BenchTask::classifier
                                 ? options_.rows
                                 : options_.rows * (options_.length - 1),
            .train_sequences = options_.rows};
  }
  /// Of the device, by whomever: the benchmark should be alone on it.
  std::size_t used_bytes() const {
    if constexpr (kCudaBuilt)
      if (where_.device.kind == Device::Kind::cuda) {
        const DeviceMemory memory = cuda_memory(where_.device);
        return memory.all - memory.free;
      }
    return 0;
  }
  void step(Stream& stream, Arena& arena, Decoder& decoder, AdamW& optimizer,
            const RandomRows& rows, int number) const;
  void report(double peak, double seconds, const std::vector<double>& all) const;
  void report_parts(const PartSeconds& parts) const;

  BenchStepOptions options_;
  ModelIdentity identity_;
  DeviceChoice where_;
  LoadOptions load_;
  TrainingConfig training_;
  MemoryPlan plan_;
};

void Bench::step(Stream& stream, Arena& arena, Decoder& decoder, AdamW& optimizer,
                 const RandomRows& rows, int number) const {
  stream.zero(decoder.params().grads());
  LossSum loss;
  for (int i = 0; i < options_.accumulation; ++i) {
    Arena::Scope scope(arena);
    const RandomKey dropout{.seed = 1,
                            .use = RandomUse::dropout,
                            .step = std::uint32_t(number * options_.accumulation + i)};
    DeviceBatch batch = upload(stream, arena, rows.view(), dropout);
    loss += decoder.loss_and_backward(batch.context, batch.tokens, batch.targets, 1);
  }
  const UpdateResult update = optimizer.clip_and_step(
      {.gradient_scale = 1 / loss.tokens, .max_grad_norm = 1, .learning_rate = 1e-4});
  stream.synchronize();
  if (!std::isfinite(loss.nats) || !update.applied)
    throw UserError(
        fmt::format("step {}: loss {}, gradient norm {}: not finite, so its speed means nothing",
                    number, loss.nats / loss.tokens, update.grad_norm),
        ExitCode::bad_numbers);
}

int Bench::run() {
  const std::unique_ptr<Stream> stream = Stream::open(where_.device);
  const double peak = matrix_peak(*stream, load_.compute);
  const double began_loading = monotonic_seconds();
  LoadedModel model = build(*stream);
  Arena arena(*stream, plan_.activations);
  Decoder& decoder = *model.decoder;
  decoder.set_recomputation(plan_.recomputation);
  AdamW optimizer(*stream, decoder.params(), training_);
  const RandomRows rows(options_.rows, options_.length, decoder.vocabulary_size(), kBenchLabels,
                        options_.task == BenchTask::classifier ? RandomTargets::class_of_row
                                                               : RandomTargets::every_token);
  write_output(fmt::format("{} {}, {} x {} tokens x {}, rank {}, {} on {}, loaded in {:.1f} s\n",
                           options_.architecture, EnumNames<BenchTask>::names[int(options_.task)],
                           options_.rows, options_.length, options_.accumulation, options_.rank,
                           name_of(load_.compute), where_.name(),
                           monotonic_seconds() - began_loading));
  std::vector<double> seconds;
  std::size_t after_first = 0;
  for (int i = 0; i < options_.warm_up + options_.steps; ++i) {
    const double began = monotonic_seconds();
    step(*stream, arena, decoder, optimizer, rows, i);
    if (i >= options_.warm_up) seconds.push_back(monotonic_seconds() - began);
    if (i == 0) after_first = used_bytes();
  }
  report(peak, median(seconds), seconds);
  if (!stream->on_cuda()) return 0;
  if constexpr (kCudaBuilt) {
    const std::size_t at_end = used_bytes();
    write_output(fmt::format(
        "memory {} planned, {} measured on the device ({} after the first step), {} of it "
        "allocated here; {}\n",
        bytes_text(plan_.peak()), bytes_text(at_end), bytes_text(after_first),
        bytes_text(stream->allocated_bytes()), ops::attention_library(*stream)));
    start_timing_parts(*stream);
    step(*stream, arena, decoder, optimizer, rows, options_.warm_up + options_.steps);
    report_parts(stop_timing_parts(*stream));
  }
  return 0;
}

void Bench::report(double peak, double seconds, const std::vector<double>& all) const {
  const double tokens = double(options_.rows * options_.length * options_.accumulation);
  const double rate = tokens / seconds * flops_per_token(identity_.config, options_);
  const auto [low, high] = std::ranges::minmax(all);
  write_output(fmt::format(
      "{:.0f} tokens/s, median of {} steps of {:.1f} ms ({:.1f} to {:.1f})\n"
      "{:.2f} TFLOP/s without recomputation, {:.0f} % of the {:.2f} of a large product\n",
      tokens / seconds, all.size(), seconds * 1e3, low * 1e3, high * 1e3, rate * 1e-12,
      100 * rate / peak, peak * 1e-12));
  write_output(memory_plan_text(plan_));
}

void Bench::report_parts(const PartSeconds& parts) const {
  const double all = std::accumulate(parts.begin(), parts.end(), 0.0);
  write_output(fmt::format("one step by part, {:.1f} ms:\n", all * 1e3));
  for (std::size_t i = 0; i < kWorkParts; ++i)
    write_output(fmt::format("  {:<15}{:>9.2f} ms {:>5.1f} %\n", name_of(WorkPart(i)),
                             parts[i] * 1e3, 100 * parts[i] / all));
}

}  // namespace

int bench_step(const BenchStepOptions& options) {
  if (options.length < 2)
    throw UserError(cat("--length: found ", options.length, "; expected at least 2"));
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 28;  // of 32-bit places
  if (options.rows > kMostTokens / options.length)
    throw UserError(cat("--rows ", options.rows, " of --length ", options.length,
                        " are too many tokens; expected at most ", kMostTokens));
  return Bench(options).run();
}

}  // namespace elenchus
