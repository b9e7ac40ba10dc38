#include "metrics/token_metrics.h"

#include <cmath>

namespace elenchus {

void Perplexity::observe(const Prediction& prediction) {
  nats_ += prediction.loss_nats;
  targets_ += prediction.targets;
}

double Perplexity::result() const { return targets_ > 0 ? std::exp(nats_ / double(targets_)) : 0; }

void TokenAccuracy::observe(const Prediction& prediction) {
  correct_ += prediction.correct;
  targets_ += prediction.targets;
}

double TokenAccuracy::result() const {
  return targets_ > 0 ? double(correct_) / double(targets_) : 0;
}

}  // namespace elenchus
