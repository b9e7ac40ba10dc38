// Products on CUDA, with factors of every dtype, against double.

#include "ops/matmul/matmul.h"
#include "testing/gradcheck.h"
#include "testing/parity.h"

namespace elenchus {
namespace {

using ops::Transpose;
using testing::Held;
using testing::random_values;
using testing::rounded;

struct Case {
  std::int64_t m, n, k;
  DType a = DType::f32, b = DType::f32, c = DType::f32;
  Transpose ta = Transpose::as_is, tb = Transpose::as_is;
  float alpha = 1, beta = 0;
};

/// The dtype that factors are multiplied in.
DType narrowest(const Case& c) {
  for (const DType dtype : {c.a, c.b, c.c})
    if (dtype != DType::f32) return dtype;
  return DType::f32;
}

class MatmulCuda : public testing::CudaParity {
 protected:
  Held run(const Case& c) {
    const auto matrix = [&](std::int64_t rows, std::int64_t columns, Transpose t, DType dtype,
                            std::uint64_t seed) {
      const Shape shape = t == Transpose::as_is ? Shape{rows, columns} : Shape{columns, rows};
      return Held(cuda(), shape, dtype, random_values(rows * columns, seed));
    };
    Held out(cuda(), {c.m, c.n}, c.c, random_values(c.m * c.n, 3));
    Arena scratch(cuda(), 0);
    ops::matmul(cuda(), scratch, out, matrix(c.m, c.k, c.ta, c.a, 1), c.ta,
                matrix(c.k, c.n, c.tb, c.b, 2), c.tb, c.alpha, c.beta);
    cuda().synchronize();
    return out;
  }
  std::vector<double> expected(const Case& c) {
    const DType dtype = narrowest(c);
    const auto a = rounded(random_values(c.m * c.k, 1), dtype);
    const auto b = rounded(random_values(c.k * c.n, 2), dtype);
    auto out = rounded(random_values(c.m * c.n, 3), c.c);
    for (std::int64_t i = 0; i < c.m; ++i)
      for (std::int64_t j = 0; j < c.n; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < c.k; ++k)
          sum += a[std::size_t(c.ta == Transpose::as_is ? i * c.k + k : k * c.m + i)] *
                 b[std::size_t(c.tb == Transpose::as_is ? k * c.n + j : j * c.k + k)];
        double& to = out[std::size_t(i * c.n + j)];
        to = double(c.alpha) * sum + (c.beta == 0 ? 0 : double(c.beta) * to);
      }
    return out;
  }
  void compare(const Case& c) {
    // One rounding of the result; f32 sums round once a term.
    const double tolerance = 1e-6 + 2 * (c.c == DType::f32 ? 0 : testing::epsilon_of(c.c));
    EXPECT_LE(testing::relative_error(run(c).values(), expected(c)), tolerance)
        << c.m << "x" << c.n << "x" << c.k << " " << name_of(c.a) << " " << name_of(c.b) << " "
        << name_of(c.c);
  }
};

TEST_F(MatmulCuda, AgreesWithDoubleForOddSizes) {
  for (const std::int64_t m : {1, 31, 129})
    for (const std::int64_t n : {1, 33, 127})
      for (const std::int64_t k : {1, 33, 128})
        for (const Transpose ta : {Transpose::as_is, Transpose::transposed})
          for (const Transpose tb : {Transpose::as_is, Transpose::transposed})
            for (const DType dtype : {DType::f32, DType::bf16})
              compare({m, n, k, dtype, dtype, dtype, ta, tb});
}

TEST_F(MatmulCuda, MultipliesInTheNarrowestDtype) {
  for (const DType narrow : {DType::f16, DType::bf16}) {
    compare({64, 48, 256, narrow, DType::f32, narrow, Transpose::as_is, Transpose::transposed});
    compare({48, 256, 300, narrow, narrow, DType::f32, Transpose::transposed, Transpose::as_is,
             1.0f, 1.0f});
    compare({31, 33, 40, DType::f32, narrow, DType::f32});
    compare({31, 33, 40, DType::f32, DType::f32, narrow});
  }
}

TEST_F(MatmulCuda, ScalesAndAccumulates) {
  for (const float beta : {0.0f, 1.0f, -0.5f}) {
    compare({33, 47, 29, DType::f32, DType::f32, DType::f32, Transpose::as_is,
             Transpose::transposed, 0.25f, beta});
    compare({7, 200, 0, DType::f32, DType::f32, DType::f32, Transpose::as_is, Transpose::as_is,
             1.0f, beta});
  }
  compare({0, 5, 3});
}

TEST_F(MatmulCuda, RepeatsItsBits) {
  const Case skinny{6144, 16, 4096, DType::bf16, DType::bf16, DType::f32, Transpose::transposed};
  const auto first = testing::bytes_of(cuda(), run(skinny));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(testing::bytes_of(cuda(), run(skinny)), first);
}

}  // namespace
}  // namespace elenchus
