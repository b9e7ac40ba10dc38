#include "ops/grad_norm/grad_norm.h"

#include <limits>

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::Held;
using testing::random_values;
using testing::rounded;

class GradNorm : public testing::OnDevice {};

TEST_P(GradNorm, IsTheSumOfSquares) {
  for (const std::int64_t n : {0, 1, 31, 33, 4096, 4097, 100001}) {
    const auto x = rounded(random_values(n, 1), DType::f32);
    double expected = 0;
    for (const double v : x) expected += v * v;
    // Sums in f64 differ in their order alone.
    EXPECT_NEAR(ops::sum_of_squares(stream(), floats({n}, x)), expected, 1e-12 * expected);
  }
}

TEST_P(GradNorm, LetsNanAndInfinityThrough) {
  auto x = random_values(5000, 1);
  x[4999] = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isinf(ops::sum_of_squares(stream(), floats({5000}, x))));
  x[17] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(ops::sum_of_squares(stream(), floats({5000}, x))));
}

TEST_P(GradNorm, DoesNotOverflowWhereF32Would) {
  const std::vector<double> x(100, 0x1p100);
  EXPECT_EQ(ops::sum_of_squares(stream(), floats({100}, x)), 100 * 0x1p200);
}

TEST_P(GradNorm, RepeatsItsBits) {
  const Held x = floats({1000003}, random_values(1000003, 1));
  const double first = ops::sum_of_squares(stream(), x);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ops::sum_of_squares(stream(), x), first);
}

INSTANTIATE_TEST_SUITE_P(Devices, GradNorm, testing::every_device(), testing::case_name);

TEST(GradNormCpu, HasTheSameBitsForAnyNumberOfThreads) {
  const auto x = random_values(100001, 1);
  const auto sum = [&](int threads) {
    const auto stream = Stream::open({}, threads);
    return ops::sum_of_squares(*stream, Held(*stream, {100001}, DType::f32, x));
  };
  const double one = sum(1);
  for (const int threads : {2, 3, 7}) EXPECT_EQ(sum(threads), one);
}

TEST(GradNormCpu, ThrowsOnAnotherDtype) {
  const auto stream = Stream::open({}, 1);
  EXPECT_THROW((void)ops::sum_of_squares(*stream, Held(*stream, {4}, DType::f16)), InternalError);
}

TEST(GradNormDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  (void)ops::sum_of_squares(*dry, testing::dry_tensor(*dry, {4}));
}

}  // namespace
}  // namespace elenchus
