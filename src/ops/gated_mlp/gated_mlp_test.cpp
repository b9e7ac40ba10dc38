#include "ops/gated_mlp/gated_mlp.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using ops::Activation;
using testing::complex_step_gradient;
using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

template <class S>
S activate(S x, Activation activation) {
  if (activation == Activation::silu) return x / (1.0 + std::exp(-x));
  const double k = std::sqrt(2 / M_PI);
  return 0.5 * x * (1.0 + std::tanh(k * (x + 0.044715 * x * x * x)));
}

template <class S>
std::vector<S> reference(const std::vector<S>& gate_up, std::size_t width, Activation activation) {
  std::vector<S> y;
  for (std::size_t row = 0; row < gate_up.size(); row += 2 * width)
    for (std::size_t f = 0; f < width; ++f)
      y.push_back(activate(gate_up[row + f], activation) * gate_up[row + width + f]);
  return y;
}

class GatedMlp : public testing::OnDevice {
 protected:
  void compare(std::int64_t rows, std::int64_t width, Activation activation) {
    const auto x = rounded(random_values(rows * 2 * width, 1, 6), dtype());
    const auto dy = rounded(random_values(rows * width, 2), dtype());
    const Held gate_up = tensor({rows, 2 * width}, x), hdy = tensor({rows, width}, dy);
    const Held y(stream(), {rows, width}, dtype()), again(stream(), {rows, width}, dtype());
    ops::gated_mlp_forward(stream(), y, gate_up, activation);
    expect_close(y.values(), reference(x, std::size_t(width), activation), tolerance());
    ops::gated_mlp_backward(stream(), gate_up, again, hdy, gate_up, activation);
    const auto expected = complex_step_gradient(
        x, dy, [&](const auto& v) { return reference(v, std::size_t(width), activation); });
    expect_close(gate_up.values(), expected, tolerance());
    EXPECT_EQ(again.values(), y.values());
  }
};

TEST_P(GatedMlp, MatchesTheReferenceAndItsComplexStepGradientInPlace) {
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh})
    for (const auto& [rows, width] : {std::pair{3, 1}, {2, 31}, {1, 33}, {2, 72}, {0, 5}})
      compare(rows, width, activation);
}

TEST_P(GatedMlp, StaysFiniteForLargeGates) {
  const std::vector<double> x = {-1000, 1000, -88, 88, 1, 1, 1, 1}, dy = {1, 1, 1, 1};
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh}) {
    const Held gate_up = tensor({1, 8}, x), hdy = tensor({1, 4}, dy);
    const Held y(stream(), {1, 4}, dtype());
    ops::gated_mlp_backward(stream(), gate_up, y, hdy, gate_up, activation);
    expect_close(y.values(), std::vector<double>{0, 1000, 0, 88}, tolerance());
    expect_close(gate_up.values(), std::vector<double>{0, 1, 0, 1, 0, 1000, 0, 88}, tolerance());
  }
}

TEST_P(GatedMlp, ThrowsOnWrongShapes) {
  const Held gate_up(stream(), {2, 8}, dtype()), y(stream(), {2, 5}, dtype());
  const Held dy(stream(), {2, 4}, dtype());
  EXPECT_THROW(ops::gated_mlp_forward(stream(), y, gate_up, Activation::silu), InternalError);
  EXPECT_THROW(ops::gated_mlp_backward(stream(), gate_up, y, dy, gate_up, Activation::silu),
               InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, GatedMlp, testing::every_device_and_float(), testing::case_name);

TEST(GatedMlpDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {4, 8}), y = testing::dry_tensor(*dry, {4, 4});
  ops::gated_mlp_forward(*dry, y, x, Activation::silu);
  ops::gated_mlp_backward(*dry, x, y, y, x, Activation::silu);
}

}  // namespace
}  // namespace elenchus
