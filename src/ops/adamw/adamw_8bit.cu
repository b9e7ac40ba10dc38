#include "ops/adamw/adamw_8bit.h"
#include "ops/adamw/factors.h"
#include "ops/adamw/moment_maps.h"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"

namespace elenchus::ops::cuda {
namespace {

constexpr int kThreads = int(kMomentBlock);

/// The number of midpoints below x: the nearest entry.
__device__ std::uint8_t nearest(const float* midpoints, float x) {
  int code = 0;
  for (int step = 128; step > 0; step /= 2)
    if (x > midpoints[code + step - 1]) code += step;
  return std::uint8_t(code);
}

/// The largest of a block's values, in every thread.
__device__ float block_max(float value, float* room) {
  const float in_warp = warp_max(value);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) room[threadIdx.x / kWarp] = in_warp;
  __syncthreads();
  float largest = 0;
  for (int i = 0; i < kThreads / kWarp; ++i) largest = fmaxf(largest, room[i]);
  return largest;
}

/// A thread an element, a block of threads a block of moments. Each operation is rounded alone, as
/// on the CPU.
__global__ void __launch_bounds__(kThreads)
    update_kernel(float* weight, const float* gradient, std::uint8_t* m_codes,
                  std::uint8_t* v_codes, float* m_absmax, float* v_absmax, MomentMaps maps,
                  AdamWFactors f, std::int64_t elements) {
  __shared__ float m_midpoints[255], v_midpoints[255], room[kThreads / kWarp];
  const int t = int(threadIdx.x);
  if (t < 255) {
    m_midpoints[t] = __fmul_rn(__fadd_rn(maps.m[t], maps.m[t + 1]), 0.5f);
    v_midpoints[t] = __fmul_rn(__fadd_rn(maps.v[t], maps.v[t + 1]), 0.5f);
  }
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + t;
  const bool inside = i < elements;
  float m = 0, v = 0;
  if (inside) {
    const float g = __fmul_rn(gradient[i], f.gradient_scale);
    const float old_m = __fmul_rn(maps.m[m_codes[i]], m_absmax[blockIdx.x]);
    const float old_v = __fmul_rn(maps.v[v_codes[i]], v_absmax[blockIdx.x]);
    m = __fadd_rn(old_m, __fmul_rn(f.one_minus_beta1, __fsub_rn(g, old_m)));
    v = __fadd_rn(__fmul_rn(old_v, f.beta2), __fmul_rn(__fmul_rn(f.one_minus_beta2, g), g));
    const float root = __fadd_rn(__fdiv_rn(__fsqrt_rn(v), f.root_of_correction2), f.epsilon);
    weight[i] =
        __fadd_rn(__fmul_rn(weight[i], f.keep), __fdiv_rn(__fmul_rn(-f.step_size, m), root));
  }
  const float m_largest = block_max(fabsf(m), room), v_largest = block_max(fabsf(v), room);
  const float m_factor = m_largest > 0 ? __frcp_rn(m_largest) : 0.0f;
  const float v_factor = v_largest > 0 ? __frcp_rn(v_largest) : 0.0f;
  if (inside) {
    m_codes[i] = nearest(m_midpoints, __fmul_rn(m, m_factor));
    v_codes[i] = nearest(v_midpoints, __fmul_rn(v, v_factor));
  }
  if (t == 0) {
    m_absmax[blockIdx.x] = m_largest;
    v_absmax[blockIdx.x] = v_largest;
  }
}

}  // namespace

void adamw_8bit_step(Stream& stream, Tensor weight, const Moments8& moments, ConstTensor gradient,
                     const AdamWStep& step) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::optimizer);
  const std::int64_t elements = weight.elements();
  if (elements == 0) return;
  update_kernel<<<unsigned(moment_blocks(elements)), kThreads, 0, device.queue()>>>(
      weight.as<float>(), gradient.as<float>(), moments.m_codes.as<std::uint8_t>(),
      moments.v_codes.as<std::uint8_t>(), moments.m_absmax.as<float>(),
      moments.v_absmax.as<float>(), MomentMaps(), AdamWFactors(step), elements);
  check_launch("adamw_8bit_step");
}

}  // namespace elenchus::ops::cuda
