#include "ops/head_norm/head_norm.h"

#include <cmath>

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

/// Three rows of 2 query heads, 1 key head and what follows them.
struct Case {
  std::int64_t head_dim;
  std::int64_t rest = head_dim;
  std::vector<double> q_weight = rounded(random_values(head_dim, 5), DType::f32);
  std::vector<double> k_weight = rounded(random_values(head_dim, 6), DType::f32);
  std::int64_t width() const { return 3 * head_dim + rest; }

  template <class S>
  std::vector<S> reference(const std::vector<S>& x) const {
    std::vector<S> y = x;
    for (std::int64_t n = 0; n < 3; ++n)
      for (std::int64_t h = 0; h < 3; ++h) {
        const std::size_t at = std::size_t(n * width() + h * head_dim);
        S squares = 0;
        for (std::size_t d = 0; d < std::size_t(head_dim); ++d) squares += x[at + d] * x[at + d];
        const S rstd = 1.0 / std::sqrt(squares / double(head_dim) + double(kEpsilon));
        for (std::size_t d = 0; d < std::size_t(head_dim); ++d)
          y[at + d] = x[at + d] * rstd * (h < 2 ? q_weight : k_weight)[d];
      }
    return y;
  }
};

class HeadNorm : public testing::OnDevice {};

TEST_P(HeadNorm, MatchesTheReferenceAndItsComplexStepGradient) {
  for (const Case& c : {Case{1}, Case{7}, Case{16}, Case{33}, Case{128}, Case{264}, Case{16, 3}}) {
    const auto x = rounded(random_values(3 * c.width(), 1), dtype());
    const auto dy = rounded(random_values(3 * c.width(), 2), dtype());
    const Shape shape{3, c.width()};
    const Held hx = tensor(shape, x), dx = tensor(shape, dy), y(stream(), shape, dtype());
    const Held q = floats({c.head_dim}, c.q_weight), k = floats({c.head_dim}, c.k_weight);
    const ops::HeadNorm norm{
        .q_weight = q, .k_weight = k, .heads = 2, .kv_heads = 1, .epsilon = kEpsilon};
    ops::head_norm_forward(stream(), y, hx, norm);
    expect_close(y.values(), c.reference(x), tolerance());
    ops::head_norm_backward(stream(), dx, hx, norm);
    const auto expected =
        complex_step_gradient(x, dy, [&](const auto& v) { return c.reference(v); });
    expect_close(dx.values(), expected, tolerance());
    ops::head_norm_forward(stream(), hx, hx, norm);
    EXPECT_EQ(hx.values(), y.values());
  }
}

TEST_P(HeadNorm, TakesNoRows) {
  const Held x(stream(), {0, 12}, dtype()), weight(stream(), {4}, DType::f32);
  const ops::HeadNorm norm{.q_weight = weight, .k_weight = weight, .heads = 1, .kv_heads = 1};
  ops::head_norm_forward(stream(), x, x, norm);
  ops::head_norm_backward(stream(), x, x, norm);
}

TEST_P(HeadNorm, ThrowsOnWrongShapes) {
  const Held x(stream(), {2, 12}, dtype()), y(stream(), {2, 13}, dtype());
  const Held four(stream(), {4}, DType::f32), five(stream(), {5}, DType::f32);
  const auto norm = [&](const Held& k, std::int64_t heads) {
    return ops::HeadNorm{.q_weight = four, .k_weight = k, .heads = heads, .kv_heads = 1};
  };
  EXPECT_THROW(ops::head_norm_forward(stream(), y, x, norm(four, 2)), InternalError);
  EXPECT_THROW(ops::head_norm_forward(stream(), x, x, norm(five, 2)), InternalError);
  EXPECT_THROW(ops::head_norm_backward(stream(), y, x, norm(four, 3)), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, HeadNorm, testing::every_device_and_float(), testing::case_name);

TEST(HeadNormDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {2, 12});
  const Tensor weight = testing::dry_tensor(*dry, {4});
  const ops::HeadNorm norm{.q_weight = weight, .k_weight = weight, .heads = 2, .kv_heads = 1};
  ops::head_norm_forward(*dry, x, x, norm);
}

}  // namespace
}  // namespace elenchus
