#include "ops/columns/columns.h"

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

class Columns : public testing::OnDevice {};

TEST_P(Columns, ScalesEachColumnAndAddsItsBias) {
  for (const std::int64_t columns : {1, 31, 33, 130})
    for (const bool biased : {false, true}) {
      const auto x = rounded(random_values(3 * columns, 1), dtype());
      const auto factor = rounded(random_values(columns, 2), DType::f32),
                 bias = rounded(random_values(columns, 3), DType::f32);
      std::vector<double> expected;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t c = i % std::size_t(columns);
        expected.push_back(x[i] * factor[c] + (biased ? bias[c] : 0));
      }
      const Held y = tensor({3, columns}, x), hb = floats({columns}, bias);
      ops::scale_columns(stream(), y, y, floats({columns}, factor),
                         biased ? ConstTensor(hb) : ConstTensor());
      expect_close(y.values(), expected, tolerance());
    }
}

TEST_P(Columns, AddsSumsOverRows) {
  for (const std::int64_t rows : {0, 1, 7, 33})
    for (const std::int64_t columns : {1, 33, 70})
      for (const bool weighted : {false, true}) {
        const std::int64_t first = 2, width = first + columns + 1;
        const auto x = rounded(random_values(rows * width, 1), dtype()),
                   z = rounded(random_values(rows * width, 2), dtype());
        auto divisor = rounded(random_values(columns, 3), DType::f32);
        for (double& d : divisor) d += d < 0 ? -1 : 1;
        auto expected = rounded(random_values(columns, 4), DType::f32);
        const Held out = floats({columns}, expected), hx = tensor({rows, width}, x),
                   hz = tensor({rows, width}, z), hd = floats({columns}, divisor);
        for (std::int64_t c = 0; c < columns; ++c)
          for (std::int64_t n = 0; n < rows; ++n) {
            const std::size_t at = std::size_t(n * width + first + c);
            expected[std::size_t(c)] += weighted ? x[at] * z[at] / divisor[std::size_t(c)] : x[at];
          }
        if (weighted)
          ops::add_column_sums(stream(), out, hx, hz, hd, first);
        else
          ops::add_column_sums(stream(), out, hx, {}, {}, first);
        // Products are exact in f32, sums are of at most 33 values.
        expect_close(out.values(), expected, 4e-6);
      }
}

TEST_P(Columns, ThrowsOnWrongShapes) {
  const Held x(stream(), {2, 4}, dtype()), y(stream(), {2, 5}, dtype());
  const Held four(stream(), {4}, DType::f32), five(stream(), {5}, DType::f32);
  EXPECT_THROW(ops::scale_columns(stream(), x, y, five, {}), InternalError);
  EXPECT_THROW(ops::scale_columns(stream(), x, x, five, {}), InternalError);
  EXPECT_THROW(ops::scale_columns(stream(), x, x, four, five), InternalError);
  EXPECT_THROW(ops::add_column_sums(stream(), four, x, {}, {}, 1), InternalError);
  EXPECT_THROW(ops::add_column_sums(stream(), four, x, y, {}, 0), InternalError);
  EXPECT_THROW(ops::add_column_sums(stream(), four, x, {}, five, 0), InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, Columns, testing::every_device_and_float(), testing::case_name);

TEST(ColumnsDry, TouchesNothing) {
  const auto dry = Stream::open_dry({});
  const Tensor x = testing::dry_tensor(*dry, {4, 8}), row = testing::dry_tensor(*dry, {8});
  ops::scale_columns(*dry, x, x, row, row);
  ops::add_column_sums(*dry, row, x, x, row, 0);
}

}  // namespace
}  // namespace elenchus
