#pragma once
// From a model's files to a model on a device: read, quantise, adapt.

#include <memory>
#include <optional>

#include "io/model_folder.h"
#include "models/adapter.h"
#include "models/decoder.h"
#include "models/model_config.h"
#include "models/weight_source.h"

namespace elenchus {

/// The head of a classifier.
struct ClassifierOptions {
  std::int64_t num_labels = 2;
  std::vector<float> class_weights = {};  ///< [num_labels], or empty: 1 each
};

struct LoadOptions {
  bool load_in_4bit = true;
  bool double_quant = true;        ///< of weights that are quantised here
  std::optional<LoraConfig> lora;  ///< none: the base model alone
  DType compute = DType::f32;
  std::int64_t max_positions = 2048;  ///< longest sequence that will be run
  std::uint64_t seed = 42;            ///< of the adapter's first values
  float label_smoothing = 0;
  /// A classifier: the parameter "score.weight" takes the place of the language head. Its first
  /// values are the files' score.weight, else random.
  std::optional<ClassifierOptions> classifier = {};
};

struct LoadedModel {
  std::unique_ptr<Decoder> decoder;
  AdapterPlan adapter;                 ///< empty without one
  std::vector<std::string> notes;      ///< what the user should be told once, in plain words
  std::uint64_t base_fingerprint = 0;  ///< of every base weight as it was read
};

/// Which family and shape the files say they are. InputError as read_config.
struct ModelIdentity {
  const Architecture* architecture = nullptr;
  DecoderConfig config;
  bool paired_qk_rows = false;  ///< the rows of q and k lie as pairs (i, i + D/2)
  bool prequantised = false;    ///< bitsandbytes has quantised the projections to NF4 already
};
ModelIdentity identify_model(ModelFiles& files);

/// Builds the model. On a dry stream nothing is read beyond headers: sizes and errors of shape are
/// those of the real load. InputError: files that are damaged or do not fit together. UserError:
/// adapter settings, or a number of classes, that do not fit the model.
LoadedModel load_model(Stream& stream, ModelFiles& files, const LoadOptions& options);
/// The same of weights from anywhere.
LoadedModel build_model(Stream& stream, ModelIdentity model, WeightSource& weights,
                        const LoadOptions& options);

}  // namespace elenchus
