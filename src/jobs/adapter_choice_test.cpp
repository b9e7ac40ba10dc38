// Adapters that PEFT wrote, in all the variants: its logits, losses and gradients
// (tests/golden/variants).

#include "jobs/adapter_choice.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "io/peft_adapter.h"
#include "models/device_batch.h"
#include "models/loader.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(ELENCHUS_TEST_FOLDER) / "golden";
const std::vector<std::vector<std::int32_t>> kRows = {
    {3, 17, 90, 4, 41, 7, 7, 120, 64, 2, 33}, {5, 99, 1, 0, 77, 23, 54}, {11, 12, 13}};

double relative_error(std::span<const float> a, std::span<const float> b) {
  double difference = 0, norm = 0;
  EXPECT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    norm += double(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

/// The tiny model that an adapter of PEFT is for.
fs::path base_of(const fs::path& adapter) {
  return kGolden / read_adapter_config(adapter).base_model_name_or_path;
}

/// It with the adapter.
struct Harness {
  explicit Harness(const fs::path& adapter, DType compute = DType::f32)
      : stream(Stream::open({}, 2)), arena(*stream, std::size_t{64} << 20), folder(adapter) {
    ModelFiles files = open_model_files(base_of(adapter));
    LoadOptions options{.load_in_4bit = false, .lora = adapter_choice(adapter, {files})};
    options.max_positions = 64;
    options.compute = compute;
    model = load_model(*stream, files, options);
    load_adapter(*stream, model.decoder->params(), open_adapter_weights(adapter));
  }
  std::vector<float> reference(const std::string& name) const {
    const SafetensorsFile file(folder / "golden.safetensors");
    std::vector<float> values(std::size_t(file.at(name).elements()), 0.0f);
    file.read_f32(file.at(name), 0, values);
    return values;
  }
  std::vector<float> logits(std::size_t row) {
    Arena::Scope scope(arena);
    const DeviceBatch batch = one_row(row, Targeted::all);
    const auto values =
        model.decoder->logits(context(batch), batch.tokens, batch.targets.rows).values<float>();
    return {values.begin(), values.end()};
  }
  double train() {
    stream->zero(model.decoder->params().grads());
    double nats = 0;
    for (std::size_t row = 0; row < kRows.size(); ++row) {
      Arena::Scope scope(arena);
      const DeviceBatch batch = one_row(row, Targeted::next);
      nats += model.decoder->loss_and_backward(context(batch), batch.tokens, batch.targets, 1).nats;
    }
    return nats;
  }
  enum class Targeted { all, next };
  DeviceBatch one_row(std::size_t row, Targeted targeted) {
    const std::vector<std::int32_t>& tokens = kRows[row];
    std::vector<std::int32_t> positions, rows, labels;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      positions.push_back(std::int32_t(i));
      if (targeted == Targeted::next && i + 1 == tokens.size()) break;
      rows.push_back(std::int32_t(i));
      labels.push_back(targeted == Targeted::next ? tokens[i + 1] : 0);
    }
    starts = {0, std::int32_t(tokens.size())};
    return upload(*stream, arena,
                  {.tokens = tokens,
                   .positions = positions,
                   .starts = starts,
                   .target_rows = rows,
                   .labels = labels});
  }
  static Context& context(const DeviceBatch& batch) { return const_cast<Context&>(batch.context); }

  std::unique_ptr<Stream> stream;
  Arena arena;
  fs::path folder;
  LoadedModel model;
  std::vector<std::int32_t> starts;  // the batch refers to it
};

class PeftVariants : public testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return kGolden / "variants" / GetParam(); }
};

// f32 sums of at most a few hundred terms in another order than PyTorch's.
constexpr double kTolerance = 1e-5;

TEST_P(PeftVariants, LogitsLossAndEveryGradientArePefts) {
  Harness harness(folder());
  for (std::size_t row = 0; row < kRows.size(); ++row)
    EXPECT_LT(relative_error(harness.logits(row),
                             harness.reference("adapted_logits." + std::to_string(row))),
              kTolerance);
  for (const Recomputation recomputation : {Recomputation{0, 0}, {0, 2}, {2, 0}}) {
    harness.model.decoder->set_recomputation(recomputation);
    const double nats = harness.train(), wanted = harness.reference("nats")[0];
    EXPECT_NEAR(nats, wanted, kTolerance * wanted);
    for (const Param& param : harness.model.decoder->params().params())
      EXPECT_LT(relative_error(param.grad.values<float>(), harness.reference("grad." + param.name)),
                kTolerance)
          << param.name;
  }
}

TEST_P(PeftVariants, SixteenBitActivationsKeepLossAndGradients) {
  Harness wide(folder());
  const double wanted = wide.train();
  const auto wide_grads = wide.model.decoder->params().grads().values<float>();
  for (const auto& [compute, tolerance] : {std::pair{DType::f16, 1e-2}, {DType::bf16, 6e-2}}) {
    Harness narrow(folder(), compute);
    EXPECT_NEAR(narrow.train(), wanted, tolerance * wanted) << name_of(compute);
    EXPECT_LT(relative_error(narrow.model.decoder->params().grads().values<float>(), wide_grads),
              tolerance)
        << name_of(compute);
  }
}

TEST_P(PeftVariants, TheDryPlanTakesWhatLoadingTakes) {
  ModelFiles files = open_model_files(base_of(folder()));
  const auto dry = Stream::open_dry({}), wet = Stream::open({}, 2);
  LoadOptions options{.load_in_4bit = true, .lora = adapter_choice(folder(), {files})};
  options.max_positions = 64;
  const std::size_t before = wet->allocated_bytes();
  const LoadedModel planned = load_model(*dry, files, options),
                    loaded = load_model(*wet, files, options);
  EXPECT_EQ(dry->allocated_bytes(), wet->allocated_bytes() - before);
}

INSTANTIATE_TEST_SUITE_P(Variants, PeftVariants,
                         testing::Values("dora", "rslora", "layers", "head", "untied", "tied"));

TEST(PeftVariants, OfFreshWholeModulesTheLogitsAreTheModels) {
  for (const char* name : {"head", "untied", "tied"}) {
    const fs::path adapter = kGolden / "variants" / name;
    ModelFiles files = open_model_files(base_of(adapter));
    Harness fresh(adapter), base(adapter);
    LoadOptions options{.load_in_4bit = false, .lora = adapter_choice(adapter, {files})};
    options.max_positions = 64;
    fresh.model = load_model(*fresh.stream, files, options);
    options.lora.reset();
    base.model = load_model(*base.stream, files, options);
    EXPECT_EQ(fresh.model.notes.size(), std::string_view(name) == "untied" ? 1u : 0u);
    EXPECT_LT(relative_error(fresh.logits(0), base.logits(0)), 1e-6) << name;
  }
}

TEST(PeftVariants, OfAFreshDoraTheWeightsAreTheModels) {
  const auto stream = Stream::open({}, 2);
  ModelFiles files = open_model_files(kGolden / "llama_tied_scaled");
  LoraConfig lora;
  lora.use_dora = true;
  lora.bias = LoraBias::all;
  LoadOptions options{.load_in_4bit = true, .lora = lora};
  options.max_positions = 64;
  const LoadedModel model = load_model(*stream, files, options);
  std::size_t magnitudes = 0, biases = 0;
  for (const Param& param : model.decoder->params().params()) {
    magnitudes += param.name.ends_with("lora_magnitude_vector");
    biases += param.name.ends_with(".bias");
    if (param.name.ends_with(".bias")) {
      EXPECT_FALSE(param.weight_decay);
    }
    if (!param.name.ends_with("lora_magnitude_vector")) continue;
    for (const float length : param.value.values<float>()) EXPECT_GT(length, 0.0f);
  }
  EXPECT_EQ(magnitudes, 14u);
  EXPECT_EQ(biases, 14u);
}

/// What is said of an adapter folder in which some files are changed or missing.
class AdapterFolder : public testing::Test {
 protected:
  AdapterFolder() { fs::copy(kGolden / "llama_classifier" / "adapter", adapter_); }
  void write(std::string_view name, std::string_view text) {
    write_file_atomically(adapter_ / name, text);
  }
  std::string refusal(TaskType task) {
    ModelFiles base = open_model_files(kGolden / "llama");
    try {
      (void)adapter_choice(adapter_, {base, task});
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  }
  /// What is said while the adapter is loaded onto the tiny llama.
  std::string said() {
    const auto stream = Stream::open({}, 1);
    ModelFiles base = open_model_files(kGolden / "llama");
    LoadOptions options{.load_in_4bit = false, .lora = adapter_choice(adapter_, {base})};
    options.max_positions = 64;
    options.classifier = ClassifierOptions{.num_labels = 4};
    LoadedModel model = load_model(*stream, base, options);
    fingerprint_ = fingerprint_text(model);
    testing::internal::CaptureStderr();
    load_adapter_folder(*stream, model, adapter_, base);
    return testing::internal::GetCapturedStderr();
  }
  static void expect_has(const std::string& text, std::string_view part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  TemporaryFolder folder_;
  fs::path adapter_ = folder_ / "adapter";
  std::string fingerprint_;
};

TEST_F(AdapterFolder, IsRefusedForAnotherTaskOrArchitecture) {
  EXPECT_EQ(refusal(TaskType::SEQ_CLS), "accepted");
  expect_has(refusal(TaskType::CAUSAL_LM), "task_type: found SEQ_CLS, expected CAUSAL_LM");
  write("config.json", R"({"architectures": ["LlamaForSequenceClassification"]})");
  EXPECT_EQ(refusal(TaskType::SEQ_CLS), "accepted");
  write("config.json", R"({"architectures": ["Qwen3ForSequenceClassification"]})");
  expect_has(refusal(TaskType::SEQ_CLS),
             "architectures: found Qwen3ForSequenceClassification, but");
  fs::remove(adapter_ / "config.json");
  std::string text = read_text_file(adapter_ / "adapter_config.json");
  text.replace(text.find("SEQ_CLS"), 7, "CAUSAL_LM");
  write("adapter_config.json", text);
  expect_has(refusal(TaskType::SEQ_CLS), "this adapter has no head for classes");
}

TEST_F(AdapterFolder, IsRefusedWhereItIsNone) {
  fs::remove(adapter_ / "adapter_model.safetensors");
  expect_has(refusal(TaskType::SEQ_CLS),
             "has no adapter_model.safetensors; expected the folder of");
  fs::remove(adapter_ / "adapter_config.json");
  expect_has(refusal(TaskType::SEQ_CLS), "has no adapter_config.json");
  fs::remove_all(adapter_);
  expect_has(refusal(TaskType::SEQ_CLS), "there is no such folder");
}

TEST_F(AdapterFolder, SaysAloudThatItWasTrainedOnOtherWeights) {
  const auto record = [&](const std::string& fingerprint) {
    write("trainer_state.json",
          R"({"stateful_callbacks": {"Elenchus": {"attributes": {"identity": {)"
          R"("base_model_fingerprint": ")" +
              fingerprint + "\"}}}}}");
  };
  record("0123456789abcdef");
  expect_has(said(), "was trained on other weights than those of");
  record(fingerprint_);
  EXPECT_EQ(said(), "");
}

TEST_F(AdapterFolder, OfPeftNamesItsModelWhereTheNamesDiffer) {
  const auto named = [&](const std::string& base) {
    AdapterConfig config = read_adapter_config(adapter_);
    config.base_model_name_or_path = base;
    write("adapter_config.json", adapter_config_json(config));
  };
  named("someone/Llama");  // moved, or under its name at the hub
  EXPECT_EQ(said(), "");
  named("/models/llama/");
  EXPECT_EQ(said(), "");
  named("someone/other-model");
  expect_has(said(), "says that it was made for someone/other-model; it is used with");
}

TEST(PlanAdapter, NamesWhatDoesNotFit) {
  ModelFiles files = open_model_files(kGolden / "llama_tied_scaled");
  const ModelIdentity model = identify_model(files);
  const auto message = [&](const auto& change) -> std::string {
    LoraConfig lora;
    change(lora);
    try {
      (void)plan_adapter(lora, *model.architecture, model.config);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  const auto expect_said = [&](std::string_view what, const auto& change) {
    EXPECT_NE(message(change).find(what), std::string::npos) << message(change);
  };
  EXPECT_EQ(message([](LoraConfig&) {}), "");
  EXPECT_EQ(message([](LoraConfig& l) {  // as PEFT writes an adapter that is for several families
              l.exists = true;
              l.target_modules = {"q_proj", "query_key_value"};
              l.exclude_modules = {"lm_head"};
              l.rank_pattern = {{"fc1", 4}};
              l.layers_to_transform = {0, 90};
            }),
            "");
  expect_said("lora.exclude_modules: \"lm_head\" matches no projection",
              [](LoraConfig& l) { l.exclude_modules = {"lm_head"}; });
  expect_said("lora.target_modules: \"w_pack\"", [](LoraConfig& l) {
    l.target_modules = {"q_proj", "w_pack"};
  });
  expect_said("nothing would be trained", [](LoraConfig& l) {
    l.target_modules = {"q_proj"};
    l.exclude_modules = {"q_proj"};
  });
  expect_said("lora.rank_pattern: \"q_prj\" matches no adapted module", [](LoraConfig& l) {
    l.rank_pattern = {{"q_prj", 2}};
  });
  expect_said("both match model.layers.0.self_attn.q_proj", [](LoraConfig& l) {
    l.rank_pattern = {{"q_proj", 2}, {"layers.0.self_attn.q_proj", 3}};
  });
  expect_said("lora.alpha_pattern", [](LoraConfig& l) { l.alpha_pattern = {{"(", 2}}; });
  expect_said("lora.layers_to_transform: found 2; expected blocks of this model, 0 to 1",
              [](LoraConfig& l) {
                l.layers_to_transform = {0, 2};
              });
  expect_said("lora.layers_to_transform: lora.target_modules is a regular", [](LoraConfig& l) {
    l.layers_to_transform = {0};
    l.target_modules = {".*q_proj"};
  });
  expect_said("nothing would be trained", [](LoraConfig& l) {
    l.layers_to_transform = {0};
    l.layers_pattern = {"h"};
  });
}

TEST(PlanAdapter, WritesTargetsAsTheyWereAskedFor) {
  ModelFiles files = open_model_files(kGolden / "llama_tied_scaled");
  const ModelIdentity model = identify_model(files);
  LoraConfig lora;
  const auto plan = [&] { return plan_adapter(lora, *model.architecture, model.config); };
  EXPECT_EQ(plan().targets.names,
            (std::vector<std::string>{"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj",
                                      "up_proj", "v_proj"}));
  lora.target_modules = {"layers.0.self_attn.q_proj", "v_proj"};
  EXPECT_EQ(plan().targets.names, lora.target_modules);
  EXPECT_EQ(plan().module(1, 0).rank, 0);
  EXPECT_EQ(plan().module(0, 0).rank, 16);
  lora.target_modules = {".*layers\\.1\\..*_proj"};
  lora.exclude_modules = {".*mlp.*"};
  EXPECT_EQ(plan().targets.pattern, lora.target_modules[0]);
  EXPECT_EQ(plan().excluded.pattern, lora.exclude_modules[0]);
  EXPECT_EQ(plan().module(0, 3).rank, 0);
  EXPECT_EQ(plan().module(1, 3).rank, 16);
  EXPECT_EQ(plan().module(1, 6).rank, 0);
}

TEST(PlanAdapter, GivesLoraPlusItsRates) {
  ModelFiles files = open_model_files(kGolden / "llama_tied_scaled");
  const ModelIdentity model = identify_model(files);
  LoraConfig lora;
  lora.loraplus_lr_ratio = 16;
  lora.use_dora = true;
  lora.bias = LoraBias::lora_only;
  const AdapterPlan plan = plan_adapter(lora, *model.architecture, model.config);
  for (const ParamSet::Entry& entry : adapter_entries(plan, *model.architecture, model.config))
    EXPECT_EQ(entry.rate_factor, entry.name.ends_with("lora_A.weight") ? 1 : 16) << entry.name;
}

}  // namespace
}  // namespace elenchus
