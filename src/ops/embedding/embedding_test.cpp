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

TEST_P(Embedding, TakesNoRows) {
  const Held table(stream(), {7, 4}, dtype()), y(stream(), {0, 4}, dtype());
  ops::embedding_forward(stream(), y, table, Held(stream(), {0}, DType::i32));
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
  EXPECT_THROW(ops::embedding_forward(*stream, y, table, tokens), InternalError);
}

TEST(EmbeddingDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor table = testing::dry_tensor(*dry, {7, 4}), y = testing::dry_tensor(*dry, {2, 4});
  ops::embedding_forward(*dry, y, table, testing::dry_tensor(*dry, {2}, DType::i32));
}

}  // namespace
}  // namespace elenchus
