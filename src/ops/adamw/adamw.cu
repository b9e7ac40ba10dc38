#include "ops/adamw/adamw.h"
#include "ops/adamw/factors.h"
#include "ops/cuda/vector.cuh"

namespace elenchus::ops::cuda {
namespace {

/// The operations of torch's single-tensor AdamW, in its order; each is rounded alone, as on the
/// CPU.
template <int V>
__global__ void update_kernel(float* weight, float* m, float* v, const float* gradient,
                              AdamWFactors f, std::int64_t packs) {
  const std::int64_t i = thread_index() * V;
  if (i >= packs * V) return;
  Floats<V> w = load<V>(weight + i), mean = load<V>(m + i), square = load<V>(v + i);
  const Floats<V> raw = load<V>(gradient + i);
#pragma unroll
  for (int j = 0; j < V; ++j) {
    const float g = __fmul_rn(raw[j], f.gradient_scale);
    mean[j] = __fadd_rn(mean[j], __fmul_rn(f.one_minus_beta1, __fsub_rn(g, mean[j])));
    square[j] =
        __fadd_rn(__fmul_rn(square[j], f.beta2), __fmul_rn(__fmul_rn(f.one_minus_beta2, g), g));
    const float root =
        __fadd_rn(__fdiv_rn(__fsqrt_rn(square[j]), f.root_of_correction2), f.epsilon);
    w[j] = __fadd_rn(__fmul_rn(w[j], f.keep), __fdiv_rn(__fmul_rn(-f.step_size, mean[j]), root));
  }
  store<V>(m + i, mean);
  store<V>(v + i, square);
  store<V>(weight + i, w);
}

}  // namespace

void adamw_step(Stream& stream, Tensor weight, Tensor m, Tensor v, ConstTensor gradient,
                const AdamWStep& step) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::optimizer);
  const std::int64_t elements = weight.elements();
  if (elements == 0) return;
  const AdamWFactors factors(step);
  with_width(takes_wide(elements, weight, m, v, gradient), [&]<int V>() {
    update_kernel<V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
        weight.as<float>(), m.as<float>(), v.as<float>(), gradient.as<float>(), factors,
        elements / V);
  });
  check_launch("adamw_step");
}

}  // namespace elenchus::ops::cuda
