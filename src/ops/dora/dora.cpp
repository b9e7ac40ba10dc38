#include "ops/dora/dora.h"

#include <algorithm>
#include <cmath>

#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

namespace elenchus::ops {
namespace {

bool is_f32(ConstTensor t, Shape shape) { return t.shape() == shape && t.dtype() == DType::f32; }

/// ||W_j + s B_j A||^2, summed in f64: the three terms may cancel.
template <class T>
double squared_norm(const DoraPart& part, std::int64_t j) {
  const std::int64_t rank = part.lora_b.dim(1), width = part.projected.dim(1);
  const float* const b = part.lora_b.as<float>() + j * rank;
  const float* const gram = part.gram.as<float>();
  const T* const projected =
      part.projected.as<T>() + part.first_rank * width + part.first_column + j;
  double cross = 0, own = 0;
  for (std::int64_t r = 0; r < rank; ++r) {
    cross += double(b[r]) * double(static_cast<float>(projected[r * width]));
    double row = 0;
    for (std::int64_t q = 0; q < rank; ++q) row += double(gram[r * rank + q]) * double(b[q]);
    own += double(b[r]) * row;
  }
  const double scale = double(part.scale);
  return double(part.squares.as<float>()[j]) + 2 * scale * cross + scale * scale * own;
}

}  // namespace

void row_squares(Stream& stream, Tensor out, ConstTensor x) {
  expect(x.shape().rank() == 2 && x.dtype() == DType::f32 && is_f32(out, {x.dim(0)}),
         "row_squares: out is f32 [N], x f32 [N,C]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::row_squares(stream, out, x);
  const std::int64_t columns = x.dim(1);
  for_chunks(stream.pool(), x.dim(0), rows_per_task(columns), [&](auto first, auto last) {
    for (std::int64_t n = first; n < last; ++n) {
      const float* const row = x.as<float>() + n * columns;
      double sum = 0;
      for (std::int64_t c = 0; c < columns; ++c) sum += double(row[c]) * double(row[c]);
      out.as<float>()[n] = float(sum);
    }
  });
}

void dora_factors(Stream& stream, Tensor factor, Tensor norm, const DoraPart& part) {
  expect(part.lora_b.shape().rank() == 2 && part.projected.shape().rank() == 2,
         "dora_factors: lora_b and projected are matrices");
  const std::int64_t out = part.lora_b.dim(0), rank = part.lora_b.dim(1);
  expect(is_f32(part.lora_b, {out, rank}) && is_f32(part.gram, {rank, rank}) &&
             is_f32(part.squares, {out}) && is_f32(part.magnitude, {out}) &&
             is_f32(factor, {out}) && is_f32(norm, {out}),
         "dora_factors: shapes disagree");
  expect(part.first_rank >= 0 && part.first_rank + rank <= part.projected.dim(0) &&
             part.first_column >= 0 && part.first_column + out <= part.projected.dim(1),
         "dora_factors: the part lies outside the group");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::dora_factors(stream, factor, norm, part);
  visit_float(part.projected.dtype(), [&]<class T>() {
    for_chunks(stream.pool(), out, rows_per_task(rank * rank), [&](auto first, auto last) {
      for (std::int64_t j = first; j < last; ++j) {
        const float length = float(std::sqrt(std::max(0.0, squared_norm<T>(part, j))));
        norm.as<float>()[j] = length;
        factor.as<float>()[j] = length > 0 ? part.magnitude.as<float>()[j] / length : 0.0f;
      }
    });
  });
}

}  // namespace elenchus::ops
