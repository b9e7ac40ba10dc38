#include "ops/nf4/nf4.h"

#include <vector>

#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"
#include "ops/nf4/nf4_rows.cuh"

namespace elenchus::ops::cuda {
namespace {

/// The sixteen values, on their way to a kernel.
struct Values {
  float v[16];
};
Values nf4_values() {
  Values values;
  std::copy(kNf4Values.begin(), kNf4Values.end(), values.v);
  return values;
}

/// The addresses behind an Nf4Weight.
struct Source {
  Values values;
  const std::uint8_t* codes;
  const float* absmax;  // or null
  const std::uint8_t* scale_codes;
  const float *scale_scales, *scale_map;
  float scale_offset;

  __device__ float scale(const float* map, std::int64_t block) const {
    if (absmax) return absmax[block];
    return __fadd_rn(__fmul_rn(map[scale_codes[block]], scale_scales[block / kNf4NestedBlock]),
                     scale_offset);
  }
};

/// What a block looks up: the values and the map, in shared memory.
struct Tables {
  float values[16], map[256];
  __device__ void fill(const Source& source) {
    if (!source.absmax)
      for (int i = int(threadIdx.x); i < 256; i += int(blockDim.x)) map[i] = source.scale_map[i];
    if (threadIdx.x < 16) values[threadIdx.x] = source.values.v[threadIdx.x];
    __syncthreads();
  }
};

constexpr int kWords = 4;  // of eight codes, in flight in a thread

/// For rows of whole words. Neighbouring threads take neighbouring words: 4 bytes read, 8 weights
/// written.
template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    dequantize_words(T* to, std::int64_t stride, std::uint32_t row_words, std::int64_t words,
                     Source source) {
  __shared__ Tables tables;
  tables.fill(source);
  const std::uint32_t* const codes = reinterpret_cast<const std::uint32_t*>(source.codes);
  constexpr std::int64_t kStep = std::int64_t(kBlockThreads) * kWords;
  for (std::int64_t base = blockIdx.x * kStep + threadIdx.x; base < words;
       base += gridDim.x * kStep) {
    std::uint32_t word[kWords];
    float scale[kWords];
#pragma unroll
    for (int k = 0; k < kWords; ++k) {
      const std::int64_t w = base + k * kBlockThreads;
      if (w >= words) continue;
      word[k] = codes[w];
      scale[k] = source.scale(tables.map, w / (kNf4Block / 8));
    }
#pragma unroll
    for (int k = 0; k < kWords; ++k) {
      const std::int64_t w = base + k * kBlockThreads;
      if (w >= words) continue;
      const std::uint32_t row = std::uint32_t(w) / row_words;
      const std::uint32_t column = (std::uint32_t(w) - row * row_words) * 8;
      Floats<8> out;
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const int shift = j % 2 == 0 ? 4 * j + 4 : 4 * j - 4;
        out[j] = __fmul_rn(tables.values[(word[k] >> shift) & 15u], scale[k]);
      }
      store<8>(to + std::int64_t(row) * stride + column, out);
    }
  }
}

template <class T>
__global__ void dequantize_each(T* to, std::int64_t stride, std::int64_t columns,
                                std::int64_t elements, Source source) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  const int both = source.codes[i / 2];
  const int code = i % 2 == 0 ? both >> 4 : both & 15;
  const float value =
      __fmul_rn(source.values.v[code], source.scale(source.scale_map, i / kNf4Block));
  to[i / columns * stride + i % columns] = from_float<T>(value);
}

/// A warp a block of weights, two neighbours a lane.
__global__ void quantize_blocks(std::uint8_t* codes, float* absmax, const float* weights,
                                std::int64_t elements, std::int64_t blocks, Values values) {
  const std::int64_t block = thread_index() / kWarp;
  if (block >= blocks) return;
  const int lane = int(threadIdx.x) % kWarp;
  const std::int64_t first = block * kNf4Block + 2 * lane;
  const bool partial = elements - block * kNf4Block < kNf4Block;
  float x[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) x[i] = first + i < elements ? weights[first + i] : 0.0f;
  const float largest = warp_max(fmaxf(fabsf(x[0]), fabsf(x[1])));
  const float divisor = fmaxf(largest, 1e-38f);
  const float reciprocal = __frcp_rn(divisor);
  int code[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    // A partial block divides, a whole one multiplies by the reciprocal, as bitsandbytes does.
    const float scaled = partial ? __fdiv_rn(x[i], divisor) : __fmul_rn(x[i], reciprocal);
    const float inside = fminf(fmaxf(scaled, -1.0f), 1.0f);
    code[i] = 0;
#pragma unroll
    for (int t = 0; t < 15; ++t)
      code[i] += inside > __fadd_rn(values.v[t], values.v[t + 1]) / 2 ? 1 : 0;
  }
  if (first < elements) codes[first / 2] = std::uint8_t(code[0] << 4 | code[1]);
  if (lane == 0) absmax[block] = partial ? divisor : largest;
}

/// A block for 256 scales. `steps` are SteppedSearch's codes.
__global__ void quantize_scales(std::uint8_t* codes, float* scale_scales, const float* absmax,
                                const std::uint8_t* steps, float offset, std::int64_t blocks) {
  __shared__ float room[kNf4NestedBlock / kWarp];
  const std::int64_t i = blockIdx.x * kNf4NestedBlock + threadIdx.x;
  const float centred = i < blocks ? __fsub_rn(absmax[i], offset) : 0.0f;
  const float in_warp = warp_max(fabsf(centred));
  if (threadIdx.x % kWarp == 0) room[threadIdx.x / kWarp] = in_warp;
  __syncthreads();
  float largest = 0;
  for (const float each : room) largest = fmaxf(largest, each);
  const float x = fminf(fmaxf(__fmul_rn(centred, __frcp_rn(largest)), -1.0f), 1.0f);
  // The roundings of SteppedSearch::step_of, none of them fused.
  const int step = int(__fadd_rn(__fmul_rn(__fadd_rn(x, 1.0f), 32767.5f), 0.5f));
  if (i < blocks) codes[i] = largest == 0 ? std::uint8_t{0} : steps[step];
  if (threadIdx.x == 0) scale_scales[blockIdx.x] = largest;
}

/// The mean in f64, added up on the host in the order of the blocks: the CPU's bits.
float mean_absmax(CudaStream& device, const float* absmax, std::int64_t blocks) {
  std::vector<float> host(std::size_t(blocks), 0.0f);
  check_cuda(cudaMemcpyAsync(host.data(), absmax, host.size() * sizeof(float),
                             cudaMemcpyDeviceToHost, device.queue()),
             "reading block scales");
  device.synchronize();
  double sum = 0;
  for (const float scale : host) sum += scale;
  return float(sum / double(blocks));
}

}  // namespace

float quantize_nf4(Stream& stream, Nf4Storage out, ConstTensor weights) {
  CudaStream& device = cuda_side(stream);
  const std::int64_t elements = weights.elements(), blocks = Nf4Sizes(elements).scale_codes;
  if (elements == 0) return 0;
  const auto quantize_to = [&](float* absmax) {
    quantize_blocks<<<blocks_for(blocks * kWarp), kBlockThreads, 0, device.queue()>>>(
        out.codes.as<std::uint8_t>(), absmax, weights.as<float>(), elements, blocks, nf4_values());
    check_launch("quantize_nf4");
  };
  if (out.absmax) {
    quantize_to(out.absmax.as<float>());
    return 0;
  }
  const auto& search = dynamic_search().codes();
  std::byte* const room = device.scratch(search.size() + std::size_t(blocks) * sizeof(float));
  std::uint8_t* const steps = reinterpret_cast<std::uint8_t*>(room);
  float* const absmax = reinterpret_cast<float*>(room + search.size());
  check_cuda(
      cudaMemcpyAsync(steps, search.data(), search.size(), cudaMemcpyHostToDevice, device.queue()),
      "sending the scale map");
  quantize_to(absmax);
  const float offset = mean_absmax(device, absmax, blocks);
  quantize_scales<<<unsigned(out.scale_scales.elements()), unsigned(kNf4NestedBlock), 0,
                    device.queue()>>>(out.scale_codes.as<std::uint8_t>(),
                                      out.scale_scales.as<float>(), absmax, steps, offset, blocks);
  check_launch("quantize_nf4");
  return offset;
}

void dequantize_rows(CudaStream& device, void* to, DType dtype, std::int64_t stride,
                     const Nf4Weight& weight) {
  const std::int64_t columns = weight.shape[1], elements = weight.shape.elements();
  if (elements == 0) return;
  const Source source{nf4_values(),
                      weight.codes.as<std::uint8_t>(),
                      data_as<float>(weight.absmax),
                      data_as<std::uint8_t>(weight.scale_codes),
                      data_as<float>(weight.scale_scales),
                      data_as<float>(weight.scale_map),
                      weight.scale_offset};
  const auto aligned = [](const void* p, std::uintptr_t bytes) {
    return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
  };
  const bool words = columns % 8 == 0 && stride % 8 == 0 && aligned(to, 16) &&
                     aligned(source.codes, 4) && elements / 8 < (std::int64_t{1} << 32);
  visit_native(dtype, [&]<class T>() {
    T* const out = static_cast<T*>(to);
    if (words) {
      const std::int64_t count = elements / 8;
      const unsigned blocks = std::min(blocks_for((count + kWords - 1) / kWords),
                                       unsigned(device.multiprocessors()) * 8);
      dequantize_words<<<blocks, kBlockThreads, 0, device.queue()>>>(
          out, stride, std::uint32_t(columns / 8), count, source);
    } else {
      dequantize_each<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(
          out, stride, columns, elements, source);
    }
  });
  check_launch("dequantize_nf4");
}

void dequantize_nf4(Stream& stream, Tensor out, const Nf4Weight& weight) {
  dequantize_rows(cuda_side(stream), out.data(), out.dtype(), weight.shape[1], weight);
}

}  // namespace elenchus::ops::cuda
