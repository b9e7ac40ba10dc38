#include "ops/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <limits>

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using ops::CrossEntropyOptions;
using ops::LogitsAfter;
using testing::Complex;
using testing::complex_step_gradient;
using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::real_part;
using testing::rounded;

template <class S>
std::vector<S> reference(const std::vector<S>& logits, std::span<const std::int32_t> targets,
                         const CrossEntropyOptions& options, std::span<const double> weights) {
  const std::size_t classes = logits.size() / std::max<std::size_t>(1, targets.size());
  std::vector<S> loss;
  for (std::size_t n = 0; n < targets.size(); ++n) {
    std::vector<S> z(logits.begin() + std::ptrdiff_t(n * classes),
                     logits.begin() + std::ptrdiff_t((n + 1) * classes));
    const double cap = options.soft_cap, smoothing = options.label_smoothing;
    double maximum = -std::numeric_limits<double>::infinity();
    for (S& v : z) {
      if (cap > 0) v = cap * std::tanh(v / cap);
      maximum = std::max(maximum, real_part(v));
    }
    S sum = 0;
    for (const S& v : z) sum += std::exp(v - maximum);
    const S log_sum = maximum + std::log(sum);
    const auto weight = [&](std::size_t c) { return weights.empty() ? 1.0 : weights[c]; };
    const std::size_t target = std::size_t(targets[n]);
    S nats = (1 - smoothing) * weight(target) * (log_sum - z[target]);
    for (std::size_t c = 0; c < classes; ++c)
      nats += smoothing / double(classes) * weight(c) * (log_sum - z[c]);
    loss.push_back(nats);
  }
  return loss;
}

class CrossEntropy : public testing::OnDevice {
 protected:
  void compare(std::int64_t classes, CrossEntropyOptions options = {},
               std::span<const double> weights = {}) {
    const auto x = rounded(random_values(3 * classes, 1, 4), dtype());
    const std::vector<std::int32_t> targets = {0, std::int32_t(classes - 1),
                                               std::int32_t(classes / 2)};
    const Held logits = tensor({3, classes}, x), hold(stream(), targets);
    const Held loss(stream(), {3}, DType::f32), prediction(stream(), {3}, DType::i32);
    ops::cross_entropy(stream(), loss, prediction, logits, hold, LogitsAfter::kept, options);
    EXPECT_EQ(logits.values(), x);
    expect_close(loss.values(), reference(x, targets, options, weights), 4e-6);
    const auto best = prediction.values();
    for (std::size_t n = 0; n < 3; ++n) {
      const auto row = x.begin() + std::ptrdiff_t(n) * classes;
      EXPECT_EQ(best[n], double(std::max_element(row, row + classes) - row));
    }
    ops::cross_entropy(stream(), loss, {}, logits, hold, LogitsAfter::gradient, options);
    const std::vector<double> dloss(3, options.gradient_scale);
    const auto expected = complex_step_gradient(x, dloss, [&](const std::vector<Complex>& v) {
      return reference(v, targets, options, weights);
    });
    expect_close(logits.values(), expected, tolerance());
  }
};

TEST_P(CrossEntropy, MatchesTheReferenceAndItsComplexStepGradient) {
  for (const std::int64_t classes : {1, 2, 31, 33, 130, 136}) compare(classes);
}

TEST_P(CrossEntropy, CapsScalesAndSmooths) {
  compare(33, {.soft_cap = 3});
  compare(33, {.gradient_scale = 0.5f});
  compare(33, {.label_smoothing = 0.1f});
  compare(33, {.soft_cap = 2, .gradient_scale = 2, .label_smoothing = 0.2f});
}

TEST_P(CrossEntropy, WeighsClasses) {
  for (const std::int64_t classes : {4, 33}) {
    auto weights = rounded(random_values(classes, 9), DType::f32);
    for (double& w : weights) w = std::abs(w) + 0.25;
    const Held held = floats({classes}, weights);
    compare(classes, {.class_weights = held}, weights);
    compare(classes, {.label_smoothing = 0.1f, .class_weights = held}, weights);
    compare(classes, {.soft_cap = 2, .label_smoothing = 0.3f, .class_weights = held}, weights);
  }
}

TEST_P(CrossEntropy, CoversVocabulariesOfManyChunks) {
  const std::int64_t classes = 9001;
  auto x = rounded(random_values(2 * classes, 1, 4), dtype());
  x[8200] = 30;  // the maximum rises in a later chunk
  const std::vector<std::int32_t> targets = {8200, 17};
  const Held logits = tensor({2, classes}, x), loss(stream(), {2}, DType::f32);
  const Held prediction(stream(), {2}, DType::i32);
  ops::cross_entropy(stream(), loss, prediction, logits, Held(stream(), targets),
                     LogitsAfter::gradient);
  EXPECT_EQ(prediction.values()[0], 8200);
  expect_close(loss.values(), reference(x, targets, {}, {}), 4e-6);
  const auto dx = logits.values();
  for (std::int64_t row = 0; row < 2; ++row) {
    double sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += dx[std::size_t(row * classes + c)];
    EXPECT_NEAR(sum, 0, 1e4 * testing::epsilon_of(dtype()) * 0.1);
  }
}

TEST_P(CrossEntropy, PredictsTheLowestOfEqualLogits) {
  std::vector<double> x(200, 1);
  x[0] = 0;
  const Held logits = tensor({1, 200}, x), loss(stream(), {1}, DType::f32);
  const Held prediction(stream(), {1}, DType::i32), target(stream(), std::vector{5});
  ops::cross_entropy(stream(), loss, prediction, logits, target, LogitsAfter::kept);
  EXPECT_EQ(prediction.values(), std::vector<double>{1});
}

TEST_P(CrossEntropy, IgnoresImpossibleClassesAndShowsNan) {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> x(5000, -inf);
  x[4999] = x[4998] = 2;
  const Held loss(stream(), {1}, DType::f32), target(stream(), std::vector{4999});
  const Held prediction(stream(), {1}, DType::i32), logits = tensor({1, 5000}, x);
  ops::cross_entropy(stream(), loss, prediction, logits, target, LogitsAfter::kept);
  expect_close(loss.values(), std::vector<double>{std::log(2.0)}, 4e-6);
  EXPECT_EQ(prediction.values(), std::vector<double>{4998});
  x[7] = std::numeric_limits<double>::quiet_NaN();
  ops::cross_entropy(stream(), loss, {}, tensor({1, 5000}, x), target, LogitsAfter::kept);
  EXPECT_TRUE(std::isnan(loss.values()[0]));
}

TEST_P(CrossEntropy, TakesNoRows) {
  const Held none(stream(), {0}, DType::f32), targets(stream(), {0}, DType::i32);
  ops::cross_entropy(stream(), none, {}, Held(stream(), {0, 9}, dtype()), targets,
                     LogitsAfter::gradient);
}

TEST_P(CrossEntropy, ThrowsOnWrongShapes) {
  const Held logits(stream(), {2, 9}, dtype()), two(stream(), {2}, DType::f32);
  const Held targets(stream(), std::vector{0, 1}), three(stream(), {3}, DType::f32);
  const auto call = [&](Tensor loss, ConstTensor target, const CrossEntropyOptions& options) {
    ops::cross_entropy(stream(), loss, {}, logits, target, LogitsAfter::kept, options);
  };
  EXPECT_THROW(call(three, targets, {}), InternalError);
  EXPECT_THROW(call(two, two, {}), InternalError);
  EXPECT_THROW(call(two, targets, {.class_weights = two}), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, CrossEntropy, testing::every_device_and_float(),
                         testing::case_name);

TEST(CrossEntropyCpu, RefusesATargetThatIsNoClass) {
  const auto stream = Stream::open({}, 1);
  const Held logits(*stream, {1, 9}, DType::f32), loss(*stream, {1}, DType::f32);
  EXPECT_THROW(ops::cross_entropy(*stream, loss, {}, logits, Held(*stream, std::vector{9}),
                                  LogitsAfter::kept),
               InternalError);
}

TEST(CrossEntropyDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  ops::cross_entropy(*dry, testing::dry_tensor(*dry, {2}), {}, testing::dry_tensor(*dry, {2, 9}),
                     testing::dry_tensor(*dry, {2}, DType::i32), LogitsAfter::gradient);
}

}  // namespace
}  // namespace elenchus
