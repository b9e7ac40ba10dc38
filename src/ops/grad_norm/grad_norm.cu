#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"
#include "ops/grad_norm/grad_norm.h"

namespace elenchus::ops::cuda {
namespace {

// The same number of partial sums for every length: the order of additions follows from the length.
constexpr int kPartials = 1024;

__global__ void __launch_bounds__(kBlockThreads)
    partial_sums(double* partials, const float* x, std::int64_t n) {
  __shared__ double room[kWarp];
  double sum = 0;
  for (std::int64_t i = thread_index(); i < n; i += std::int64_t(kPartials) * kBlockThreads)
    sum += double(x[i]) * double(x[i]);
  sum = block_sum(sum, room);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kPartials) last_sum(double* total, const double* partials) {
  __shared__ double room[kWarp];
  const double sum = block_sum(partials[threadIdx.x], room);
  if (threadIdx.x == 0) *total = sum;
}

}  // namespace

double sum_of_squares(Stream& stream, ConstTensor x) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::optimizer);
  if (x.elements() == 0) return 0;
  double* const partials =
      reinterpret_cast<double*>(device.scratch((kPartials + 1) * sizeof(double)));
  partial_sums<<<kPartials, kBlockThreads, 0, device.queue()>>>(partials, x.as<float>(),
                                                                x.elements());
  last_sum<<<1, kPartials, 0, device.queue()>>>(partials + kPartials, partials);
  check_launch("sum_of_squares");
  double total = 0;
  check_cuda(cudaMemcpyAsync(&total, partials + kPartials, sizeof total, cudaMemcpyDeviceToHost,
                             device.queue()),
             "reading a sum");
  device.synchronize();
  return total;
}

}  // namespace elenchus::ops::cuda
