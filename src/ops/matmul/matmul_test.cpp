#include "ops/matmul/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "testing/devices.h"

namespace elenchus::ops {
namespace {

using Values = std::vector<float>;

Values random_values(std::int64_t count, std::uint64_t seed) {
  const RandomKey key{.seed = seed};
  Values values(std::size_t(count), 0.0f);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 2 * key.uniform(i) - 1;
  return values;
}

struct Case {
  std::int64_t m, n, k;
  Transpose ta = Transpose::as_is, tb = Transpose::as_is;
  float alpha = 1, beta = 0;
};

Tensor matrix(Values& values, std::int64_t rows, std::int64_t columns, bool flip) {
  return {values.data(), flip ? Shape{columns, rows} : Shape{rows, columns}, DType::f32};
}

Values product(const Case& c, int threads) {
  Values a = random_values(c.m * c.k, 1), b = random_values(c.k * c.n, 2),
         out = random_values(c.m * c.n, 3);
  if (c.beta == 0) out.assign(out.size(), std::numeric_limits<float>::quiet_NaN());
  const auto stream = Stream::open({}, threads);
  Arena scratch(*stream, 0);
  matmul(*stream, scratch, matrix(out, c.m, c.n, false),
         matrix(a, c.m, c.k, c.ta == Transpose::transposed), c.ta,
         matrix(b, c.k, c.n, c.tb == Transpose::transposed), c.tb, c.alpha, c.beta);
  return out;
}

/// Compares with a product in double. A sum of k products of values up to 1 rounds at most k times.
void check(const Case& c) {
  const Values a = random_values(c.m * c.k, 1), b = random_values(c.k * c.n, 2),
               old = random_values(c.m * c.n, 3), found = product(c, 2);
  const bool a_flip = c.ta == Transpose::transposed, b_flip = c.tb == Transpose::transposed;
  const double tolerance = 1.2e-7 * double(c.k + 2) * (std::abs(c.alpha) + std::abs(c.beta));
  for (std::int64_t i = 0; i < c.m; ++i)
    for (std::int64_t j = 0; j < c.n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < c.k; ++k)
        sum += double(a[std::size_t(a_flip ? k * c.m + i : i * c.k + k)]) *
               double(b[std::size_t(b_flip ? j * c.k + k : k * c.n + j)]);
      const std::size_t at = std::size_t(i * c.n + j);
      const double wanted = c.alpha * sum + (c.beta == 0 ? 0 : c.beta * double(old[at]));
      ASSERT_NEAR(found[at], wanted, tolerance)
          << c.m << "x" << c.n << "x" << c.k << " at " << i << "," << j;
    }
}

TEST(Matmul, AgreesWithDoubleForEveryTransposition) {
  for (const std::int64_t m : {1, 5, 13, 31})
    for (const std::int64_t n : {1, 16, 33, 66})
      for (const std::int64_t k : {1, 3, 31, 64})
        for (const Transpose ta : {Transpose::as_is, Transpose::transposed})
          for (const Transpose tb : {Transpose::as_is, Transpose::transposed})
            check({m, n, k, ta, tb});
}

TEST(Matmul, ScalesAndAccumulates) {
  for (const float beta : {0.0f, 1.0f, -0.5f}) {
    check({33, 47, 29, Transpose::as_is, Transpose::transposed, 0.25f, beta});
    check({7, 200, 2500, Transpose::as_is, Transpose::as_is, -2.0f, beta});
    check({48, 64, 1100, Transpose::transposed, Transpose::as_is, 1.0f, beta});
    check({192, 16, 1100, Transpose::transposed, Transpose::as_is, 1.0f, beta});
    check({192, 17, 40, Transpose::transposed, Transpose::transposed, 0.5f, beta});
  }
}

TEST(Matmul, SixteenBitOperandsAreMultipliedInF32) {
  using testing::Held;
  const auto stream = Stream::open({}, 2);
  Arena scratch(*stream, 1 << 20);
  const auto held = [&](const Values& v, Shape shape, DType dtype) {
    return Held(*stream, shape, dtype, std::vector<double>(v.begin(), v.end()));
  };
  const auto product_of = [&](std::span<const Tensor> abc, float beta) {
    matmul(*stream, scratch, abc[2], abc[0], Transpose::as_is, abc[1], Transpose::transposed, 0.5f,
           beta);
    EXPECT_EQ(scratch.mark(), 0u);
  };
  const Values a = random_values(33 * 29, 1), b = random_values(29 * 47, 2),
               old = random_values(33 * 47, 3);
  for (const DType narrow : {DType::f16, DType::bf16})
    for (const DType result : {DType::f32, narrow})
      for (const float beta : {0.0f, 1.0f}) {
        const Held an = held(a, {33, 29}, narrow), cn = held(old, {33, 47}, result);
        const Held bw = held(b, {47, 29}, DType::f32),
                   aw(*stream, {33, 29}, DType::f32, an.values());
        const Held cw(*stream, {33, 47}, DType::f32, cn.values());
        product_of(std::vector<Tensor>{an, bw, cn}, beta);
        product_of(std::vector<Tensor>{aw, bw, cw}, beta);
        EXPECT_EQ(cn.values(), testing::rounded(cw.values(), result));
      }
}

TEST(Matmul, EmptyInnerDimensionLeavesBetaTimesC) {
  check({3, 5, 0});
  check({3, 5, 0, Transpose::as_is, Transpose::as_is, 1, 0.5f});
}

TEST(Matmul, EmptyResultIsLeftAlone) {
  check({0, 5, 3});
  check({5, 0, 3});
}

TEST(Matmul, SameBitsForAnyNumberOfThreads) {
  for (const Case& c : {Case{300, 48, 576, Transpose::as_is, Transpose::transposed},
                        Case{5, 300, 576, Transpose::as_is, Transpose::transposed},
                        Case{205, 16, 1500, Transpose::transposed},
                        Case{48, 300, 1500, Transpose::transposed, Transpose::as_is, 0.5f, 1}}) {
    const Values one = product(c, 1);
    for (const int threads : {2, 3, 7}) EXPECT_EQ(product(c, threads), one) << threads;
  }
}

TEST(Matmul, RefusesShapesThatDisagree) {
  const auto stream = Stream::open({}, 1);
  Arena scratch(*stream, 0);
  Values a(12), b(12), c(12);
  const auto as_is = Transpose::as_is;
  EXPECT_THROW(matmul(*stream, scratch, Tensor(c.data(), {3, 4}, DType::f32),
                      Tensor(a.data(), {3, 2}, DType::f32), as_is,
                      Tensor(b.data(), {3, 4}, DType::f32), as_is),
               InternalError);
  EXPECT_THROW(
      matmul(*stream, scratch, Tensor(c.data(), {12}, DType::f32),
             Tensor(a.data(), {12}, DType::f32), as_is, Tensor(b.data(), {12}, DType::f32), as_is),
      InternalError);
}

TEST(Matmul, RefusesAResultThatAliasesAnOperand) {
  const auto stream = Stream::open({}, 1);
  Arena scratch(*stream, 0);
  Values a(9), b(9);
  const Tensor left(a.data(), {3, 3}, DType::f32), right(b.data(), {3, 3}, DType::f32);
  EXPECT_THROW(matmul(*stream, scratch, left, left, Transpose::as_is, right, Transpose::as_is),
               InternalError);
}

TEST(Matmul, RunsNothingOnADryStream) {
  const auto stream = Stream::open_dry({});
  Arena scratch(*stream, 0);
  Values a(9, 1.0f), b(9, 1.0f), c(9, 5.0f);
  matmul(*stream, scratch, Tensor(c.data(), {3, 3}, DType::f32),
         Tensor(a.data(), {3, 3}, DType::f32), Transpose::as_is,
         Tensor(b.data(), {3, 3}, DType::f32), Transpose::as_is);
  EXPECT_EQ(c, Values(9, 5.0f));
}

}  // namespace
}  // namespace elenchus::ops
