#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace elenchus {
namespace {

struct Candidate {
  double weight;  // its probability, up to a common factor
  TokenId id;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

/// exp((logit - largest logit) / temperature) of each token that is not impossible.
std::vector<Candidate> weigh(std::span<const float> logits, double temperature) {
  const double top = double(logits[std::size_t(most_likely(logits))]);
  std::vector<Candidate> out;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double distance = double(logits[i]) - top;
    const double weight = distance == 0 ? 1 : std::exp(distance / temperature);
    if (weight > 0) out.push_back({weight, TokenId(i)});
  }
  return out;
}

double sum_of(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.weight;
  return sum;
}

void keep_top_k(std::vector<Candidate>& candidates, std::int64_t top_k) {
  if (top_k == 0 || std::int64_t(candidates.size()) <= top_k) return;
  std::nth_element(candidates.begin(), candidates.begin() + (top_k - 1), candidates.end(),
                   likelier);
  candidates.resize(std::size_t(top_k));
}

void keep_top_p(std::vector<Candidate>& candidates, double top_p) {
  if (top_p >= 1) return;
  const double sum = sum_of(candidates);
  // Those below this share could not fill 1 - top_p together, so none of them is needed.
  const double floor = (1 - top_p) * sum / double(candidates.size());
  std::erase_if(candidates, [&](const Candidate& c) { return c.weight < floor; });
  std::ranges::sort(candidates, likelier);
  double covered = 0;
  std::size_t kept = 0;
  while (kept < candidates.size() && covered < top_p * sum) covered += candidates[kept++].weight;
  candidates.resize(std::max<std::size_t>(kept, 1));
}

}  // namespace

void check(const SamplingOptions& options) {
  if (!(options.temperature >= 0 && std::isfinite(options.temperature)))
    throw UserError(
        cat("temperature: found ", options.temperature, ", expected a number of at least 0"));
  if (!(options.top_p > 0 && options.top_p <= 1))
    throw UserError(cat("top_p: found ", options.top_p, ", expected more than 0, at most 1"));
  if (options.top_k < 0)
    throw UserError(cat("top_k: found ", options.top_k, ", expected at least 0"));
}

TokenId most_likely(std::span<const float> logits) {
  expect(!logits.empty(), "logits of at least one token");
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      throw UserError(cat("the model's logit of token ", i,
                          " is not a number; its weights or adapter are damaged, or the compute "
                          "type overflows (model.dtype)"),
                      ExitCode::bad_numbers);
    if (logits[i] > logits[best]) best = i;
  }
  return TokenId(best);
}

TokenId sample(std::span<const float> logits, const SamplingOptions& options,
               std::uint32_t sequence, std::uint32_t position) {
  if (options.temperature == 0 || options.top_k == 1) return most_likely(logits);
  std::vector<Candidate> candidates = weigh(logits, options.temperature);
  keep_top_k(candidates, options.top_k);
  keep_top_p(candidates, options.top_p);
  const RandomKey key = {
      .seed = options.seed, .use = RandomUse::sample, .step = position, .site = sequence};
  double left = double(key.uniform(0)) * sum_of(candidates);
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.id;
  }
  return candidates.back().id;
}

}  // namespace elenchus
