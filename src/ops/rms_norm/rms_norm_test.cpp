#include "ops/rms_norm/rms_norm.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::complex_step_gradient;
using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

constexpr float kEpsilon = 1e-5f;

template <class S>
std::vector<S> reference(const std::vector<S>& x, const std::vector<double>& weight) {
  const std::size_t columns = weight.size();
  std::vector<S> y(x.size());
  for (std::size_t row = 0; row < x.size(); row += columns) {
    S squares = 0;
    for (std::size_t c = 0; c < columns; ++c) squares += x[row + c] * x[row + c];
    const S rstd = 1.0 / std::sqrt(squares / double(columns) + double(kEpsilon));
    for (std::size_t c = 0; c < columns; ++c) y[row + c] = x[row + c] * rstd * weight[c];
  }
  return y;
}

class RmsNorm : public testing::OnDevice {
 protected:
  /// x and dx in `residual`, y and dy in the case's dtype.
  void compare(std::int64_t rows, std::int64_t columns, DType residual) {
    const auto x = rounded(random_values(rows * columns, 1), residual);
    const auto weight = rounded(random_values(columns, 2), DType::f32);
    const auto dy = rounded(random_values(rows * columns, 3), dtype());
    const Held hx(stream(), {rows, columns}, residual, x), hw = floats({columns}, weight);
    const Held hdy = tensor({rows, columns}, dy), rstd(stream(), {rows}, DType::f32);
    const Held y(stream(), {rows, columns}, dtype());
    ops::rms_norm_forward(stream(), y, rstd, hx, hw, kEpsilon);
    expect_close(y.values(), reference(x, weight), tolerance());

    const auto old = rounded(random_values(rows * columns, 4), residual);
    const Held dx(stream(), {rows, columns}, residual, old);
    ops::rms_norm_backward(stream(), dx, hdy, hx, hw, rstd);
    auto expected =
        complex_step_gradient(x, dy, [&](const auto& v) { return reference(v, weight); });
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += old[i];
    expect_close(dx.values(), expected, std::max(tolerance(), 2 * testing::epsilon_of(residual)));
  }
};

TEST_P(RmsNorm, MatchesTheReferenceAndItsComplexStepGradient) {
  for (const auto& [rows, columns] : {std::pair{3, 1}, {2, 31}, {3, 33}, {2, 130}, {2, 264}})
    compare(rows, columns, dtype());
}

TEST_P(RmsNorm, ReadsAResidualStreamOfAnotherType) {
  for (const DType residual : {DType::f32, DType::bf16})
    for (const auto& [rows, columns] : {std::pair{3, 1}, {2, 33}, {2, 264}})
      compare(rows, columns, residual);
}

TEST_P(RmsNorm, TakesNoRows) { compare(0, 33, dtype()); }

TEST_P(RmsNorm, MayOverwriteItsInputAndLeaveOutRstd) {
  const auto x = rounded(random_values(2 * 33, 1), dtype());
  const Held hx = tensor({2, 33}, x), weight = floats({33}, random_values(33, 2));
  const Held y(stream(), {2, 33}, dtype());
  ops::rms_norm_forward(stream(), y, {}, hx, weight, kEpsilon);
  ops::rms_norm_forward(stream(), hx, {}, hx, weight, kEpsilon);
  EXPECT_EQ(hx.values(), y.values());
}

TEST_P(RmsNorm, ThrowsOnWrongShapes) {
  const Held x(stream(), {2, 8}, dtype()), y(stream(), {2, 9}, dtype());
  const Held weight(stream(), {8}, DType::f32), rstd(stream(), {3}, DType::f32);
  EXPECT_THROW(ops::rms_norm_forward(stream(), y, {}, x, weight, kEpsilon), InternalError);
  EXPECT_THROW(ops::rms_norm_forward(stream(), x, rstd, x, weight, kEpsilon), InternalError);
  EXPECT_THROW(ops::rms_norm_backward(stream(), x, x, x, weight, rstd), InternalError);
  const DType other = dtype() == DType::f32 ? DType::f16 : DType::f32;
  const Tensor over(x.tensor().data(), {2, 4}, other, stream().device());
  const Held narrow(stream(), {4}, DType::f32);
  EXPECT_THROW(ops::rms_norm_forward(stream(), over, {}, x.tensor().rows(0, 1).reshaped({2, 4}),
                                     narrow, kEpsilon),
               InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, RmsNorm, testing::every_device_and_float(), testing::case_name);

TEST(RmsNormDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {4, 8}), weight = testing::dry_tensor(*dry, {8});
  const Tensor rstd = testing::dry_tensor(*dry, {4});
  ops::rms_norm_forward(*dry, x, rstd, x, weight, kEpsilon);
  ops::rms_norm_backward(*dry, x, x, x, weight, rstd);
}

}  // namespace
}  // namespace elenchus
