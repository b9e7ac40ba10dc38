#pragma once
// A recipe: everything that a run is asked to do, read from one YAML file and the command line.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/data_config.h"
#include "models/model_config.h"
#include "train/training_config.h"

namespace elenchus {

struct Recipe {
  ModelConfig model;
  QuantizationConfig quantization;
  LoraConfig lora;
  DataConfig data;
  TrainingConfig training;
  Json metrics = Json::Array{};  ///< a list of {KIND: {name: ..., ...}}

  std::filesystem::path file;      ///< the recipe, as given on the command line
  std::string model_as_written;    ///< model_name_or_path before it was made absolute
  std::vector<std::string> notes;  ///< what the user should be told once, in plain words

  template <class Self, class V>
  static void sections(Self& s, V&& v) {
    v("model", s.model);
    v("quantization", s.quantization);
    v("lora", s.lora);
    v("data", s.data);
    v("training", s.training);
  }
};

/// Reads a recipe, puts `overrides` ("lora.r=8", the value as YAML) over it, and checks every
/// value. Paths become absolute; those that are relative, also in overrides, are relative to the
/// recipe's folder. UserError with file, line and column, the key, what was found and what was
/// expected.
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides);

/// The same for text that is already in memory; relative paths are relative to the folder of
/// `file`.
Recipe parse_recipe(std::string_view text, const std::filesystem::path& file,
                    const std::vector<std::string>& overrides);

/// Every key with its value, as {model: {...}, quantization: {...}, ..., metrics: [...]}.
Json recipe_to_json(const Recipe& recipe);

/// The same as YAML, for training_args.yaml. parse_recipe gives the same recipe again.
std::string recipe_to_yaml(const Recipe& recipe);

/// training_config.json: {model_name, training_args, lora_config, bnb_config}; bnb_config is null
/// without quantisation.
Json training_config_json(const Recipe& recipe);

/// "lora.r (16): rank: rows of A and columns of B", a line for every key.
std::string recipe_help();

/// How a run starts, from training.resume_from_checkpoint.
struct ResumeChoice {
  std::optional<std::filesystem::path> checkpoint;  ///< none: the newest valid one, if any
};
/// None: from the beginning.
std::optional<ResumeChoice> resume_choice(const Recipe& recipe);

}  // namespace elenchus
