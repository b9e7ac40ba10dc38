#include "nn/projection.h"

#include <algorithm>

#include "ops/dora/dora.h"
#include "ops/dropout/dropout.h"
#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::Complex;
using testing::Held;
using testing::random_values;
using testing::rounded;

constexpr std::int64_t kRows = 6, kIn = 7;
constexpr float kDropout = 0.4f;
constexpr RandomKey kKey{.seed = 5, .use = RandomUse::dropout, .step = 3, .site = 17};

/// A part of the group: rank 0 without an adapter.
struct PartShape {
  std::int64_t out, rank;
  float scale;
};
constexpr PartShape kParts[] = {{5, 2, 0.75f}, {3, 0, 0}, {4, 1, 1.5f}};
constexpr std::int64_t kOut = 12, kRank = 3;

/// What DoRA computes for the trained values v = x | A | B of each part | m of each part, with
/// dropout as PEFT applies it: x W^T + (g - 1) dropout(x) W^T + g s dropout(x) A^T B^T.
struct Reference {
  std::vector<double> weights, mask, norms;  // W of the parts; 1 / (1 - p) or 0; ||W + s B A||

  template <class T>
  std::vector<T> operator()(const std::vector<T>& v) const {
    const auto at = [](const auto& values, std::int64_t i) { return values[std::size_t(i)]; };
    std::vector<T> y;
    for (std::int64_t n = 0; n < kRows; ++n) {
      std::int64_t a = kRows * kIn, b = a + kRank * kIn, m = b + 5 * 2 + 4, column = 0;
      for (const PartShape& part : kParts)
        for (std::int64_t j = 0; j < part.out; ++j, ++column) {
          T plain = 0, dropped = 0, low = 0;
          for (std::int64_t i = 0; i < kIn; ++i) {
            const T x = at(v, n * kIn + i);
            plain += x * at(weights, column * kIn + i);
            dropped += x * at(mask, n * kIn + i) * at(weights, column * kIn + i);
            for (std::int64_t r = 0; r < part.rank; ++r)
              low += x * at(mask, n * kIn + i) * at(v, a + r * kIn + i) *
                     at(v, b + j * part.rank + r) * double(part.scale);
          }
          if (part.rank == 0) {
            y.push_back(plain);
          } else {
            const T g = at(v, m + j) / at(norms, column);
            y.push_back(plain + (g - 1.0) * dropped + g * low);
          }
          if (j + 1 < part.out) continue;
          a += part.rank * kIn;
          b += part.out * part.rank;
          m += part.rank > 0 ? part.out : 0;
        }
    }
    return y;
  }
};

class DoraProjection : public testing::OnDevice {};

TEST_P(DoraProjection, DropsAsPeftDoes) {
  const std::vector<ParamSet::Entry> entries = {
      {"a", {kRank, kIn}}, {"b0", {5, 2}}, {"b2", {4, 1}}, {"m0", {5}}, {"m2", {4}}};
  ParamSet params(stream(), entries);
  const std::int64_t trained = params.elements();
  std::vector<double> values = rounded(random_values(trained, 1), DType::f32);
  const std::vector<double> x = rounded(random_values(kRows * kIn, 2), DType::f32),
                            dy = rounded(random_values(kRows * kOut, 4), DType::f32);
  Reference reference{
      .weights = rounded(random_values(kOut * kIn, 3), DType::f32), .mask = {}, .norms = {}};
  for (std::int64_t i = 0; i < kRows * kIn; ++i)
    reference.mask.push_back(kKey.uniform(std::uint64_t(i)) >= kDropout ? 1 / (1 - double(kDropout))
                                                                        : 0);
  stream().copy(params.values(), Held(stream(), {trained}, DType::f32, values));
  const Held weights(stream(), {kOut, kIn}, DType::f32, reference.weights);
  const Held squares(stream(), {kOut}, DType::f32);
  ops::row_squares(stream(), squares, weights);
  std::vector<Projection::Part> parts;
  std::int64_t column = 0, rank = 0, b = kRank * kIn;
  for (const PartShape& shape : kParts) {
    Projection::Part part{.weight = DenseWeight{weights.tensor().rows(column, shape.out)},
                          .bias = {},
                          .scale = shape.scale,
                          .row_squares = squares.tensor().rows(column, shape.out)};
    if (shape.rank > 0) {
      part.b = params.find(rank == 0 ? "b0" : "b2");
      part.magnitude = params.find(rank == 0 ? "m0" : "m2");
    }
    parts.push_back(std::move(part));
    for (std::int64_t j = 0; j < shape.out; ++j) {
      double square = 0;
      for (std::int64_t i = 0; i < kIn; ++i) {
        double w = reference.weights[std::size_t((column + j) * kIn + i)];
        for (std::int64_t r = 0; r < shape.rank; ++r)
          w += double(shape.scale) * values[std::size_t(b + j * shape.rank + r)] *
               values[std::size_t((rank + r) * kIn + i)];
        square += w * w;
      }
      reference.norms.push_back(std::sqrt(square));
    }
    column += shape.out;
    rank += shape.rank;
    b += shape.out * shape.rank;
  }
  const Param& a = *params.find("a");
  const Projection projection(std::move(parts), a.value, a.grad, kDropout, kKey.site);

  Arena arena(stream(), std::size_t{1} << 20);
  Context context{.stream = stream(),
                  .arena = arena,
                  .positions = {},
                  .sequences = {},
                  .dropout = kKey,
                  .cache = nullptr};
  const Held hx(stream(), {kRows, kIn}, DType::f32, x),
      hdy(stream(), {kRows, kOut}, DType::f32, dy);
  const Held y(stream(), {kRows, kOut}, DType::f32), xa(stream(), {kRows, kRank}, DType::f32),
      dx(stream(), {kRows, kIn}, DType::f32), grads(stream(), {trained}, DType::f32);
  projection.forward(context, y, xa, hx);
  projection.backward(context, dx, hdy, hx, xa);
  stream().copy(grads, params.grads());

  std::vector<double> all = x;
  all.insert(all.end(), values.begin(), values.end());
  // f32 sums of tens of terms of about 1.
  constexpr double kTolerance = 2e-5;
  const std::vector<double> wanted_y = reference(all), found_y = y.values();
  for (std::size_t i = 0; i < wanted_y.size(); ++i)
    EXPECT_NEAR(found_y[i], wanted_y[i], kTolerance) << i;
  const std::vector<double> wanted = testing::complex_step_gradient(all, dy, reference);
  std::vector<double> found = dx.values();
  std::ranges::copy(grads.values(), std::back_inserter(found));
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(found[i], wanted[i], kTolerance) << i;
}

INSTANTIATE_TEST_SUITE_P(Devices, DoraProjection, testing::every_device(), testing::case_name);

}  // namespace
}  // namespace elenchus
