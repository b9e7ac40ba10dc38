#pragma once
// What a run will hold in memory, found by going through its largest step on a dry stream: no
// weight is read.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "jobs/device_choice.h"
#include "jobs/recipe.h"
#include "models/loader.h"

namespace elenchus {

/// The largest shapes that a run meets.
struct LargestShapes {
  std::int64_t train_tokens = 0, train_targets = 0, train_sequences = 0;
  std::int64_t eval_tokens = 0, eval_targets = 0, eval_sequences = 0;
  /// Of generation: sequences at once, and the prompt tokens and cache rows of the longest.
  std::int64_t prompts = 0, prompt_tokens = 0, cache_rows = 0;
  /// Of a sequence whose logits are asked for at every position.
  std::int64_t scored_tokens = 0;
};

/// Memory of one device by part, in bytes.
struct MemoryPlan {
  std::size_t weights = 0;      ///< frozen, quantised or not, and tables
  std::size_t adapter = 0;      ///< trained values and gradients
  std::size_t optimizer = 0;    ///< moments
  std::size_t activations = 0;  ///< the arena
  std::size_t cache = 0;        ///< keys and values of generation
  std::size_t scratch = 0;      ///< of the CPU's threads, or of the GPU's libraries
  std::size_t loading =
      0;  ///< most that loading holds besides the weights; not at the same time as the rest
  std::size_t process = 0;  ///< the program, its libraries, tokenizer and data; or what the CUDA
                            ///< driver keeps on the device
  Recomputation recomputation;
  std::int64_t layers = 0;
  std::int64_t trained_parameters = 0;
  std::size_t device_total() const { return weights + adapter + optimizer + activations + cache; }
  /// The most that the process holds at any time.
  std::size_t peak() const;
};

/// Builds a model on the stream given.
using ModelBuilder = std::function<LoadedModel(Stream&)>;

/// Plans a run of the model that `build` makes, with these shapes on that device. `training` null:
/// nothing is trained. Its gradient_checkpointing off keeps all, on computes every block again;
/// `automatic` computes again as little as makes the peak fit into the device's free memory, what is
/// cheapest first.
MemoryPlan plan_memory(const ModelBuilder& build, const LargestShapes& shapes,
                       const TrainingConfig* training, const DeviceChoice& where);

/// "1.23 GiB"
std::string bytes_text(std::size_t bytes);
/// The plan as a table, a line a part.
std::string memory_plan_text(const MemoryPlan& plan);

}  // namespace elenchus
