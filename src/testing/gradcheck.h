#pragma once
// Gradients of a reference without differences: its formula, templated on the scalar, run at
// x + i h. No digits cancel, so h may be 1e-30 and the result is exact to rounding in f64. The
// formula must be holomorphic: compare and branch on real parts (`real_part`).

#include <complex>
#include <span>
#include <vector>

#include "base/rng.h"

namespace elenchus::testing {

using Complex = std::complex<double>;

inline double real_part(double x) { return x; }
inline double real_part(Complex x) { return x.real(); }

/// sum_j dy[j] dy_j/dx_i for each i, where `f` maps std::vector<Complex> x to std::vector<Complex>
/// y.
template <class F>
std::vector<double> complex_step_gradient(std::span<const double> x, std::span<const double> dy,
                                          const F& f) {
  constexpr double kStep = 1e-30;
  std::vector<Complex> at(x.begin(), x.end());
  std::vector<double> dx;
  for (Complex& coordinate : at) {
    coordinate += Complex(0, kStep);
    const std::vector<Complex> y = f(at);
    coordinate = coordinate.real();
    double sum = 0;
    for (std::size_t j = 0; j < y.size(); ++j) sum += dy[j] * (y[j].imag() / kStep);
    dx.push_back(sum);
  }
  return dx;
}

/// Numbers in [-size, size), the same for the same seed.
inline std::vector<double> random_values(std::int64_t count, std::uint64_t seed, double size = 1) {
  const RandomKey key{.seed = seed, .use = RandomUse::test};
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(size * (2 * double(key.uniform(std::uint64_t(i))) - 1));
  return values;
}

}  // namespace elenchus::testing
