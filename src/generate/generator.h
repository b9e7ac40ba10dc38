#pragma once
// Continues prompts token by token over a cache of keys and values.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "generate/sampler.h"
#include "models/language_model.h"
#include "text/tokenizer.h"

namespace elenchus {

struct GenerateOptions {
  std::int64_t max_new_tokens = 256;
  SamplingOptions sampling;
  std::vector<TokenId> stop_ids;       ///< end a reply and are no part of it
  std::int64_t max_positions = 0;      ///< longest sequence the model takes; 0: no limit is known
  std::int64_t batch_size = 8;         ///< sequences that run at once
  std::int64_t prefill_tokens = 1024;  ///< prompt tokens of one forward, at most
  /// A number of each prompt, 0 to 2^32 - 1, that its random numbers depend on; empty: its place in
  /// the call. A caller that spreads prompts over calls or ranks numbers them itself, so that no
  /// two share their random numbers. What it refers to outlives the call.
  std::span<const std::int64_t> sequence_numbers = {};
  /// Asked before each forward; true ends every reply where it is (FinishReason::interrupted).
  std::function<bool()> stop_asked = {};
};

enum class FinishReason { stop, length, capacity, interrupted };

/// One continuation.
struct Reply {
  std::vector<TokenId> ids;
  std::string text;  ///< without special tokens
  FinishReason finish = FinishReason::length;
};

/// What was done and how long it took.
struct GenerateTimings {
  std::int64_t prompt_tokens = 0, new_tokens = 0;
  double prompt_seconds = 0, new_seconds = 0;
};

/// Called with each stretch of whole characters of a single prompt's reply; false ends it.
using OnText = std::function<bool(std::string_view text)>;

class Generator {
 public:
  /// References outlive this. The arena holds activations of prefill_tokens rows and logits of
  /// batch_size rows.
  Generator(LanguageModel& model, Stream& stream, Arena& arena, const Tokenizer& tokenizer)
      : model_(model), stream_(stream), arena_(arena), tokenizer_(tokenizer) {}
  /// A reply to each prompt (ids), in order; an empty one to a prompt without ids. `on_text` is for
  /// a single prompt. UserError: options out of range. InputError: a prompt that fills
  /// max_positions by itself, or an id outside the vocabulary. A model may have more logits than
  /// the tokenizer has tokens (padded embeddings): those are never chosen.
  std::vector<Reply> generate(std::span<const std::vector<TokenId>> prompts,
                              const GenerateOptions& options, const OnText& on_text = {});
  /// Sums over all calls so far.
  const GenerateTimings& timings() const { return timings_; }

 private:
  struct Live;
  void check_prompts(std::span<const std::vector<TokenId>> prompts,
                     const GenerateOptions& options) const;
  static bool interrupted(std::span<Live> group, const GenerateOptions& options);
  void run_group(std::span<Live> group, const GenerateOptions& options, const OnText& on_text);
  struct Rows;
  Rows next_rows(std::span<Live> group, const KvCache& cache, std::int64_t budget);
  void forward(std::span<Live> group, KvCache& cache, const GenerateOptions& options);
  void accept(Live& live, TokenId id, const KvCache& cache, const GenerateOptions& options);

  LanguageModel& model_;
  Stream& stream_;
  Arena& arena_;
  const Tokenizer& tokenizer_;
  GenerateTimings timings_;
};

}  // namespace elenchus
