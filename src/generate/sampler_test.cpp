#include "generate/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

namespace elenchus {
namespace {

/// How often each token was drawn, as a share.
std::vector<double> shares(std::span<const float> logits, const SamplingOptions& options) {
  constexpr std::uint32_t kDraws = 20000;
  std::vector<double> out(logits.size(), 0);
  for (std::uint32_t i = 0; i < kDraws; ++i)
    out[std::size_t(sample(logits, options, 0, i))] += 1.0 / kDraws;
  return out;
}

// 20000 draws: the standard deviation of a share is below 0.0036; four of them are allowed.
constexpr double kTolerance = 0.015;

TEST(Sampler, TakesTheLowestOfEqualLogits) {
  const float logits[] = {1, 3, 3, 2};
  EXPECT_EQ(sample(logits, {}, 0, 0), 1);
  EXPECT_EQ(sample(logits, {.temperature = 1, .top_k = 1}, 0, 0), 1);
  const float infinite[] = {-INFINITY, 0, -INFINITY};
  EXPECT_EQ(sample(infinite, {.temperature = 1}, 0, 0), 1);
}

TEST(Sampler, DrawsFromTheSoftmaxOfScaledLogits) {
  const float logits[] = {float(std::log(1)), float(std::log(2)), float(std::log(5))};
  const auto got = shares(logits, {.temperature = 1});
  EXPECT_NEAR(got[0], 0.125, kTolerance);
  EXPECT_NEAR(got[2], 0.625, kTolerance);
  const auto sharp = shares(logits, {.temperature = 0.5});
  EXPECT_NEAR(sharp[2], 25.0 / 30, kTolerance);
}

TEST(Sampler, CutsByTopKThenTopP) {
  const float logits[] = {float(std::log(1)), float(std::log(2)), float(std::log(5)),
                          float(std::log(2))};
  const auto two = shares(logits, {.temperature = 1, .top_k = 2});
  EXPECT_EQ(two[0] + two[3], 0);  // of the two with 2 the lower id stays
  EXPECT_NEAR(two[1], 2.0 / 7, kTolerance);
  const auto nucleus = shares(logits, {.temperature = 1, .top_p = 0.6});
  EXPECT_EQ(nucleus[0] + nucleus[3], 0);  // 0.5, then 0.7 >= 0.6
  EXPECT_NEAR(nucleus[2], 5.0 / 7, kTolerance);
  EXPECT_NEAR(shares(logits, {.temperature = 1, .top_p = 0.5})[2], 1, 1e-9);
}

TEST(Sampler, IsAFunctionOfSeedSequenceAndPosition) {
  const std::vector<float> logits(1000, 0.f);
  const SamplingOptions options = {.temperature = 1};
  const TokenId first = sample(logits, options, 1, 2);
  EXPECT_EQ(sample(logits, options, 1, 2), first);
  EXPECT_NE(sample(logits, options, 2, 2), first);
  EXPECT_NE(sample(logits, options, 1, 3), first);
  EXPECT_NE(sample(logits, {.temperature = 1, .seed = 7}, 1, 2), first);
}

TEST(Sampler, RefusesNumbersOutOfRange) {
  const float logits[] = {0, std::numeric_limits<float>::quiet_NaN()};
  try {
    sample(logits, {}, 0, 0);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::bad_numbers);
  }
  EXPECT_THROW(check({.temperature = -1}), UserError);
  EXPECT_THROW(check({.temperature = INFINITY}), UserError);
  EXPECT_THROW(check({.top_p = 0}), UserError);
  EXPECT_THROW(check({.top_p = 1.5}), UserError);
  EXPECT_THROW(check({.top_k = -1}), UserError);
}

}  // namespace
}  // namespace elenchus
