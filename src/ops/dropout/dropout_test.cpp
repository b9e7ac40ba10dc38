#include "ops/dropout/dropout.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::Held;
using testing::random_values;
using testing::rounded;

constexpr RandomKey kKey{
    .seed = 0x0123456789abcdefu, .use = RandomUse::dropout, .step = 7, .site = 195};

std::vector<double> reference(const std::vector<double>& x, float p, DType dtype) {
  std::vector<double> y;
  for (std::size_t i = 0; i < x.size(); ++i)
    y.push_back(kKey.uniform(i) >= p ? float(x[i]) / (1.0f - p) : 0);
  return rounded(y, dtype);
}

class Dropout : public testing::OnDevice {};

TEST_P(Dropout, IsAFunctionOfTheKeyAndTheIndex) {
  for (const std::int64_t n : {0, 1, 31, 33, 40001})
    for (const float p : {0.0f, 0.1f, 0.9f}) {
      const auto x = rounded(random_values(n, 1), dtype());
      const Held y(stream(), {n}, dtype());
      ops::dropout(stream(), y, tensor({n}, x), p, kKey);
      EXPECT_EQ(y.values(), reference(x, p, dtype()));
    }
}

TEST_P(Dropout, WorksInPlace) {
  const auto x = rounded(random_values(333, 1), dtype());
  const Held y = tensor({333}, x);
  ops::dropout(stream(), y, y, 0.3f, kKey);
  EXPECT_EQ(y.values(), reference(x, 0.3f, dtype()));
}

TEST_P(Dropout, AddsTheMaskedValues) {
  const auto x = rounded(random_values(333, 1), dtype());
  const auto old = rounded(random_values(333, 2), dtype());
  const Held y = tensor({333}, old);
  ops::dropout_add(stream(), y, tensor({333}, x), 0.25f, kKey);
  std::vector<double> expected;
  for (std::size_t i = 0; i < x.size(); ++i)
    expected.push_back(kKey.uniform(i) >= 0.25f ? float(old[i]) + float(x[i]) / 0.75f
                                                : float(old[i]));
  EXPECT_EQ(y.values(), rounded(expected, dtype()));
}

TEST_P(Dropout, KeepsAboutTheShareAskedFor) {
  const Held x = tensor({100000}, std::vector<double>(100000, 1)), y(stream(), {100000}, dtype());
  ops::dropout(stream(), y, x, 0.1f, kKey);
  std::int64_t kept = 0;
  for (const double v : y.values()) kept += v != 0;
  // Five standard deviations of a binomial.
  EXPECT_NEAR(double(kept), 90000, 5 * std::sqrt(100000 * 0.9 * 0.1));
}

TEST_P(Dropout, ThrowsOnWrongShapesAndShares) {
  const Held a(stream(), {4}, dtype()), b(stream(), {5}, dtype());
  EXPECT_THROW(ops::dropout(stream(), a, b, 0.1f, kKey), InternalError);
  EXPECT_THROW(ops::dropout_add(stream(), a, a, 1.0f, kKey), InternalError);
  EXPECT_THROW(ops::dropout(stream(), a, a, -0.1f, kKey), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, Dropout, testing::every_device_and_float(), testing::case_name);

TEST(DropoutDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {4});
  ops::dropout(*dry, x, x, 0.1f, kKey);
  ops::dropout_add(*dry, x, x, 0.1f, kKey);
}

}  // namespace
}  // namespace elenchus
