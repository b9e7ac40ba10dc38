#pragma once
// The tiny classifier of tests/golden/llama_classifier on one device. For tests only.

#include "io/peft_adapter.h"
#include "io/safetensors.h"
#include "models/device_batch.h"
#include "models/loader.h"
#include "testing/parity.h"

namespace elenchus::golden_classifier {

inline constexpr std::size_t kRows = 12, kLabels = 4;

inline std::filesystem::path golden() {
  return std::filesystem::path(ELENCHUS_TEST_FOLDER) / "golden";
}

inline std::vector<float> reference(const std::string& name) {
  const SafetensorsFile file(golden() / "llama_classifier" / "golden.safetensors");
  const TensorEntry& entry = file.at(name);
  std::vector<float> values(std::size_t(entry.elements()));
  file.read_f32(entry, 0, values);
  return values;
}

inline std::vector<double> wide(std::span<const float> values) {
  return {values.begin(), values.end()};
}

struct Row {
  std::vector<std::int32_t> ids;
  std::int32_t label = 0;
};

inline std::vector<Row> golden_rows() {
  std::vector<Row> rows(kRows);
  const std::vector<float> labels = reference("labels");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].label = std::int32_t(labels[i]);
    for (const float id : reference(cat("ids.", i))) rows[i].ids.push_back(std::int32_t(id));
  }
  return rows;
}

inline LoadOptions golden_options(bool load_in_4bit, float label_smoothing) {
  LoraConfig lora;
  lora.r = 4;
  lora.lora_alpha = 6;
  return {.load_in_4bit = load_in_4bit,
          .lora = lora,
          .max_positions = 64,
          .label_smoothing = label_smoothing,
          .classifier = ClassifierOptions{kLabels, reference("weights")}};
}

/// Rows end to end, the last token of each with its class.
struct Batch {
  explicit Batch(std::span<const Row> rows) {
    for (const Row& row : rows) {
      for (std::size_t i = 0; i < row.ids.size(); ++i) {
        tokens.push_back(row.ids[i]);
        positions.push_back(std::int32_t(i));
      }
      starts.push_back(std::int32_t(tokens.size()));
      pooled.push_back(starts.back() - 1);
      labels.push_back(row.label);
    }
  }
  HostBatch host() const {
    return {.tokens = tokens,
            .positions = positions,
            .starts = starts,
            .target_rows = pooled,
            .labels = labels};
  }
  std::vector<std::int32_t> tokens, positions, starts = {0}, pooled, labels;
};

/// The model with its adapter.
struct Classifier {
  explicit Classifier(Stream& on, const LoadOptions& options = golden_options(false, 0))
      : stream(on), arena(on, std::size_t{64} << 20) {
    ModelFiles files = open_model_files(golden() / "llama");
    model = load_model(stream, files, options);
    load_adapter(stream, model.decoder->params(),
                 open_adapter_weights(golden() / "llama_classifier" / "adapter"));
  }
  std::vector<double> values(ConstTensor tensor) const {
    std::vector<float> host(std::size_t(tensor.elements()));
    stream.copy(Tensor(host.data(), tensor.shape(), DType::f32), tensor);
    stream.synchronize();
    return wide(host);
  }
  std::vector<double> scores(std::span<const Row> rows) {
    Arena::Scope scope(arena);
    const Batch batch(rows);
    DeviceBatch device = upload(stream, arena, batch.host());
    return values(model.decoder->logits(device.context, device.tokens, device.targets.rows));
  }
  LossSum train(std::span<const Row> rows) {
    Arena::Scope scope(arena);
    const Batch batch(rows);
    DeviceBatch device = upload(stream, arena, batch.host());
    stream.zero(model.decoder->params().grads());
    return model.decoder->loss_and_backward(device.context, device.tokens, device.targets, 1);
  }
  Param& score() { return *model.decoder->params().find(kScoreName); }

  Stream& stream;
  Arena arena;
  LoadedModel model;
};

}  // namespace elenchus::golden_classifier
