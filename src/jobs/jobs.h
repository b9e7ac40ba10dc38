#pragma once
// What the program does: one function a command. Each returns the exit status of the program;
// failures are thrown (UserError, DeviceError). Results go to stdout, everything else to stderr.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "jobs/recipe.h"

namespace elenchus {

/// A recipe file and what the command line puts over it.
struct RecipeSource {
  std::filesystem::path file;
  std::vector<std::string> overrides;  ///< "section.key=value"
};

struct FinetuneOptions {
  RecipeSource recipe;
  std::optional<ResumeChoice> resume;  ///< --resume; else training.resume_from_checkpoint counts
  bool quiet = false;                  ///< warnings and the final lines only
};
/// Trains adapters; the files of output_dir are its result. 130 or 143 when a signal stopped it
/// after saving.
int finetune(const FinetuneOptions& options);

struct EvaluateOptions {
  RecipeSource recipe;
  std::optional<std::filesystem::path> adapter;  ///< none: the base model
};
/// Prints the metrics as one JSON object.
int evaluate(const EvaluateOptions& options);

struct ChatOptions {
  std::filesystem::path model;  ///< a Hugging Face folder or a GGUF file
  std::optional<std::filesystem::path> adapter;
  std::optional<std::string> prompt;  ///< one reply and done; none: interactive
  std::optional<std::string> system;
  int max_new_tokens = 512;           ///< >= 1
  std::optional<double> temperature;  ///< none or 0: the most likely token
  std::optional<double> top_p;        ///< in (0, 1]
  std::optional<int> top_k;           ///< 0: all
  std::uint64_t seed = 42;
};
int chat(const ChatOptions& options);

struct CompareOptions {
  RecipeSource recipe;
  std::filesystem::path adapter;
  std::vector<std::string> prompts;  ///< at least one
  int max_new_tokens = 80;           ///< >= 1
};
/// Prints the base model's and the adapted model's reply to each prompt, with the recipe's scores.
int compare(const CompareOptions& options);

struct PredictOptions {
  RecipeSource recipe;
  std::filesystem::path adapter, input, output;
  bool average_swapped = false;  ///< each row also with its two answers exchanged, averaged
  bool fit_temperature = false;  ///< scores are divided by what fits the evaluation rows best
};
/// Writes the probabilities of the classes of a file's rows to a CSV file.
int predict(const PredictOptions& options);

struct InspectOptions {
  RecipeSource recipe;
  std::int64_t rows = 3;
};
/// Prints rows as the model sees them: the rendered text, the ids, and which tokens are trained on.
int inspect(const InspectOptions& options);

struct PlanOptions {
  RecipeSource recipe;
};
/// Prints parameters, memory by part and device, steps and schedule; starts nothing.
int plan(const PlanOptions& options);

struct TokenizeOptions {
  std::filesystem::path
      model;                ///< a folder with tokenizer files (no weights needed) or a GGUF file
  bool chat = false;        ///< lines are {"messages": [...], "add_generation_prompt": false}
  bool render = false;      ///< with chat: print the template's text, not ids
  bool decode = false;      ///< lines are id lists, printed as text
  bool no_special = false;  ///< adds no special tokens at a text's ends
  std::string input = "-";  ///< a file, or "-" for stdin
};
/// JSON lines in, JSON lines out.
int tokenize(const TokenizeOptions& options);

struct LogitsOptions {
  std::filesystem::path model;
  std::optional<std::filesystem::path> adapter;
  bool load_in_4bit = false;
  std::filesystem::path input;   ///< JSON: a list of id lists
  std::filesystem::path output;  ///< safetensors: f32 "logits.I" [tokens, vocabulary], or
                                 ///< [num_labels] of a classifier
};
int logits(const LogitsOptions& options);

struct QuantizeOptions {
  std::filesystem::path model, output;
};
/// Writes the model's linear layers in NF4 with double quantisation, under bitsandbytes' names: one
/// file if `output` ends in .safetensors, else a folder that transformers loads.
int quantize(const QuantizeOptions& options);

/// What a benchmarked step trains.
enum class BenchTask { causal, classifier };
template <>
struct EnumNames<BenchTask> {
  static constexpr std::string_view names[] = {"causal", "classifier"};
};

struct BenchStepOptions {
  std::string architecture = "llama3-8b";  ///< one of bench_model_names()
  BenchTask task = BenchTask::causal;
  std::int64_t rows = 4, length = 2048;  ///< of a micro-batch; every token trained
  int accumulation = 1;
  std::vector<std::string> target_modules;  ///< none: all-linear
  int rank = 16;
  double dropout = 0;
  ComputeType compute = ComputeType::automatic;
  Recompute recompute = Recompute::off;
  std::string device = "auto";
  std::optional<std::string> max_memory;  ///< "8GiB"
  int steps = 10, warm_up = 3;
};
/// Trains a model of random weights, made on the device, and prints tokens/s, the share of the
/// matrix peak, memory planned and measured, and on a GPU the time by part.
int bench_step(const BenchStepOptions& options);

struct BenchOpsOptions {
  std::vector<std::string> names;  ///< groups: rows, step, nf4, linear, attention; none: all
};
/// Prints the speed of single ops on the GPU.
int bench_ops(const BenchOpsOptions& options);

}  // namespace elenchus
