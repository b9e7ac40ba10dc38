#include "ops/columns/columns.h"

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

namespace elenchus::ops {
namespace {

bool is_vector(ConstTensor t, std::int64_t length) {
  return t.shape() == Shape{length} && t.dtype() == DType::f32;
}

/// Columns of one task: a few cache lines of every row.
constexpr std::int64_t kTaskColumns = 64;

}  // namespace

void scale_columns(Stream& stream, Tensor y, ConstTensor x, ConstTensor factor, ConstTensor bias) {
  expect(x.shape().rank() == 2 && y.shape() == x.shape() && y.dtype() == x.dtype(),
         "scale_columns: y and x differ");
  const std::int64_t columns = x.dim(1);
  expect(is_vector(factor, columns) && (!bias || is_vector(bias, columns)),
         "scale_columns: factor or bias is not f32 [C]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::scale_columns(stream, y, x, factor, bias);
  const float* const f = factor.as<float>();
  const float* const b = bias ? bias.as<float>() : nullptr;
  visit_float(x.dtype(), [&]<class T>() {
    for_chunks(stream.pool(), x.dim(0), rows_per_task(columns), [&](auto first, auto last) {
      for (std::int64_t n = first; n < last; ++n) {
        const T* const from = x.as<T>() + n * columns;
        T* const to = y.as<T>() + n * columns;
        for (std::int64_t c = 0; c < columns; ++c)
          to[c] = T(static_cast<float>(from[c]) * f[c] + (b ? b[c] : 0.0f));
      }
    });
  });
}

void add_column_sums(Stream& stream, Tensor out, ConstTensor x, ConstTensor z, ConstTensor divisor,
                     std::int64_t first) {
  expect(x.shape().rank() == 2 && out.shape().rank() == 1, "add_column_sums: x is a matrix");
  const std::int64_t columns = out.dim(0), width = x.dim(1);
  expect(is_vector(out, columns) && first >= 0 && first + columns <= width,
         "add_column_sums: the columns lie outside x");
  expect(!z || (z.shape() == x.shape() && z.dtype() == x.dtype()),
         "add_column_sums: z is not like x");
  expect(!divisor || is_vector(divisor, columns), "add_column_sums: divisor is not f32 [C]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::add_column_sums(stream, out, x, z, divisor, first);
  visit_float(x.dtype(), [&]<class T>() {
    for_chunks(stream.pool(), columns, kTaskColumns, [&](auto begin, auto end) {
      float sums[kTaskColumns] = {};
      for (std::int64_t n = 0; n < x.dim(0); ++n) {
        const T* const row = x.as<T>() + n * width + first;
        const T* const other = z ? z.as<T>() + n * width + first : nullptr;
        for (std::int64_t c = begin; c < end; ++c)
          sums[c - begin] +=
              static_cast<float>(row[c]) * (other ? static_cast<float>(other[c]) : 1.0f);
      }
      for (std::int64_t c = begin; c < end; ++c)
        out.as<float>()[c] += sums[c - begin] / (divisor ? divisor.as<float>()[c] : 1.0f);
    });
  });
}

}  // namespace elenchus::ops
