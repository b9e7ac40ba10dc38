#include "ops/nf4/nf4.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace elenchus::ops {
namespace {

/// A quantised matrix with its memory.
struct Quantized {
  Quantized(const std::vector<float>& values, Shape shape, int threads = 2)
      : stream(Stream::open({}, threads)), sizes(shape.elements()) {
    codes.resize(std::size_t(sizes.code_bytes));
    scale_codes.resize(std::size_t(sizes.scale_codes));
    scale_scales.resize(std::size_t(sizes.scale_scales));
    weight.shape = shape;
    const Tensor code_view(codes.data(), {sizes.code_bytes}, DType::u8);
    const Tensor scale_code_view(scale_codes.data(), {sizes.scale_codes}, DType::u8);
    const Tensor scale_view(scale_scales.data(), {sizes.scale_scales}, DType::f32);
    weight.codes = code_view;
    weight.scale_codes = scale_code_view;
    weight.scale_scales = scale_view;
    weight.scale_map = ConstTensor(dynamic_map().data(), {256}, DType::f32);
    weight.scale_offset = quantize_nf4(*stream, {code_view, scale_code_view, scale_view},
                                       ConstTensor(values.data(), shape, DType::f32));
  }
  std::vector<float> back() const {
    std::vector<float> out(std::size_t(weight.shape.elements()));
    dequantize_nf4(*stream, Tensor(out.data(), weight.shape, DType::f32), weight);
    return out;
  }
  int code(std::size_t i) const { return i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15; }

  std::unique_ptr<Stream> stream;
  Nf4Sizes sizes;
  std::vector<std::uint8_t> codes, scale_codes;
  std::vector<float> scale_scales;
  Nf4Weight weight;
};

/// Sums of uniforms: bell-shaped, as weights are.
std::vector<float> bell_values(std::int64_t count) {
  const RandomKey key{.seed = 11};
  std::vector<float> values(std::size_t(count), 0.0f);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.05f * (key.uniform(4 * i) + key.uniform(4 * i + 1) + key.uniform(4 * i + 2) +
                         key.uniform(4 * i + 3) - 2);
  return values;
}

TEST(Nf4, ValuesHaveThePublishedBits) {
  EXPECT_EQ(std::bit_cast<std::uint32_t>(kNf4Values[1]), 0xBF3239B1u);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(kNf4Values[8]), 0x3DA2FAFFu);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(kNf4Values[14]), 0x3F3913B3u);
}

TEST(Nf4, ValuesOfTheTableAreKeptAndTiesGoDown) {
  std::vector<float> values(64);
  for (std::size_t i = 0; i < 16; ++i) values[i] = kNf4Values[i];
  for (std::size_t i = 0; i < 15; ++i) values[16 + i] = (kNf4Values[i] + kNf4Values[i + 1]) / 2;
  const Quantized q(values, {1, 64});
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(q.code(i), int(i));
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(q.code(16 + i), int(i));
}

TEST(Nf4, ZeroBlocksGetCodeSeven) {
  std::vector<float> values = bell_values(192);
  std::fill(values.begin() + 64, values.begin() + 128, 0.0f);
  const Quantized q(values, {3, 64});
  for (std::size_t i = 64; i < 128; ++i) EXPECT_EQ(q.code(i), 7);
  const std::vector<float> back = q.back();
  for (std::size_t i = 64; i < 128; ++i) EXPECT_EQ(back[i], 0.0f);
}

TEST(Nf4, ErrorIsThatOfTheFormat) {
  const std::vector<float> values = bell_values(200 * 100);
  const Quantized q(values, {200, 100});  // blocks straddle rows
  const std::vector<float> back = q.back();
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    error += std::pow(double(back[i]) - double(values[i]), 2);
    norm += std::pow(double(values[i]), 2);
  }
  // Nine per cent for normal weights (numerics notes); the sums of uniforms have lighter tails.
  EXPECT_GT(std::sqrt(error / norm), 0.06);
  EXPECT_LT(std::sqrt(error / norm), 0.11);
}

TEST(Nf4, EveryValueIsTheProductOfItsParts) {
  const std::vector<float> values = bell_values(7 * 101);
  const Quantized q(values, {7, 101});  // odd: half a byte and a partial block at the end
  const std::vector<float> back = q.back();
  for (std::size_t i = 0; i < back.size(); ++i) {
    const float centred = dynamic_map()[q.scale_codes[i / 64]] * q.scale_scales[i / 64 / 256];
    const float scale = centred + q.weight.scale_offset;
    EXPECT_EQ(back[i], kNf4Values[std::size_t(q.code(i))] * scale) << i;
  }
}

TEST(Nf4, HalfPrecisionIsRoundedOnceFromTheSingleProduct) {
  const Quantized q(bell_values(3 * 100), {3, 100});
  const std::vector<float> back = q.back();
  std::vector<bf16> brain(back.size());
  dequantize_nf4(*q.stream, Tensor(brain.data(), {3, 100}, DType::bf16), q.weight);
  std::vector<f16> half(back.size());
  dequantize_nf4(*q.stream, Tensor(half.data(), {3, 100}, DType::f16), q.weight);
  for (std::size_t i = 0; i < back.size(); ++i) {
    EXPECT_EQ(brain[i].bits, bf16(back[i]).bits);
    EXPECT_EQ(half[i].bits, f16(back[i]).bits);
  }
}

TEST(Nf4, SameBitsForAnyNumberOfThreads) {
  const std::vector<float> values = bell_values(300 * 700);
  const Quantized one(values, {300, 700}, 1);
  for (const int threads : {2, 3, 7}) {
    const Quantized many(values, {300, 700}, threads);
    EXPECT_EQ(many.codes, one.codes);
    EXPECT_EQ(many.scale_codes, one.scale_codes);
    EXPECT_EQ(many.scale_scales, one.scale_scales);
    EXPECT_EQ(many.weight.scale_offset, one.weight.scale_offset);
    EXPECT_EQ(many.back(), one.back());
  }
}

TEST(Nf4, EmptyWeightIsLeftAlone) {
  const Quantized q({}, {0, 64});
  EXPECT_EQ(q.weight.scale_offset, 0.0f);
  EXPECT_TRUE(q.back().empty());
}

TEST(Nf4, RefusesStorageOfTheWrongSize) {
  const Quantized q(bell_values(64), {1, 64});
  Nf4Weight wrong = q.weight;
  std::vector<float> out(128);
  wrong.shape = {2, 64};
  EXPECT_THROW(dequantize_nf4(*q.stream, Tensor(out.data(), {2, 64}, DType::f32), wrong),
               InternalError);
  EXPECT_THROW(dequantize_nf4(*q.stream, Tensor(out.data(), {2, 64}, DType::f32), q.weight),
               InternalError);
}

}  // namespace
}  // namespace elenchus::ops
