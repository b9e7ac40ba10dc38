#include "ops/adamw/adamw.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

class AdamW : public testing::OnDevice {};

TEST_P(AdamW, FollowsTheFormulaOverTenSteps) {
  for (const std::int64_t n : {0, 1, 31, 33, 20000}) {
    ops::AdamWStep step{.learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.25};
    auto w = rounded(random_values(n, 1), DType::f32);
    std::vector<double> m(w.size()), v(w.size());
    const Held weight = floats({n}, w), first = floats({n}, m), second = floats({n}, v);
    for (step.step = 1; step.step <= 10; ++step.step) {
      const auto gradient = rounded(random_values(n, 10 + std::uint64_t(step.step)), DType::f32);
      ops::adamw_step(stream(), weight, first, second, floats({n}, gradient), step);
      const double correction1 = 1 - std::pow(step.beta1, double(step.step));
      const double correction2 = 1 - std::pow(step.beta2, double(step.step));
      for (std::size_t i = 0; i < w.size(); ++i) {
        const double g = step.gradient_scale * gradient[i];
        w[i] -= step.learning_rate * step.weight_decay * w[i];
        m[i] = step.beta1 * m[i] + (1 - step.beta1) * g;
        v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g;
        w[i] -= step.learning_rate / correction1 * m[i] /
                (std::sqrt(v[i]) / std::sqrt(correction2) + step.epsilon);
      }
    }
    // Ten steps of a few f32 roundings each.
    expect_close(weight.values(), w, 2e-6);
    expect_close(first.values(), m, 1e-6);
    expect_close(second.values(), v, 1e-6);
  }
}

TEST_P(AdamW, ThrowsOnWrongShapesAndSteps) {
  const Held a(stream(), {4}, DType::f32), b(stream(), {5}, DType::f32);
  EXPECT_THROW(ops::adamw_step(stream(), a, a, a, b, {}), InternalError);
  EXPECT_THROW(ops::adamw_step(stream(), a, a, a, a, {.step = 0}), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, AdamW, testing::every_device(), testing::case_name);

TEST(AdamWDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {4});
  ops::adamw_step(*dry, x, x, x, x, {});
}

}  // namespace
}  // namespace elenchus
