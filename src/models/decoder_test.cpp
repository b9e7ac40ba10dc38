#include "models/decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "io/peft_adapter.h"
#include "io/safetensors.h"
#include "models/device_batch.h"
#include "models/loader.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

const std::vector<std::vector<std::int32_t>> kRows = {
    {3, 17, 90, 4, 41, 7, 7, 120, 64, 2, 33}, {5, 99, 1, 0, 77, 23, 54}, {11, 12, 13}};
constexpr std::size_t kArenaBytes = std::size_t{64} << 20;
LoraConfig small_lora() {
  LoraConfig lora;
  lora.r = 4;
  lora.lora_alpha = 6;
  return lora;
}

/// Rows packed end to end; the first trains on every token, the others on their last three.
struct RowBatch {
  std::vector<std::int32_t> tokens, positions, starts = {0}, target_rows, labels;
  void add(const std::vector<std::int32_t>& row, bool all) {
    const auto first = std::int32_t(tokens.size()), length = std::int32_t(row.size());
    for (std::int32_t i = 0; i < length; ++i) {
      tokens.push_back(row[std::size_t(i)]);
      positions.push_back(i);
      if (i >= std::max(1, all ? 1 : length - 3)) {
        target_rows.push_back(first + i - 1);
        labels.push_back(row[std::size_t(i)]);
      }
    }
    starts.push_back(first + length);
  }
};

RowBatch all_rows() {
  RowBatch batch;
  for (std::size_t i = 0; i < kRows.size(); ++i) batch.add(kRows[i], i == 0);
  return batch;
}

fs::path golden(const std::string& model) {
  return fs::path(ELENCHUS_TEST_FOLDER) / "golden" / model;
}

std::vector<float> reference(const fs::path& folder, const std::string& name) {
  const SafetensorsFile file(folder / "golden.safetensors");
  const TensorEntry& entry = file.at(name);
  std::vector<float> values(std::size_t(entry.elements()));
  file.read_f32(entry, 0, values);
  return values;
}

/// |a - b| / |b| over all elements.
double relative_error(std::span<const float> a, std::span<const float> b) {
  double difference = 0, norm = 0;
  EXPECT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    norm += double(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

/// A loaded tiny model with all it needs to run.
struct Harness {
  explicit Harness(const std::string& name, bool adapted, bool load_in_4bit = false,
                   int threads = 2)
      : Harness(golden(name), options_of(adapted, load_in_4bit), threads) {
    if (adapted)
      load_adapter(*stream, model.decoder->params(), open_adapter_weights(folder / "adapter"));
  }
  Harness(const fs::path& model_folder, const LoadOptions& options, int threads)
      : folder(model_folder), stream(Stream::open({}, threads)), arena(*stream, kArenaBytes) {
    ModelFiles files = open_model_files(folder);
    model = load_model(*stream, files, options);
  }
  static LoadOptions options_of(bool adapted, bool load_in_4bit) {
    LoadOptions options{.load_in_4bit = load_in_4bit, .lora = {}, .max_positions = 64};
    if (adapted) options.lora = small_lora();
    return options;
  }
  std::vector<float> logits(const std::vector<std::int32_t>& row) {
    Arena::Scope scope(arena);
    RowBatch batch;
    batch.add(row, true);
    std::vector<std::int32_t> every;
    for (std::size_t i = 0; i < row.size(); ++i) every.push_back(std::int32_t(i));
    DeviceBatch device = upload(*stream, arena,
                                {.tokens = batch.tokens,
                                 .positions = batch.positions,
                                 .starts = batch.starts,
                                 .target_rows = every,
                                 .labels = every});
    const Tensor out = model.decoder->logits(device.context, device.tokens, device.targets.rows);
    const auto values = out.values<float>();
    return {values.begin(), values.end()};
  }
  LossSum train(const RowBatch& batch) {
    Arena::Scope scope(arena);
    DeviceBatch device = upload(*stream, arena,
                                {.tokens = batch.tokens,
                                 .positions = batch.positions,
                                 .starts = batch.starts,
                                 .target_rows = batch.target_rows,
                                 .labels = batch.labels});
    stream->zero(model.decoder->params().grads());
    return model.decoder->loss_and_backward(device.context, device.tokens, device.targets, 1);
  }
  std::vector<float> gradients() {
    const auto values = model.decoder->params().grads().values<float>();
    return {values.begin(), values.end()};
  }
  fs::path folder;
  std::unique_ptr<Stream> stream;
  Arena arena;
  LoadedModel model;
};

class GoldenModel : public testing::TestWithParam<const char*> {};

// f32 sums of at most a few hundred terms in another order than PyTorch's: 1e-5 leaves room for
// unlucky cancellation.
constexpr double kTolerance = 1e-5;

/// Keeps the largest error of a test: `--gtest_output=json` shows it.
class LargestError {
 public:
  ~LargestError() { testing::Test::RecordProperty("largest_error", cat(value_)); }
  double operator()(double error) {
    value_ = std::max(value_, error);
    return error;
  }

 private:
  double value_ = 0;
};

TEST_P(GoldenModel, BaseLogitsAreTransformers) {
  Harness harness(GetParam(), false);
  LargestError error;
  for (std::size_t i = 0; i < kRows.size(); ++i)
    EXPECT_LT(error(relative_error(harness.logits(kRows[i]),
                                   reference(harness.folder, cat("base_logits.", i)))),
              kTolerance);
}

TEST_P(GoldenModel, AdaptedLogitsArePefts) {
  Harness harness(GetParam(), true);
  LargestError error;
  for (std::size_t i = 0; i < kRows.size(); ++i)
    EXPECT_LT(error(relative_error(harness.logits(kRows[i]),
                                   reference(harness.folder, cat("adapted_logits.", i)))),
              kTolerance);
}

TEST_P(GoldenModel, LossAndEveryAdapterGradientArePyTorchs) {
  Harness harness(GetParam(), true);
  const LossSum loss = harness.train(all_rows());
  double nats = 0;
  for (std::size_t i = 0; i < kRows.size(); ++i)
    for (const float l : reference(harness.folder, cat("losses.", i))) nats += l;
  EXPECT_NEAR(loss.nats, nats, nats * kTolerance);
  EXPECT_EQ(loss.tokens, 15);
  LargestError error;
  for (const Param& param : harness.model.decoder->params().params())
    EXPECT_LT(error(relative_error(param.grad.values<float>(),
                                   reference(harness.folder, "grad." + param.name))),
              kTolerance)
        << param.name;
}

TEST_P(GoldenModel, RecomputedBlocksGiveTheSameBits) {
  Harness harness(GetParam(), true, true);
  const LossSum plain = harness.train(all_rows());
  const std::vector<float> gradients = harness.gradients();
  const std::int64_t layers = harness.model.decoder->config().layers;
  for (std::int64_t level = 0; level <= 2 * layers; ++level) {
    SCOPED_TRACE(level);
    harness.model.decoder->set_recomputation(Recomputation::at(level, layers));
    const LossSum recomputed = harness.train(all_rows());
    EXPECT_EQ(plain.nats, recomputed.nats);
    EXPECT_EQ(gradients, harness.gradients());
  }
}

TEST_P(GoldenModel, PackedRowsDoNotSeeEachOther) {
  Harness harness(GetParam(), true, true);
  const LossSum together = harness.train(all_rows());
  std::vector<double> sums(std::size_t(harness.model.decoder->params().elements()), 0.0);
  double nats = 0;
  const std::vector<float> packed = harness.gradients();
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    RowBatch alone;
    alone.add(kRows[i], i == 0);
    nats += harness.train(alone).nats;
    const std::vector<float> part = harness.gradients();
    for (std::size_t j = 0; j < sums.size(); ++j) sums[j] += part[j];
  }
  EXPECT_NEAR(together.nats, nats, 1e-6 * nats);
  EXPECT_LT(relative_error(packed, std::vector<float>(sums.begin(), sums.end())), kTolerance);
}

TEST_P(GoldenModel, ResultsDoNotDependOnThreads) {
  Harness one(GetParam(), true, true, 1);
  one.train(all_rows());
  for (const int threads : {2, 3, 7}) {
    Harness many(GetParam(), true, true, threads);
    many.train(all_rows());
    EXPECT_EQ(one.gradients(), many.gradients()) << threads << " threads";
  }
}

TEST_P(GoldenModel, CachedDecodingEqualsTheFullForward) {
  Harness harness(GetParam(), true, true);
  const std::vector<float> full = harness.logits(kRows[0]);
  KvCache cache = harness.model.decoder->make_cache(*harness.stream, 1, 32);
  const std::size_t vocabulary = std::size_t(harness.model.decoder->vocabulary_size());
  // A prompt of four tokens at once, then token by token.
  for (std::size_t at = 0; at < kRows[0].size();) {
    const std::size_t count = at == 0 ? 4 : 1;
    Arena::Scope scope(harness.arena);
    std::vector<std::int32_t> tokens, positions;
    for (std::size_t i = at; i < at + count; ++i) {
      tokens.push_back(kRows[0][i]);
      positions.push_back(std::int32_t(i));
    }
    const std::vector<std::int32_t> starts = {0, std::int32_t(count)},
                                    last = {std::int32_t(count - 1)};
    DeviceBatch device = upload(*harness.stream, harness.arena,
                                {.tokens = tokens,
                                 .positions = positions,
                                 .starts = starts,
                                 .target_rows = last,
                                 .labels = last});
    device.context.cache = &cache;
    const Tensor out =
        harness.model.decoder->logits(device.context, device.tokens, device.targets.rows);
    at += count;
    EXPECT_LT(relative_error(out.values<float>(),
                             std::span(full).subspan((at - 1) * vocabulary, vocabulary)),
              kTolerance);
    const std::int32_t grown[] = {std::int32_t(count)};
    cache.advance(grown);
  }
}

TEST_P(GoldenModel, AFreshAdapterChangesNothing) {
  Harness base(GetParam(), false);
  Harness fresh(GetParam(), true);
  init_adapter(*fresh.stream, fresh.model.decoder->params(), 1);
  EXPECT_LT(relative_error(fresh.logits(kRows[0]), base.logits(kRows[0])), 1e-6);
}

TEST_P(GoldenModel, SixteenBitActivationsKeepLossAndGradients) {
  // What 16-bit activations leave of a tiny model's gradients, through two layers and the head.
  Harness wide(GetParam(), true);
  const LossSum wanted = wide.train(all_rows());
  for (const auto& [compute, tolerance] : {std::pair{DType::f16, 1e-2}, {DType::bf16, 6e-2}}) {
    LoadOptions options = Harness::options_of(true, false);
    options.compute = compute;
    Harness narrow(golden(GetParam()), options, 2);
    load_adapter(*narrow.stream, narrow.model.decoder->params(),
                 open_adapter_weights(narrow.folder / "adapter"));
    const LossSum found = narrow.train(all_rows());
    EXPECT_NEAR(found.nats, wanted.nats, tolerance * wanted.nats) << name_of(compute);
    EXPECT_LT(relative_error(narrow.gradients(), wide.gradients()), tolerance) << name_of(compute);
  }
}

class GoldenGguf : public testing::TestWithParam<const char*> {};

TEST_P(GoldenGguf, GivesTheBitsOfTheHuggingFaceFolder) {
  const LoadOptions options = Harness::options_of(false, false);
  Harness folder(golden(GetParam()), options, 2),
      file(golden(GetParam()) / "model.gguf", options, 2);
  for (const auto& row : kRows) EXPECT_EQ(file.logits(row), folder.logits(row));
}

/// The llama of the goldens with its embeddings times `factor`.
void write_scaled_llama(const fs::path& folder, float factor) {
  fs::copy_file(golden("llama") / "config.json", folder / "config.json");
  const SafetensorsFile file(golden("llama") / "model.safetensors");
  SafetensorsWriter writer;
  std::vector<std::vector<float>> values;
  for (const TensorEntry& entry : file.entries()) {
    std::vector<float> v(std::size_t(entry.elements()));
    file.read_f32(entry, 0, v);
    if (entry.name == "model.embed_tokens.weight")
      for (float& x : v) x *= factor;
    values.push_back(std::move(v));
    writer.add(entry.name, StoredType::f32, entry.shape, std::as_bytes(std::span(values.back())));
  }
  write_safetensors(folder / "model.safetensors", writer);
}

TEST(DecoderF16, ResidualStreamMayOutgrowItsRange) {
  // Embeddings up to 8e5, where float16 ends at 65504: norms bring every branch back to 1.
  const TemporaryFolder scaled;
  write_scaled_llama(scaled.path(), 1e6f);
  LoadOptions options = Harness::options_of(false, false);
  Harness wide(scaled.path(), options, 2);
  options.compute = DType::f16;
  Harness narrow(scaled.path(), options, 2);
  EXPECT_LT(relative_error(narrow.logits(kRows[0]), wide.logits(kRows[0])), 1e-2);
}

TEST(GemmaWithImages, IsReadUnderTheNamesOfBothVersions) {
  // The golden's tensors have transformers 4's names: language_model.model.layers...
  const TemporaryFolder renamed;
  fs::copy_file(golden("gemma3_images") / "config.json", renamed / "config.json");
  const SafetensorsFile file(golden("gemma3_images") / "model.safetensors");
  SafetensorsWriter writer;
  std::vector<std::vector<std::byte>> values;
  for (const TensorEntry& entry : file.entries()) {
    constexpr std::string_view kOld = "language_model.model.";
    values.emplace_back(std::size_t(entry.bytes));
    file.read_bytes(entry, 0, values.back());
    const std::string name = entry.name.starts_with(kOld)
                                 ? cat("model.language_model.", entry.name.substr(kOld.size()))
                                 : entry.name;
    writer.add(name, entry.type, entry.shape, values.back());
  }
  write_safetensors(renamed / "model.safetensors", writer);
  const LoadOptions options = Harness::options_of(false, false);
  Harness old(golden("gemma3_images"), options, 2), now(renamed.path(), options, 2);
  EXPECT_EQ(now.logits(kRows[0]), old.logits(kRows[0]));
  ASSERT_EQ(old.model.notes.size(), 1u);
  EXPECT_NE(old.model.notes[0].find("without the image encoder"), std::string::npos);
}

TEST(GemmaWithImages, NamesItsTargetsWhole) {
  // The image encoder has modules of the same endings, which PEFT must leave alone.
  ModelFiles files = open_model_files(golden("gemma3_images"));
  const ModelIdentity model = identify_model(files);
  LoraConfig lora;
  lora.target_modules = {"q_proj"};
  EXPECT_EQ(plan_adapter(lora, *model.architecture, model.config).targets.names,
            (std::vector<std::string>{"model.language_model.layers.0.self_attn.q_proj",
                                      "model.language_model.layers.1.self_attn.q_proj"}));
}

class PrequantisedLlama : public testing::TestWithParam<const char*> {};

TEST_P(PrequantisedLlama, LogitsAreTransformersWhateverTheRecipeSays) {
  for (const bool load_in_4bit : {true, false}) {
    Harness harness(GetParam(), false, load_in_4bit);
    for (std::size_t i = 0; i < kRows.size(); ++i)
      EXPECT_LT(relative_error(harness.logits(kRows[i]),
                               reference(harness.folder, "base_logits." + std::to_string(i))),
                kTolerance);
  }
}

TEST_P(PrequantisedLlama, TheDryPlanTakesWhatLoadingTakes) {
  ModelFiles files = open_model_files(golden(GetParam()));
  const auto wet = Stream::open({}, 1), dry = Stream::open_dry({});
  const std::size_t before[] = {wet->allocated_bytes(), dry->allocated_bytes()};
  const LoadOptions options = Harness::options_of(true, true);
  const LoadedModel loaded = load_model(*wet, files, options),
                    planned = load_model(*dry, files, options);
  EXPECT_EQ(wet->allocated_bytes() - before[0], dry->allocated_bytes() - before[1]);
}

TEST(SingleQuantisation, HasTheBitsOfBitsandbytes) {
  LoadOptions options = Harness::options_of(false, true);
  options.double_quant = false;
  Harness made(golden("llama"), options, 2), stored(golden("llama_nf4_single"), options, 2);
  for (const auto& row : kRows) EXPECT_EQ(made.logits(row), stored.logits(row));
  ModelFiles files = open_model_files(golden("llama"));
  const auto dry = Stream::open_dry({}), wet = Stream::open({}, 1);
  const std::size_t before = wet->allocated_bytes();
  const LoadedModel planned = load_model(*dry, files, options),
                    loaded = load_model(*wet, files, options);
  EXPECT_EQ(dry->allocated_bytes(), wet->allocated_bytes() - before);
}

INSTANTIATE_TEST_SUITE_P(Models, PrequantisedLlama,
                         testing::Values("llama_nf4", "llama_nf4_single"));

INSTANTIATE_TEST_SUITE_P(Models, GoldenModel,
                         testing::Values("llama", "llama_tied_scaled", "gemma2", "qwen3", "qwen2",
                                         "qwen2_tied", "gemma3", "smollm3", "yarn", "mistral",
                                         "gemma", "phi3", "phi3_long", "gemma3_images"));
INSTANTIATE_TEST_SUITE_P(Models, GoldenGguf,
                         testing::Values("gemma2", "qwen3", "qwen2_tied", "gemma", "gemma3",
                                         "smollm3", "phi3", "phi3_long"));

}  // namespace
}  // namespace elenchus
