#include "ops/dora/dora.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

class Dora : public testing::OnDevice {};

TEST_P(Dora, FactorsAreMagnitudesOverTheNormsOfTheAdaptedRows) {
  constexpr std::int64_t kIn = 37, kOut = 19, kRank = 5, kRanks = 8, kWidth = 25;
  constexpr std::int64_t kFirstRank = 2, kFirstColumn = 4;
  constexpr float kScale = 0.75f;
  const auto w = rounded(random_values(kOut * kIn, 1), DType::f32),
             a = rounded(random_values(kRank * kIn, 2), DType::f32),
             b = rounded(random_values(kOut * kRank, 3), DType::f32),
             m = rounded(random_values(kOut, 4), DType::f32);
  const auto at = [](const std::vector<double>& v, std::int64_t i) { return v[std::size_t(i)]; };
  std::vector<double> projected(kRanks * kWidth, 99.0), gram, norms, factors;
  for (std::int64_t r = 0; r < kRank; ++r) {
    for (std::int64_t j = 0; j < kOut; ++j) {
      double sum = 0;
      for (std::int64_t i = 0; i < kIn; ++i) sum += at(a, r * kIn + i) * at(w, j * kIn + i);
      projected[std::size_t((kFirstRank + r) * kWidth + kFirstColumn + j)] = sum;
    }
    for (std::int64_t q = 0; q < kRank; ++q) {
      double sum = 0;
      for (std::int64_t i = 0; i < kIn; ++i) sum += at(a, r * kIn + i) * at(a, q * kIn + i);
      gram.push_back(sum);
    }
  }
  for (std::int64_t j = 0; j < kOut; ++j) {
    double square = 0;
    for (std::int64_t i = 0; i < kIn; ++i) {
      double value = at(w, j * kIn + i);
      for (std::int64_t r = 0; r < kRank; ++r)
        value += double(kScale) * at(b, j * kRank + r) * at(a, r * kIn + i);
      square += value * value;
    }
    norms.push_back(std::sqrt(square));
    factors.push_back(at(m, j) / std::sqrt(square));
  }
  const Held hw = floats({kOut, kIn}, w), squares(stream(), {kOut}, DType::f32);
  ops::row_squares(stream(), squares, hw);
  const Held hm = floats({kOut}, m), hb = floats({kOut, kRank}, b),
             hg = floats({kRank, kRank}, gram), hp = tensor({kRanks, kWidth}, projected);
  const Held norm(stream(), {kOut}, DType::f32), factor(stream(), {kOut}, DType::f32);
  ops::dora_factors(stream(), factor, norm,
                    {.squares = squares,
                     .magnitude = hm,
                     .lora_b = hb,
                     .gram = hg,
                     .projected = hp,
                     .first_rank = kFirstRank,
                     .first_column = kFirstColumn,
                     .scale = kScale});
  // The cross term, a few times the norm, is rounded to the dtype.
  expect_close(norm.values(), norms, tolerance(6));
  expect_close(factor.values(), factors, tolerance(6));
}

TEST_P(Dora, RowsOfZerosHaveFactorZero) {
  const Held zeros = floats({2}, std::vector<double>{0, 0}),
             m = floats({2}, std::vector<double>{1, 2});
  const Held b = floats({2, 1}, std::vector<double>{0, 0}),
             gram = floats({1, 1}, std::vector<double>{3});
  const Held projected = tensor({1, 2}, std::vector<double>{1, 1});
  const Held norm(stream(), {2}, DType::f32), factor(stream(), {2}, DType::f32);
  ops::dora_factors(stream(), factor, norm, {zeros, m, b, gram, projected, 0, 0, 1});
  EXPECT_EQ(factor.values(), (std::vector<double>{0, 0}));
}

TEST_P(Dora, ThrowsOnWrongShapes) {
  const Held v(stream(), {2}, DType::f32), b(stream(), {2, 1}, DType::f32),
      gram(stream(), {1, 1}, DType::f32), projected(stream(), {1, 2}, dtype());
  EXPECT_THROW(ops::dora_factors(stream(), v, v, {v, v, b, gram, projected, 1, 0, 1}),
               InternalError);
  EXPECT_THROW(ops::dora_factors(stream(), v, v, {v, v, b, b, projected, 0, 0, 1}), InternalError);
  EXPECT_THROW(ops::row_squares(stream(), v, gram), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, Dora, testing::every_device_and_float(), testing::case_name);

TEST(DoraDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor v = testing::dry_tensor(*dry, {2}), b = testing::dry_tensor(*dry, {2, 1}),
               gram = testing::dry_tensor(*dry, {1, 1}), p = testing::dry_tensor(*dry, {1, 2});
  ops::row_squares(*dry, v, b);
  ops::dora_factors(*dry, v, v, {v, v, b, gram, p, 0, 0, 1});
}

}  // namespace
}  // namespace elenchus
