#pragma once

#include <cmath>

#include "ops/adamw/adamw.h"

namespace elenchus::ops {

/// The numbers of one AdamW step as the update uses them: computed in f64, rounded once to f32.
struct AdamWFactors {
  float gradient_scale;
  float keep;  // what weight decay leaves
  float one_minus_beta1, beta2, one_minus_beta2;
  float step_size;            // learning rate over the first bias correction
  float root_of_correction2;  // square root of the second bias correction
  float epsilon;

  explicit AdamWFactors(const AdamWStep& s)
      : gradient_scale(float(s.gradient_scale)),
        keep(float(1 - s.learning_rate * s.weight_decay)),
        one_minus_beta1(float(1 - s.beta1)),
        beta2(float(s.beta2)),
        one_minus_beta2(float(1 - s.beta2)),
        step_size(float(s.learning_rate / (1 - std::pow(s.beta1, double(s.step))))),
        root_of_correction2(float(std::sqrt(1 - std::pow(s.beta2, double(s.step))))),
        epsilon(float(s.epsilon)) {}
};

}  // namespace elenchus::ops
