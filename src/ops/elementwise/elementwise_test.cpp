#include "ops/elementwise/elementwise.h"

#include <cmath>
#include <limits>

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::Held;
using testing::random_values;
using testing::rounded;

class Elementwise : public testing::OnDevice {};

TEST_P(Elementwise, AddRoundsTheSumOnceAndMayAlias) {
  for (const std::int64_t n : {0, 1, 31, 33, 40000}) {
    const auto a = rounded(random_values(n, 1), dtype()), b = rounded(random_values(n, 2), dtype());
    std::vector<double> expected;
    for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(float(a[i]) + float(b[i]));
    const Held y = tensor({n}, a), other = tensor({n}, b);
    ops::add(stream(), y, y, other);
    EXPECT_EQ(y.values(), rounded(expected, dtype()));
  }
}

TEST_P(Elementwise, AddTakesABranchOfAnotherType) {
  for (const DType branch : {DType::f32, DType::f16, DType::bf16})
    for (const std::int64_t n : {1, 33, 64}) {
      const auto a = rounded(random_values(n, 1), dtype()),
                 b = rounded(random_values(n, 2), branch);
      std::vector<double> expected;
      for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(float(a[i]) + float(b[i]));
      const Held y = tensor({n}, a), other(stream(), {n}, branch, b);
      ops::add(stream(), y, y, other);
      EXPECT_EQ(y.values(), rounded(expected, dtype()));
    }
}

TEST_P(Elementwise, FillSetsEveryElement) {
  const Held y(stream(), {33}, DType::f32);
  ops::fill(stream(), y, 1.5f);
  EXPECT_EQ(y.values(), std::vector<double>(33, 1.5));
}

TEST_P(Elementwise, ConvertRoundsToNearestEven) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const DType from : {DType::f32, DType::f16, DType::bf16}) {
    auto x = random_values(34, 1, 100);
    x.insert(x.end(), {0, -0.0, inf, -inf, 1 + 0x1p-8, 1 + 3 * 0x1p-8, 1 + 0x1p-11, 1 + 0x1p-9,
                       65504, 65519, 65520, 0x1p-24, 0x1p-25, 6e-5});
    x = rounded(x, from);
    const std::int64_t n = std::int64_t(x.size());
    const Held hx(stream(), {n}, from, x), y(stream(), {n}, dtype());
    ops::convert(stream(), y, hx);
    EXPECT_EQ(y.values(), rounded(x, dtype()));
  }
}

TEST_P(Elementwise, ConvertKeepsNan) {
  const std::vector<double> x(20, std::numeric_limits<double>::quiet_NaN());
  const Held hx = floats({20}, x), y(stream(), {20}, dtype());
  ops::convert(stream(), y, hx);
  for (const double v : y.values()) EXPECT_TRUE(std::isnan(v));
}

TEST_P(Elementwise, SoftCapIsTheScaledTanh) {
  for (const std::int64_t n : {1, 33, 200}) {
    auto x = rounded(random_values(n, 1, 60), dtype());
    x[0] = -1e4;
    const Held hx = tensor({n}, x);
    ops::soft_cap(stream(), hx, 30);
    std::vector<double> expected;
    for (const double v : rounded(x, dtype())) expected.push_back(30 * std::tanh(v / 30));
    testing::expect_close(hx.values(), expected, tolerance());
  }
}

TEST_P(Elementwise, GatherAndScatterMoveRows) {
  for (const std::int64_t columns : {1, 33, 64}) {
    const auto x = rounded(random_values(5 * columns, 1), dtype());
    const Held hx = tensor({5, columns}, x), y(stream(), {3, columns}, dtype());
    const std::vector<std::int32_t> index = {4, 0, 2};
    const Held places(stream(), index);
    ops::gather_rows(stream(), y, hx, places);
    std::vector<double> gathered, doubled = x;
    for (const std::int32_t row : index)
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::size_t at = std::size_t(row * columns + c);
        gathered.push_back(x[at]);
        doubled[at] *= 2;
      }
    EXPECT_EQ(y.values(), gathered);
    ops::scatter_add_rows(stream(), hx, y, places);
    EXPECT_EQ(hx.values(), doubled);
  }
}

TEST_P(Elementwise, ThrowsOnWrongShapes) {
  const Held a(stream(), {2, 3}, dtype()), b(stream(), {3, 2}, dtype());
  const Held index(stream(), std::vector{0, 1, 0});
  EXPECT_THROW(ops::add(stream(), a, a, b), InternalError);
  EXPECT_THROW(ops::convert(stream(), a, b), InternalError);
  EXPECT_THROW(ops::gather_rows(stream(), a, b, index), InternalError);
  EXPECT_THROW(ops::scatter_add_rows(stream(), a, a, index), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, Elementwise, testing::every_device_and_float(),
                         testing::case_name);

TEST(ElementwiseCpu, RefusesAnIndexOutsideTheTensor) {
  const auto stream = Stream::open({}, 1);
  const Held x(*stream, {2, 3}, DType::f32), y(*stream, {1, 3}, DType::f32);
  EXPECT_THROW(ops::gather_rows(*stream, y, x, Held(*stream, std::vector{2})), InternalError);
  EXPECT_THROW(ops::scatter_add_rows(*stream, x, y, Held(*stream, std::vector{-1})), InternalError);
}

TEST(ElementwiseDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {4, 8}), y = testing::dry_tensor(*dry, {2, 8});
  const Tensor index = testing::dry_tensor(*dry, {2}, DType::i32);
  ops::add(*dry, x, x, x);
  ops::convert(*dry, x, x);
  ops::gather_rows(*dry, y, x, index);
  ops::scatter_add_rows(*dry, x, y, index);
}

}  // namespace
}  // namespace elenchus
