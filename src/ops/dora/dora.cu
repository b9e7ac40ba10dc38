#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"
#include "ops/dora/dora.h"

namespace elenchus::ops::cuda {
namespace {

/// One block a row.
__global__ void __launch_bounds__(kBlockThreads)
    squares_kernel(float* out, const float* x, std::int64_t columns) {
  __shared__ float room[kWarp];
  const float* const row = x + blockIdx.x * columns;
  float sum = 0;
  for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x) sum = fmaf(row[c], row[c], sum);
  sum = block_sum(sum, room);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

struct Sizes {
  std::int64_t out, rank, width;
};

/// One thread a row of W, sums in f64 as on the CPU.
template <class T>
__global__ void factors_kernel(float* factor, float* norm, const float* squares,
                               const float* magnitude, const float* lora_b, const float* gram,
                               const T* projected, float s, Sizes sizes) {
  const std::int64_t j = thread_index();
  if (j >= sizes.out) return;
  const float* const b = lora_b + j * sizes.rank;
  double cross = 0, own = 0;
  for (std::int64_t r = 0; r < sizes.rank; ++r) {
    cross += double(b[r]) * double(to_float(projected[r * sizes.width + j]));
    double row = 0;
    for (std::int64_t q = 0; q < sizes.rank; ++q)
      row += double(gram[r * sizes.rank + q]) * double(b[q]);
    own += double(b[r]) * row;
  }
  const double scale = double(s);
  const double square = double(squares[j]) + 2 * scale * cross + scale * scale * own;
  const float length = float(sqrt(square > 0 ? square : 0));
  norm[j] = length;
  factor[j] = length > 0 ? magnitude[j] / length : 0.0f;
}

}  // namespace

void row_squares(Stream& stream, Tensor out, ConstTensor x) {
  CudaStream& device = cuda_side(stream);
  if (x.dim(0) == 0) return;
  squares_kernel<<<unsigned(x.dim(0)), kBlockThreads, 0, device.queue()>>>(out.as<float>(),
                                                                           x.as<float>(), x.dim(1));
  check_launch("row_squares");
}

void dora_factors(Stream& stream, Tensor factor, Tensor norm, const DoraPart& part) {
  CudaStream& device = cuda_side(stream);
  const Sizes sizes{part.lora_b.dim(0), part.lora_b.dim(1), part.projected.dim(1)};
  if (sizes.out == 0) return;
  visit_native(part.projected.dtype(), [&]<class T>() {
    const T* const projected =
        data_as<T>(part.projected) + part.first_rank * sizes.width + part.first_column;
    factors_kernel<<<blocks_for(sizes.out), kBlockThreads, 0, device.queue()>>>(
        factor.as<float>(), norm.as<float>(), part.squares.as<float>(), part.magnitude.as<float>(),
        part.lora_b.as<float>(), part.gram.as<float>(), projected, part.scale, sizes);
  });
  check_launch("dora_factors");
}

}  // namespace elenchus::ops::cuda
