#include "ops/rope/rope.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::complex_step_gradient;
using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

/// Two rows of 2 rotated heads and 3 more elements; `rest` elements of a head are not turned.
struct Case {
  std::int64_t half, rest;
  std::vector<std::int32_t> positions = {4, 1};
  std::vector<double> cosine = rounded(random_values(5 * half, 5), DType::f32);
  std::vector<double> sine = rounded(random_values(5 * half, 6), DType::f32);
  std::int64_t width() const { return 2 * heads().size + 3; }
  ops::RopeHeads heads() const { return {2, 2 * half + rest}; }

  template <class S>
  std::vector<S> reference(const std::vector<S>& x) const {
    std::vector<S> y = x;
    for (std::int64_t n = 0; n < 2; ++n)
      for (std::int64_t h = 0; h < 2; ++h)
        for (std::int64_t i = 0; i < half; ++i) {
          const std::size_t a = std::size_t(n * width() + h * heads().size + i);
          const std::size_t b = a + std::size_t(half);
          const std::size_t t = std::size_t(positions[std::size_t(n)] * half + i);
          y[a] = x[a] * cosine[t] - x[b] * sine[t];
          y[b] = x[b] * cosine[t] + x[a] * sine[t];
        }
    return y;
  }
};

class Rope : public testing::OnDevice {};

TEST_P(Rope, MatchesTheReferenceAndItsComplexStepGradient) {
  for (const auto& [half, rest] :
       {std::pair<std::int64_t, std::int64_t>{1, 0}, {7, 3}, {16, 0}, {16, 8}, {33, 0}}) {
    const Case c{half, rest};
    const auto x = rounded(random_values(2 * c.width(), 1), dtype());
    const auto dy = rounded(random_values(2 * c.width(), 2), dtype());
    const Held hx = tensor({2, c.width()}, x), dx = tensor({2, c.width()}, dy);
    const Held cosine = floats({5, half}, c.cosine), sine = floats({5, half}, c.sine);
    const Held positions(stream(), c.positions);
    ops::rope_forward(stream(), hx, positions, cosine, sine, c.heads());
    expect_close(hx.values(), c.reference(x), tolerance());
    ops::rope_backward(stream(), dx, positions, cosine, sine, c.heads());
    const auto expected =
        complex_step_gradient(x, dy, [&](const auto& v) { return c.reference(v); });
    expect_close(dx.values(), expected, tolerance());
  }
}

TEST_P(Rope, TakesNoRows) {
  const Held x(stream(), {0, 8}, dtype()), table(stream(), {5, 2}, DType::f32);
  ops::rope_forward(stream(), x, Held(stream(), {0}, DType::i32), table, table, {2, 4});
}

TEST_P(Rope, ThrowsOnWrongShapes) {
  const Held x(stream(), {2, 8}, dtype()), table(stream(), {5, 2}, DType::f32);
  const Held other(stream(), {5, 3}, DType::f32), positions(stream(), std::vector{0, 1});
  const Held one(stream(), std::vector{0});
  EXPECT_THROW(ops::rope_forward(stream(), x, positions, table, table, {3, 4}), InternalError);
  EXPECT_THROW(ops::rope_forward(stream(), x, positions, table, other, {2, 4}), InternalError);
  EXPECT_THROW(ops::rope_forward(stream(), x, positions, table, table, {2, 3}), InternalError);
  EXPECT_THROW(ops::rope_backward(stream(), x, one, table, table, {2, 4}), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, Rope, testing::every_device_and_float(), testing::case_name);

TEST(RopeCpu, RefusesAPositionPastTheTables) {
  const auto stream = Stream::open({}, 1);
  const Held x(*stream, {1, 8}, DType::f32), table(*stream, {5, 2}, DType::f32);
  const Held positions(*stream, std::vector{5});
  EXPECT_THROW(ops::rope_forward(*stream, x, positions, table, table, {2, 4}), InternalError);
}

TEST(RopeDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {4, 8}), table = testing::dry_tensor(*dry, {9, 2});
  const Tensor positions = testing::dry_tensor(*dry, {4}, DType::i32);
  ops::rope_forward(*dry, x, positions, table, table, {2, 4});
  ops::rope_backward(*dry, x, positions, table, table, {2, 4});
}

}  // namespace
}  // namespace elenchus
