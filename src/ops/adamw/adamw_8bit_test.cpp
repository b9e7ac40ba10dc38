#include "ops/adamw/adamw_8bit.h"

#include <algorithm>

#include "ops/blockwise8/dynamic_map.h"
#include "testing/gradcheck.h"
#include "testing/parity.h"

namespace elenchus {
namespace {

using ops::CodeMap;
using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

/// Both moments of n elements on a device, zero.
struct Moments {
  Moments(Stream& stream, std::int64_t n)
      : stream(stream),
        m_codes(stream, {n}, DType::u8),
        v_codes(stream, {n}, DType::u8),
        m_absmax(stream, {ops::moment_blocks(n)}, DType::f32),
        v_absmax(stream, {ops::moment_blocks(n)}, DType::f32) {
    for (const Buffer* each : {&m_codes, &v_codes, &m_absmax, &v_absmax})
      stream.zero(each->tensor());
  }
  operator ops::Moments8() const {
    return {m_codes.tensor(), v_codes.tensor(), m_absmax.tensor(), v_absmax.tensor()};
  }
  /// What the codes stand for.
  std::vector<double> decoded(const CodeMap& map, const Buffer& codes, const Buffer& absmax) const {
    const auto code = testing::bytes_of(stream, codes.tensor());
    const auto scale = testing::bytes_of(stream, absmax.tensor());
    std::vector<double> out;
    for (std::size_t i = 0; i < code.size(); ++i) {
      const float* scales = reinterpret_cast<const float*>(scale.data());
      out.push_back(map[std::size_t(code[i])] * scales[i / std::size_t(ops::kMomentBlock)]);
    }
    return out;
  }
  std::vector<double> m() const { return decoded(ops::dynamic_map(), m_codes, m_absmax); }
  std::vector<double> v() const { return decoded(ops::unsigned_dynamic_map(), v_codes, v_absmax); }

  Stream& stream;
  Buffer m_codes, v_codes, m_absmax, v_absmax;
};

/// The nearest values that a block's codes can stand for.
std::vector<double> nearest(const std::vector<double>& values, const CodeMap& map) {
  std::vector<double> out;
  for (std::size_t first = 0; first < values.size(); first += std::size_t(ops::kMomentBlock)) {
    const std::size_t last = std::min(values.size(), first + std::size_t(ops::kMomentBlock));
    double absmax = 0;
    for (std::size_t i = first; i < last; ++i) absmax = std::max(absmax, std::abs(values[i]));
    for (std::size_t i = first; i < last; ++i) {
      double best = INFINITY;
      for (const float entry : map)
        if (std::abs(double(entry) * absmax - values[i]) < std::abs(best - values[i]))
          best = double(entry) * absmax;
      out.push_back(best);
    }
  }
  return out;
}

/// |found - wanted| may be larger than the nearest code's distance by a rounding of the midpoint.
void expect_as_near(const std::vector<double>& found, const std::vector<double>& wanted,
                    const std::vector<double>& best) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_LE(std::abs(found[i] - wanted[i]),
              std::abs(best[i] - wanted[i]) + 1e-6 * std::abs(wanted[i]) + 1e-12)
        << i;
}

class AdamW8Bit : public testing::OnDevice {};

TEST_P(AdamW8Bit, UpdatesFromItsCodesAndTakesTheNearestOnes) {
  for (const std::int64_t n : {1, 33, 256, 1000}) {
    ops::AdamWStep step{.learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.25};
    auto w = rounded(random_values(n, 1), DType::f32);
    const Held weight = floats({n}, w);
    const Moments moments(stream(), n);
    for (step.step = 1; step.step <= 10; ++step.step) {
      const auto gradient = rounded(random_values(n, 10 + std::uint64_t(step.step)), DType::f32);
      auto m = moments.m(), v = moments.v();
      w = weight.values();
      ops::adamw_8bit_step(stream(), weight, moments, floats({n}, gradient), step);
      stream().synchronize();
      const double correction1 = 1 - std::pow(step.beta1, double(step.step));
      const double correction2 = 1 - std::pow(step.beta2, double(step.step));
      for (std::size_t i = 0; i < w.size(); ++i) {
        const double g = step.gradient_scale * gradient[i];
        w[i] -= step.learning_rate * step.weight_decay * w[i];
        m[i] = step.beta1 * m[i] + (1 - step.beta1) * g;
        v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g;
        w[i] -= step.learning_rate / correction1 * m[i] /
                (std::sqrt(v[i]) / std::sqrt(correction2) + step.epsilon);
      }
      expect_close(weight.values(), w, 1e-6);
      expect_as_near(moments.m(), m, nearest(m, ops::dynamic_map()));
      expect_as_near(moments.v(), v, nearest(v, ops::unsigned_dynamic_map()));
    }
  }
}

TEST_P(AdamW8Bit, LeavesMomentsOfZeroGradientsAtZero) {
  const Held weight = floats({300}, random_values(300, 1)),
             zero = floats({300}, std::vector<double>(300));
  const Moments moments(stream(), 300);
  ops::adamw_8bit_step(stream(), weight, moments, zero, {.learning_rate = 1});
  EXPECT_EQ(moments.m(), std::vector<double>(300));
  EXPECT_EQ(moments.v(), std::vector<double>(300));
  expect_close(weight.values(), rounded(random_values(300, 1), DType::f32), 0);
}

TEST_P(AdamW8Bit, ThrowsOnWrongShapes) {
  const Held a(stream(), {300}, DType::f32), b(stream(), {301}, DType::f32);
  const Moments moments(stream(), 300), fewer(stream(), 256);
  EXPECT_THROW(ops::adamw_8bit_step(stream(), a, moments, b, {}), InternalError);
  EXPECT_THROW(ops::adamw_8bit_step(stream(), a, fewer, a, {}), InternalError);
  EXPECT_THROW(ops::adamw_8bit_step(stream(), a, moments, a, {.step = 0}), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, AdamW8Bit, testing::every_device(), testing::case_name);

class AdamW8BitCuda : public testing::CudaParity {};

TEST_F(AdamW8BitCuda, HasTheBitsOfTheCpu) {
  constexpr std::int64_t kCount = 5003;
  const auto start = random_values(kCount, 1);
  const Held on_cpu(cpu(), {kCount}, DType::f32, start),
      on_cuda(cuda(), {kCount}, DType::f32, start);
  const Moments cpu_moments(cpu(), kCount), cuda_moments(cuda(), kCount);
  ops::AdamWStep step{.learning_rate = 1e-2, .weight_decay = 0.1};
  for (step.step = 1; step.step <= 10; ++step.step) {
    const auto gradient = random_values(kCount, 10 + std::uint64_t(step.step));
    ops::adamw_8bit_step(cpu(), on_cpu, cpu_moments, Held(cpu(), {kCount}, DType::f32, gradient),
                         step);
    const Held copy(cuda(), {kCount}, DType::f32, gradient);
    ops::adamw_8bit_step(cuda(), on_cuda, cuda_moments, copy, step);
    cuda().synchronize();
  }
  EXPECT_EQ(on_cuda.values(), on_cpu.values());
  EXPECT_EQ(cuda_moments.m(), cpu_moments.m());
  EXPECT_EQ(cuda_moments.v(), cpu_moments.v());
}

TEST(AdamW8BitDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {300}),
               codes = testing::dry_tensor(*dry, {300}, DType::u8),
               absmax = testing::dry_tensor(*dry, {2});
  ops::adamw_8bit_step(*dry, x, {codes, codes, absmax, absmax}, x, {});
}

}  // namespace
}  // namespace elenchus
