// Thirty optimizer steps of tiny models on CUDA beside the same on the CPU.

#include "io/peft_adapter.h"
#include "models/device_batch.h"
#include "models/loader.h"
#include "testing/parity.h"
#include "train/adamw.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;
using testing::relative_error;

constexpr int kSteps = 30;

/// Two rows of random tokens, other ones in each step; every token but the first is a target.
struct Rows {
  explicit Rows(int step, std::int64_t vocabulary) {
    const RandomKey key{.seed = 9, .step = std::uint32_t(step)};
    for (const int length : {40 + step % 7, 9 + step % 5}) {
      for (int i = 0; i < length; ++i) {
        // Most tokens follow from the one before, so that there is something to learn.
        const bool free = i == 0 || key.uniform(1000 + tokens.size()) < 0.2f;
        tokens.push_back(free ? std::int32_t(key.below(tokens.size(), std::uint32_t(vocabulary)))
                              : std::int32_t((tokens.back() * 7 + 3) % vocabulary));
        positions.push_back(i);
        if (i == 0) continue;
        targets.push_back(std::int32_t(tokens.size()) - 2);
        labels.push_back(tokens.back());
      }
      starts.push_back(std::int32_t(tokens.size()));
    }
  }
  HostBatch view() const { return {tokens, positions, starts, targets, labels}; }
  std::vector<std::int32_t> tokens, positions, starts = {0}, targets, labels;
};

struct Course {
  std::vector<double> losses, gradient_norms;
  std::vector<std::byte> adapter;
};

class TrainingCuda : public testing::CudaParity {
 protected:
  static Course train(Stream& stream, const fs::path& folder, DType compute) {
    ModelFiles files = open_model_files(folder);
    LoadOptions options;
    options.lora.emplace();
    options.lora->r = 4;
    options.lora->lora_alpha = 8;
    options.lora->lora_dropout = 0.1;
    options.compute = compute;
    options.max_positions = 64;
    LoadedModel model = load_model(stream, files, options);
    Decoder& decoder = *model.decoder;
    AdamW optimizer(stream, decoder.params(), TrainingConfig{});
    Arena arena(stream, std::size_t{64} << 20);
    Course course;
    for (int step = 0; step < kSteps; ++step) {
      const Rows rows(step, decoder.vocabulary_size());
      stream.zero(decoder.params().grads());
      Arena::Scope scope(arena);
      DeviceBatch batch =
          upload(stream, arena, rows.view(),
                 RandomKey{.seed = 3, .use = RandomUse::dropout, .step = std::uint32_t(step)});
      const LossSum loss = decoder.loss_and_backward(batch.context, batch.tokens, batch.targets, 1);
      const UpdateResult update = optimizer.clip_and_step(
          {.gradient_scale = 1 / loss.tokens, .max_grad_norm = 0.5, .learning_rate = 5e-3});
      course.losses.push_back(loss.nats / loss.tokens);
      course.gradient_norms.push_back(update.grad_norm);
    }
    course.adapter = testing::bytes_of(stream, decoder.params().values());
    return course;
  }
};

TEST_F(TrainingCuda, FollowsTheCpuForThirtySteps) {
  for (const char* model : {"llama", "llama_tied_scaled", "gemma2", "qwen3"}) {
    SCOPED_TRACE(model);
    const fs::path folder = fs::path(ELENCHUS_TEST_FOLDER) / "golden" / model;
    ASSERT_TRUE(fs::exists(folder));
    const Course wanted = train(cpu(), folder, DType::f32);
    EXPECT_LT(wanted.losses.back(), wanted.losses.front());
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      SCOPED_TRACE(name_of(dtype));
      const Course found = train(cuda(), folder, dtype);
      // Roundings of the compute type in every layer, which the steps carry on.
      const double tolerance = dtype == DType::f32 ? 1e-4 : 6 * testing::epsilon_of(dtype);
      EXPECT_LE(relative_error(found.losses, wanted.losses), tolerance);
      EXPECT_LE(relative_error(found.gradient_norms, wanted.gradient_norms), 10 * tolerance);
    }
  }
}

TEST_F(TrainingCuda, RepeatsItsBits) {
  const fs::path folder = fs::path(ELENCHUS_TEST_FOLDER) / "golden" / "llama";
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const Course first = train(cuda(), folder, dtype), again = train(cuda(), folder, dtype);
    EXPECT_EQ(first.losses, again.losses);
    EXPECT_EQ(first.adapter, again.adapter);
  }
}

}  // namespace
}  // namespace elenchus
