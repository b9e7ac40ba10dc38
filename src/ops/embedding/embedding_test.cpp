#include "ops/embedding/embedding.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::Held;
using testing::random_values;
using testing::rounded;

class Embedding : public testing::OnDevice {};

TEST_P(Embedding, IsTheScaledRowOfEachTokenRoundedTwice) {
  const float scale = 22.6274169979695f;
  for (const DType stored : {DType::f32, DType::f16, DType::bf16})
    for (const std::int64_t columns : {1, 31, 33, 64}) {
      const auto rows = random_values(7 * columns, 1);
      const Held table(stream(), {7, columns}, stored, rows);
      const Held tokens(stream(), std::vector{6, 0, 3, 3});
      const Held y(stream(), {4, columns}, dtype());
      ops::embedding_forward(stream(), y, table, tokens, scale);
      const auto once = rounded(rounded(rows, stored), dtype());
      std::vector<double> expected;
      for (const std::int64_t token : {6, 0, 3, 3})
        for (std::int64_t c = 0; c < columns; ++c)
          expected.push_back(float(once[std::size_t(token * columns + c)]) * scale);
      EXPECT_EQ(y.values(), rounded(expected, dtype()));
    }
}

TEST_P(Embedding, BackwardAddsTheRowsOfEachTokenInTheirOrder) {
  constexpr float kScale = 3.5f;
  for (const std::int64_t columns : {1, 31, 300}) {
    std::vector<std::int32_t> ids;
    for (std::int32_t n = 0; n < 700; ++n) ids.push_back(n < 400 ? 2 : n * 37 % 50);
    const std::int64_t rows = std::int64_t(ids.size());
    const auto gradient = rounded(random_values(rows * columns, 1), dtype());
    const auto start = random_values(50 * columns, 2);
    const Held table(stream(), {50, columns}, DType::f32, start);
    const Held dy(stream(), {rows, columns}, dtype(), gradient), tokens(stream(), ids);
    constexpr std::int32_t kPadding = 7;
    ops::embedding_backward(stream(), table, dy, tokens, kScale, kPadding);
    std::vector<float> sums(std::size_t(50 * columns), 0.0f);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const std::size_t row = i / std::size_t(columns), column = i % std::size_t(columns);
      if (ids[row] == kPadding) continue;
      sums[std::size_t(ids[row]) * std::size_t(columns) + column] += float(gradient[i]);
    }
    const auto from = rounded(start, DType::f32), found = table.values();
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_NEAR(found[i], from[i] + double(kScale) * double(sums[i]),
                  1e-6 * std::abs(found[i]) + 1e-7);
    const Held again(stream(), {50, columns}, DType::f32, start);
    ops::embedding_backward(stream(), again, dy, tokens, kScale, kPadding);
    EXPECT_EQ(again.values(), found);
  }
}

TEST_P(Embedding, TakesNoRows) {
  const Held table(stream(), {7, 4}, dtype()), y(stream(), {0, 4}, dtype());
  ops::embedding_forward(stream(), y, table, Held(stream(), {0}, DType::i32));
  const Held dtable(stream(), {7, 4}, DType::f32);
  ops::embedding_backward(stream(), dtable, y, Held(stream(), {0}, DType::i32));
}

TEST_P(Embedding, ThrowsOnWrongShapes) {
  const Held table(stream(), {7, 4}, dtype()), y(stream(), {2, 5}, dtype());
  const Held tokens(stream(), std::vector{0, 1}), one(stream(), std::vector{0});
  EXPECT_THROW(ops::embedding_forward(stream(), y, table, tokens), InternalError);
  EXPECT_THROW(ops::embedding_forward(stream(), table, table, one), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, Embedding, testing::every_device_and_float(), testing::case_name);

TEST(EmbeddingCpu, RefusesATokenOutsideTheTable) {
  const auto stream = Stream::open({}, 1);
  const Held table(*stream, {7, 4}, DType::f32), y(*stream, {1, 4}, DType::f32);
  const Held tokens(*stream, std::vector{7});
  EXPECT_THROW(ops::embedding_backward(*stream, table, y, tokens), InternalError);
  EXPECT_THROW(ops::embedding_forward(*stream, y, table, tokens), InternalError);
}

TEST(EmbeddingDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor table = testing::dry_tensor(*dry, {7, 4}), y = testing::dry_tensor(*dry, {2, 4});
  ops::embedding_forward(*dry, y, table, testing::dry_tensor(*dry, {2}, DType::i32));
  ops::embedding_backward(*dry, table, y, testing::dry_tensor(*dry, {2}, DType::i32));
}

}  // namespace
}  // namespace elenchus
