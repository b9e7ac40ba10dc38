#include "jobs/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "models/weight_reader.h"
#include "nn/context.h"
#include "train/adamw.h"

namespace elenchus {
namespace {

constexpr std::size_t kAddressSpace = std::size_t{1} << 46;
/// Measured: the program with its libraries on the host; kernels, context and cuBLASLt's workspace
/// on a GPU.
constexpr std::size_t kProgramBytes = std::size_t{40} << 20;
constexpr std::size_t kCudaContextBytes = std::size_t{560} << 20;
constexpr std::size_t kCudaLibraryBytes = std::size_t{48} << 20;
/// Measured: what cuDNN keeps on the device for the kernels that it compiles for soft caps.
constexpr std::size_t kSoftCapKernelBytes = std::size_t{240} << 20;

/// A batch of `sequences` equal parts whose tensors hold nothing: enough for a dry step.
struct DryBatch {
  DryBatch(Stream& stream, Arena& arena, std::int64_t tokens, std::int64_t targets,
           std::int64_t sequences) {
    for (std::int64_t s = 0; s <= sequences; ++s)
      starts.push_back(std::int32_t(tokens * s / std::max<std::int64_t>(sequences, 1)));
    const auto indices = [&](std::int64_t n) { return arena.alloc({n}, DType::i32); };
    ids = indices(tokens);
    context.emplace(Context{.stream = stream,
                            .arena = arena,
                            .positions = indices(tokens),
                            .sequences = {indices(std::int64_t(starts.size())), starts},
                            .dropout = RandomKey{},
                            .cache = nullptr});
    chosen = {indices(targets), indices(targets)};
  }
  std::vector<std::int32_t> starts;
  Tensor ids;
  Targets chosen;
  std::optional<Context> context;
};

/// Arena bytes of the largest training micro-batch, evaluation batch and prompt.
std::size_t activation_bytes(Stream& stream, Decoder& decoder, const LargestShapes& shapes,
                             KvCache* cache) {
  Arena arena(stream, kAddressSpace);
  if (shapes.train_tokens > 0) {
    Arena::Scope scope(arena);
    DryBatch batch(stream, arena, shapes.train_tokens, shapes.train_targets,
                   shapes.train_sequences);
    decoder.loss_and_backward(*batch.context, batch.ids, batch.chosen, 1);
  }
  if (shapes.eval_tokens > 0) {
    Arena::Scope scope(arena);
    DryBatch batch(stream, arena, shapes.eval_tokens, shapes.eval_targets, shapes.eval_sequences);
    batch.context->dropout.reset();
    LossOutputs outputs{.row_loss = arena.alloc({shapes.eval_targets}, DType::f32),
                        .prediction = arena.alloc({shapes.eval_targets}, DType::i32)};
    if (decoder.num_labels() > 0)
      outputs.class_scores = arena.alloc({shapes.eval_targets, decoder.num_labels()}, DType::f32);
    decoder.losses(*batch.context, batch.ids, batch.chosen, outputs);
  }
  if (shapes.prompt_tokens > 0) {
    Arena::Scope scope(arena);
    DryBatch batch(stream, arena, shapes.prompt_tokens, shapes.prompts, shapes.prompts);
    batch.context->dropout.reset();
    batch.context->cache = cache;
    decoder.logits(*batch.context, batch.ids, batch.chosen.rows);
  }
  if (shapes.scored_tokens > 0) {
    Arena::Scope scope(arena);
    DryBatch batch(stream, arena, shapes.scored_tokens, shapes.scored_tokens, 1);
    batch.context->dropout.reset();
    decoder.logits(*batch.context, batch.ids, batch.chosen.rows);
  }
  return arena.peak_bytes();
}

/// Elements of the largest projection, and with the vocabulary's matrices of the largest weight.
std::int64_t largest_projection(const DecoderConfig& config) {
  std::int64_t elements = 0;
  for (const Slot slot : kProjectionSlots)
    if (has_projection(config, slot))
      elements = std::max(elements, projection_shape(config, slot).elements());
  return elements;
}
std::int64_t largest_weight(const DecoderConfig& config) {
  return std::max(config.vocabulary * config.width, largest_projection(config));
}

std::size_t optimizer_bytes(Stream& stream, ParamSet& params, const TrainingConfig& training) {
  const std::size_t before = stream.allocated_bytes();
  const AdamW optimizer(stream, params, training);
  return stream.allocated_bytes() - before;
}

}  // namespace

std::size_t MemoryPlan::peak() const {
  const std::size_t while_training = device_total() + scratch;
  const std::size_t while_loading = weights + adapter + loading + scratch;
  return process + std::max(while_training, while_loading);
}

MemoryPlan plan_memory(const ModelBuilder& build, const LargestShapes& shapes,
                       const TrainingConfig* training, const DeviceChoice& where) {
  const Recompute recompute = training ? training->gradient_checkpointing : Recompute::off;
  const std::unique_ptr<Stream> stream = Stream::open_dry(where.device);
  LoadedModel model = build(*stream);
  Decoder& decoder = *model.decoder;
  const DecoderConfig& config = decoder.config();
  MemoryPlan plan;
  plan.layers = config.layers;
  plan.trained_parameters = decoder.params().elements();
  plan.adapter = std::size_t(plan.trained_parameters) * 2 * sizeof(float);
  plan.weights = stream->allocated_bytes() - plan.adapter;
  plan.optimizer = training && shapes.train_tokens > 0
                       ? optimizer_bytes(*stream, decoder.params(), *training)
                       : 0;
  const bool cuda = where.device.kind == Device::Kind::cuda;
  plan.scratch = cuda
                     ? kCudaLibraryBytes + (config.attention_soft_cap > 0 ? kSoftCapKernelBytes : 0)
                     : std::size_t(where.threads) * Stream::kWorkerScratchBytes;
  // On a GPU a weight lies there in f32 until it is quantised, and the vocabulary's matrices pass in
  // pieces. On the CPU a weight is read whole: its values, and for GGUF's paired rows a copy.
  plan.loading = cuda ? std::size_t(largest_projection(config) + kPieceElements) * sizeof(float)
                      : std::size_t(largest_weight(config)) * 2 * sizeof(float);
  // The tokenizer's tables go with its vocabulary.
  plan.process = cuda ? kCudaContextBytes : kProgramBytes + std::size_t(config.vocabulary) * 500;
  std::optional<KvCache> cache;
  if (shapes.prompts > 0) {
    const std::size_t before = stream->allocated_bytes();
    cache.emplace(decoder.make_cache(*stream, shapes.prompts, shapes.cache_rows));
    plan.cache = stream->allocated_bytes() - before;
  }
  const auto measure = [&](std::int64_t level) {
    plan.recomputation = Recomputation::at(level, config.layers);
    decoder.set_recomputation(plan.recomputation);
    plan.activations = activation_bytes(*stream, decoder, shapes, cache ? &*cache : nullptr);
    return plan.peak() <= where.available_bytes;
  };
  const std::int64_t most = 2 * config.layers;
  if (recompute != Recompute::automatic) {
    measure(recompute == Recompute::off ? 0 : most);
    return plan;
  }
  // The first level that fits; the last one if none does.
  std::int64_t low = 0, high = most;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (measure(middle))
      high = middle;
    else
      low = middle + 1;
  }
  measure(low);
  return plan;
}

std::string bytes_text(std::size_t bytes) {
  if (bytes >= std::size_t{1} << 30)
    return fmt::format("{:.2f} GiB", double(bytes) / double(1 << 30));
  return fmt::format("{:.1f} MiB", double(bytes) / double(1 << 20));
}

std::string memory_plan_text(const MemoryPlan& plan) {
  std::string out;
  const auto line = [&](std::string_view part, std::size_t bytes, std::string_view note) {
    out += fmt::format("  {:<14}{:>12}  {}\n", part, bytes_text(bytes), note);
  };
  line("weights", plan.weights, "frozen, as they are kept");
  line("adapter", plan.adapter,
       fmt::format("{} trained parameters and their gradients", plan.trained_parameters));
  line("optimizer", plan.optimizer, "two moments a parameter");
  line("activations", plan.activations,
       fmt::format("largest micro-batch; {} of {} blocks recomputed{}", plan.recomputation.whole,
                   plan.layers,
                   plan.recomputation.gate_up > 0
                       ? fmt::format(", gate and up of {} more", plan.recomputation.gate_up)
                       : ""));
  if (plan.cache > 0) line("cache", plan.cache, "keys and values of generated replies");
  line("scratch", plan.scratch, "of the threads");
  line("process", plan.process, "program, libraries, tokenizer and data");
  line("peak", plan.peak(), "");
  return out;
}

}  // namespace elenchus
