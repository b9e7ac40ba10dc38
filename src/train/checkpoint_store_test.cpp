#include "train/checkpoint_store.h"

#include <gtest/gtest.h>

#include <limits>

#include "train/toy_run_test.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

struct Fixture {
  toy::TemporaryFolder folder;
  std::unique_ptr<Stream> stream = Stream::open({}, 1);
  toy::Model model{*stream};
  TrainingConfig config;
  AdamW optimizer{*stream, model.params(), config};
  Json identity = Json::Object{{"run", "a"}};
  CheckpointStore store(std::optional<int> keep) {
    return CheckpointStore(*stream, folder.path(), keep,
                           {.config = {}, .files = {{"tokenizer.json", "{}"}}});
  }
  CheckpointState state() const {
    return {.trainer_state = Json::Object{{"global_step", 1}},
            .scheduler = Json::Object{},
            .rng_state = Json::Object{},
            .scaler = std::nullopt,
            .identity = identity};
  }
  /// Saves the steps, with rotation after each.
  std::vector<std::int64_t> left_after(std::vector<std::int64_t> steps, int keep,
                                       std::optional<std::int64_t> best) {
    CheckpointStore checkpoints = store(keep);
    for (const std::int64_t step : steps) {
      checkpoints.save(step, optimizer, state());
      checkpoints.rotate(best);
    }
    return checkpoint_steps(folder.path());
  }
};

using Steps = std::vector<std::int64_t>;

TEST(CheckpointStore, KeepsTheNewestAndTheBest) {
  EXPECT_EQ(Fixture().left_after({1, 2, 3, 4}, 2, std::nullopt), (Steps{3, 4}));
  EXPECT_EQ(Fixture().left_after({1, 2, 3, 4}, 2, 1), (Steps{1, 4}));
  EXPECT_EQ(Fixture().left_after({1, 2, 3, 4, 5, 6}, 5, 1), (Steps{1, 3, 4, 5, 6}));
  EXPECT_EQ(Fixture().left_after({1, 2, 3}, 1, 2), (Steps{2, 3}));
  EXPECT_EQ(Fixture().left_after({1, 2, 3}, 1, 3), (Steps{3}));
  EXPECT_EQ(Fixture().left_after({1, 2, 10, 9}, 2, std::nullopt), (Steps{9, 10}));
  EXPECT_EQ(Fixture().left_after({1, 2, 3}, 0, std::nullopt), (Steps{1, 2, 3}));
}

TEST(CheckpointStore, HoldsWhatTheContractLists) {
  Fixture f;
  f.store(std::nullopt).save(7, f.optimizer, f.state());
  for (const char* file : {"adapter_model.safetensors", "adapter_config.json", "README.md",
                           "tokenizer.json", "trainer_state.json", "optimizer.safetensors",
                           "scheduler.json", "rng_state.json", "manifest.json"})
    EXPECT_TRUE(fs::exists(f.folder.path() / "checkpoint-7" / file)) << file;
  const SafetensorsFile weights(f.folder.path() / "checkpoint-7" / "adapter_model.safetensors");
  EXPECT_TRUE(weights.find("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));
  EXPECT_EQ(weights.metadata().at("format"), "pt");
}

TEST(CheckpointStore, RestoresEveryBit) {
  Fixture f, other;
  f.model.params().values().values<float>()[3] = 1e-42f;
  f.optimizer.states()[0].tensor.values<float>()[1] = -0.0f;
  f.optimizer.states()[1].tensor.values<float>()[0] = 3.25f;
  f.store(std::nullopt).save(7, f.optimizer, f.state());
  const CheckpointState back =
      other.store(std::nullopt)
          .restore(f.folder.path() / "checkpoint-7", {f.identity, {}}, other.optimizer);
  EXPECT_EQ(back.trainer_state, f.state().trainer_state);
  const auto bytes = [](Tensor t) { return std::string((const char*)t.data(), t.bytes()); };
  EXPECT_EQ(bytes(f.model.params().values()), bytes(other.model.params().values()));
  const auto saved = f.optimizer.states(), restored = other.optimizer.states();
  ASSERT_EQ(saved.size(), restored.size());
  for (std::size_t i = 0; i < saved.size(); ++i)
    EXPECT_EQ(bytes(saved[i].tensor), bytes(restored[i].tensor)) << saved[i].name;
  // What was loaded is what the manifest says: saved again, every file has the same bytes.
  other.store(std::nullopt).save(7, other.optimizer, back);
  for (const auto& entry : fs::directory_iterator(f.folder.path() / "checkpoint-7"))
    EXPECT_EQ(toy::text_of(entry.path()),
              toy::text_of(other.folder.path() / "checkpoint-7" / entry.path().filename()));
}

TEST(CheckpointStore, EveryFlippedByteIsNoticed) {
  Fixture f;
  CheckpointStore store = f.store(std::nullopt);
  store.save(1, f.optimizer, f.state());
  store.save(2, f.optimizer, f.state());
  for (const auto& entry : fs::directory_iterator(f.folder.path() / "checkpoint-2")) {
    const std::string whole = toy::text_of(entry.path());
    for (std::size_t at = 0; at < whole.size(); at += 1 + whole.size() / 7) {
      std::string flipped = whole;
      flipped[at] = char(flipped[at] ^ 4);
      std::ofstream(entry.path(), std::ios::binary) << flipped;
      const auto found = store.newest_valid([](const std::string&) {});
      ASSERT_TRUE(found);
      EXPECT_EQ(found->step, 1) << entry.path() << " byte " << at;
    }
    std::ofstream(entry.path(), std::ios::binary) << whole;
  }
  EXPECT_EQ(store.newest_valid([](const std::string&) {})->step, 2);
}

TEST(CheckpointStore, RefusesTensorsOfAnotherShape) {
  Fixture f;
  f.store(std::nullopt).save(1, f.optimizer, f.state());
  const ParamSet::Entry entries[] = {
      {"model.layers.0.self_attn.q_proj.lora_A.weight", {4, 3}},
  };
  ParamSet other(*f.stream, entries);
  AdamW optimizer(*f.stream, other, f.config);
  try {
    f.store(std::nullopt).restore(f.folder.path() / "checkpoint-1", {f.identity, {}}, optimizer);
    FAIL() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::wrong_checkpoint);
  }
}

TEST(CheckpointStore, SaysThatAFolderIsNoCheckpoint) {
  Fixture f;
  try {
    f.store(std::nullopt).restore(f.folder.path() / "model", {f.identity, {}}, f.optimizer);
    FAIL() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::wrong_checkpoint);
    EXPECT_NE(std::string(error.what()).find("no manifest.json"), std::string::npos);
  }
}

TEST(CheckpointStore, AnEarlierCheckpointOfTheNameSurvivesAFailedSave) {
  Fixture f;
  CheckpointStore store = f.store(std::nullopt);
  store.save(1, f.optimizer, f.state());
  CheckpointStore failing(*f.stream, f.folder.path(), std::nullopt,
                          {.config = {}, .files = {{"README.md", "taken"}}});
  EXPECT_THROW(failing.save(1, f.optimizer, f.state()), DeviceError);
  EXPECT_EQ(store.newest_valid([](const std::string&) {})->step, 1);
  f.model.params().values().values<float>()[0] = 7;
  store.save(1, f.optimizer, f.state());
  f.model.params().values().values<float>()[0] = 0;
  store.restore(f.folder.path() / "checkpoint-1", {f.identity, {}}, f.optimizer);
  EXPECT_EQ(f.model.params().values().values<float>()[0], 7);
  EXPECT_EQ(std::distance(fs::directory_iterator(f.folder.path()), {}), 1);
}

TEST(CheckpointStore, RestoresEightBitMoments) {
  Fixture f;
  const ParamSet::Entry entries[] = {{"small", {3}}, {"large", {20, 256}}};
  ParamSet params(*f.stream, entries), others(*f.stream, entries);
  f.config.optim = "adamw_8bit";
  AdamW narrow(*f.stream, params, f.config), restored(*f.stream, others, f.config);
  auto grads = params.grads().values<float>();
  for (std::size_t i = 0; i < grads.size(); ++i) grads[i] = 0.001f * float(i % 91) - 0.04f;
  for (int step = 0; step < 3; ++step) narrow.clip_and_step({.learning_rate = 0.1});
  f.store(std::nullopt).save(1, narrow, f.state());
  const fs::path place = f.folder.path() / "checkpoint-1";
  f.store(std::nullopt).restore(place, {f.identity, {}}, restored);
  restored.set_updates(narrow.updates());
  std::copy(grads.begin(), grads.end(), others.grads().as<float>());
  for (AdamW* each : {&narrow, &restored}) each->clip_and_step({.learning_rate = 0.1});
  const auto a = params.values().values<float>(), b = others.values().values<float>();
  EXPECT_TRUE(std::ranges::equal(a, b));
  f.config.optim = "adamw_torch";
  AdamW wide(*f.stream, others, f.config);
  EXPECT_THROW(f.store(std::nullopt).restore(place, {f.identity, {}}, wide), UserError);
}

TEST(CheckpointStore, RefusesADiskThatIsTooSmall) {
  Fixture f;
  f.store(std::nullopt).check_space(f.optimizer, false, 100);
  const CheckpointStore large(*f.stream, f.folder.path(), std::numeric_limits<int>::max(),
                              {.config = {}, .files = {{"large", std::string(1 << 20, 'x')}}});
  try {
    large.check_space(f.optimizer, false, 1000000000);
    FAIL() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::out_of_resources);
    EXPECT_NE(std::string(error.what()).find(f.folder.path().string()), std::string::npos);
  }
}

TEST(CheckpointStore, NamesThatOnlyLookLikeCheckpointsAreLeftAlone) {
  toy::TemporaryFolder folder;
  for (const char* name : {"checkpoint-5", "checkpoint-05", "checkpoint-x", "checkpoint--1",
                           "checkpoint-6.tmp-1", "checkpoint-"})
    fs::create_directory(folder.path() / name);
  EXPECT_EQ(checkpoint_steps(folder.path()), Steps{5});
}

}  // namespace
}  // namespace elenchus
