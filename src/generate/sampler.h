#pragma once
// Which token comes next.

#include <cstdint>
#include <span>

#include "text/tokenizer.h"

namespace elenchus {

/// Names and meaning are those of transformers' generate().
struct SamplingOptions {
  double temperature = 0;  ///< 0: the most likely token
  double top_p = 1;        ///< the smallest set of likely tokens that holds this share; (0, 1]
  std::int64_t top_k = 0;  ///< the k most likely tokens; 0: all
  std::uint64_t seed = 42;
};

/// UserError: a value out of its range.
void check(const SamplingOptions& options);

/// The most likely token; of equal ones the lowest id. UserError (bad_numbers): a logit is NaN.
TokenId most_likely(std::span<const float> logits);

/// Draws from softmax(logits / temperature) over what top_k, then top_p leave. The random number is
/// a function of (seed, sequence, position) alone. UserError (bad_numbers): a logit is NaN.
TokenId sample(std::span<const float> logits, const SamplingOptions& options,
               std::uint32_t sequence, std::uint32_t position);

}  // namespace elenchus
