// A whole model on CUDA: PyTorch's golden values in f32, and the CPU's in 16 bits.

#include "io/peft_adapter.h"
#include "io/safetensors.h"
#include "models/decoder.h"
#include "models/device_batch.h"
#include "models/loader.h"
#include "testing/parity.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;
using testing::relative_error;

using Row = std::vector<std::int32_t>;
const std::vector<Row> kRows = {
    {3, 17, 90, 4, 41, 7, 7, 120, 64, 2, 33}, {5, 99, 1, 0, 77, 23, 54}, {11, 12, 13}};

LoraConfig golden_lora() {
  LoraConfig lora;
  lora.r = 4;
  lora.lora_alpha = 6;
  return lora;
}
const LoraConfig kLora = golden_lora();

std::vector<double> reference(const fs::path& folder, const std::string& name) {
  const SafetensorsFile file(folder / "golden.safetensors");
  const TensorEntry& entry = file.at(name);
  std::vector<float> values(std::size_t(entry.elements()));
  file.read_f32(entry, 0, values);
  return {values.begin(), values.end()};
}

/// A tiny model on one device.
struct Harness {
  Harness(Stream& stream, const fs::path& folder, const LoadOptions& options)
      : stream(stream), arena(stream, std::size_t{64} << 20) {
    ModelFiles files = open_model_files(folder);
    model = load_model(stream, files, options);
    if (options.lora && options.lora->modules_to_save.empty())
      load_adapter(stream, model.decoder->params(), open_adapter_weights(folder / "adapter"));
  }
  std::vector<double> values(ConstTensor tensor) {
    std::vector<float> host(std::size_t(tensor.elements()));
    stream.copy(Tensor(host.data(), tensor.shape(), DType::f32), tensor);
    stream.synchronize();
    return {host.begin(), host.end()};
  }
  /// Logits of every row of the batch.
  std::vector<double> logits(const Row& row, std::int32_t position = 0, KvCache* cache = nullptr) {
    Arena::Scope scope(arena);
    Row positions, all;
    for (std::int32_t i = 0; i < std::int32_t(row.size()); ++i) {
      positions.push_back(position + i);
      all.push_back(i);
    }
    const Row starts = {0, std::int32_t(row.size())};
    DeviceBatch device = upload(stream, arena,
                                {.tokens = row,
                                 .positions = positions,
                                 .starts = starts,
                                 .target_rows = all,
                                 .labels = all},
                                {}, cache);
    return values(model.decoder->logits(device.context, device.tokens, device.targets.rows));
  }
  /// Every token of every row but the first is predicted.
  LossSum train() {
    Arena::Scope scope(arena);
    Row tokens, positions, starts = {0}, rows, labels;
    for (const Row& row : kRows) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (i > 0) {
          rows.push_back(std::int32_t(tokens.size()) - 1);
          labels.push_back(row[i]);
        }
        tokens.push_back(row[i]);
        positions.push_back(std::int32_t(i));
      }
      starts.push_back(std::int32_t(tokens.size()));
    }
    DeviceBatch device = upload(stream, arena,
                                {.tokens = tokens,
                                 .positions = positions,
                                 .starts = starts,
                                 .target_rows = rows,
                                 .labels = labels});
    stream.zero(model.decoder->params().grads());
    return model.decoder->loss_and_backward(device.context, device.tokens, device.targets, 1);
  }
  std::vector<double> gradients() { return values(model.decoder->params().grads()); }

  Stream& stream;
  Arena arena;
  LoadedModel model;
};

class DecoderCuda : public testing::CudaParity {
 protected:
  static std::vector<fs::path> folders() {
    const fs::path golden = fs::path(ELENCHUS_TEST_FOLDER) / "golden";
    return {
        golden / "llama",  golden / "llama_tied_scaled", golden / "gemma2", golden / "qwen3",
        golden / "gemma3", golden / "smollm3",           golden / "phi3",   golden / "phi3_long"};
  }
};

// f32 sums of at most a few hundred terms in another order than PyTorch's.
constexpr double kTolerance = 1e-5;

TEST_F(DecoderCuda, LogitsAreTransformersAndPefts) {
  for (const fs::path& folder : folders())
    for (const bool adapted : {false, true}) {
      LoadOptions options{.load_in_4bit = false, .lora = {}, .max_positions = 64};
      if (adapted) options.lora = kLora;
      Harness harness(cuda(), folder, options);
      for (std::size_t i = 0; i < kRows.size(); ++i)
        EXPECT_LT(
            relative_error(harness.logits(kRows[i]),
                           reference(folder, cat(adapted ? "adapted" : "base", "_logits.", i))),
            kTolerance);
    }
}

TEST_F(DecoderCuda, LossAndGradientsAreTheCpus) {
  // What 16-bit activations leave of tiny models' gradients, through two layers and the head.
  const std::pair<DType, double> cases[] = {
      {DType::f32, kTolerance}, {DType::f16, 1e-2}, {DType::bf16, 6e-2}};
  for (const fs::path& folder : folders())
    for (const auto& [compute, tolerance] : cases) {
      const LoadOptions wide{.load_in_4bit = true, .lora = kLora, .max_positions = 64};
      LoadOptions options = wide;
      options.compute = compute;
      Harness on_cpu(cpu(), folder, wide), on_cuda(cuda(), folder, options);
      const LossSum wanted = on_cpu.train(), found = on_cuda.train();
      EXPECT_NEAR(found.nats, wanted.nats, tolerance * wanted.nats) << name_of(compute);
      EXPECT_EQ(found.tokens, wanted.tokens);
      EXPECT_LT(relative_error(on_cuda.gradients(), on_cpu.gradients()), tolerance)
          << name_of(compute);
    }
}

TEST_F(DecoderCuda, WholeModulesLearnAsOnTheCpu) {
  LoraConfig lora = kLora;
  lora.modules_to_save = {"embed_tokens", "lm_head"};
  const std::pair<DType, double> cases[] = {
      {DType::f32, kTolerance}, {DType::f16, 1e-2}, {DType::bf16, 6e-2}};
  for (const bool tied : {false, true})
    for (const auto& [compute, tolerance] : cases) {
      lora.ensure_weight_tying = tied;
      const LoadOptions wide{.load_in_4bit = true, .lora = lora, .max_positions = 64};
      LoadOptions options = wide;
      options.compute = compute;
      const fs::path folder = fs::path(ELENCHUS_TEST_FOLDER) / "golden" / "gemma2";
      Harness on_cpu(cpu(), folder, wide), on_cuda(cuda(), folder, options);
      const LossSum wanted = on_cpu.train(), found = on_cuda.train();
      EXPECT_NEAR(found.nats, wanted.nats, tolerance * wanted.nats) << name_of(compute);
      const std::vector<double> gradients = on_cuda.gradients();
      EXPECT_LT(relative_error(gradients, on_cpu.gradients()), tolerance) << name_of(compute);
      on_cuda.train();
      EXPECT_EQ(on_cuda.gradients(), gradients);
    }
}

TEST_F(DecoderCuda, RepeatsItsBitsAlsoWhenBlocksAreRecomputed) {
  LoadOptions options{.load_in_4bit = true, .lora = kLora, .max_positions = 64};
  options.compute = DType::bf16;
  for (const fs::path& folder : folders()) {
    Harness harness(cuda(), folder, options);
    const LossSum first = harness.train();
    const std::vector<double> gradients = harness.gradients();
    for (int i = 0; i < 50; ++i) {
      harness.model.decoder->set_recomputation(
          Recomputation::at(i % 5, harness.model.decoder->config().layers));
      EXPECT_EQ(harness.train().nats, first.nats);
      ASSERT_EQ(harness.gradients(), gradients);
    }
  }
}

TEST_F(DecoderCuda, CachedDecodingEqualsTheFullForward) {
  const Row& row = kRows[0];
  for (const fs::path& folder : folders()) {
    Harness harness(cuda(), folder, {.load_in_4bit = true, .lora = kLora, .max_positions = 64});
    const std::vector<double> full = harness.logits(row);
    const std::size_t vocabulary = full.size() / row.size();
    KvCache cache = harness.model.decoder->make_cache(cuda(), 1, 32);
    for (std::size_t at = 0; at < row.size();) {
      const std::size_t count = at == 0 ? 4 : 1;
      const Row step(row.begin() + std::ptrdiff_t(at), row.begin() + std::ptrdiff_t(at + count));
      const std::vector<double> found = harness.logits(step, std::int32_t(at), &cache);
      EXPECT_LT(relative_error(found, std::span(full).subspan(at * vocabulary, count * vocabulary)),
                kTolerance)
          << folder;
      at += count;
      const std::int32_t grown[] = {std::int32_t(count)};
      cache.advance(grown);
    }
  }
}

}  // namespace
}  // namespace elenchus
