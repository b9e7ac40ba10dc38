#include "ops/nf4/nf4.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/dispatch.h"
#include "ops/nf4/nf4_panel.h"

namespace elenchus::ops {

const std::array<float, 16> kNf4Values = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

namespace {

// Blocks of one task: whole nested blocks, so that tasks share no byte and no scale.
constexpr std::int64_t kTaskBlocks = 4 * kNf4NestedBlock;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

void check_storage(std::int64_t elements, ConstTensor codes, ConstTensor scale_codes,
                   ConstTensor scale_scales, ConstTensor absmax) {
  const Nf4Sizes sizes(elements);
  if (absmax) {
    expect(codes.elements() == sizes.code_bytes && codes.dtype() == DType::u8 &&
               absmax.elements() == sizes.scale_codes && absmax.dtype() == DType::f32,
           "nf4: the parts of a weight disagree");
    return;
  }
  expect(codes.elements() == sizes.code_bytes && scale_codes.elements() == sizes.scale_codes &&
             scale_scales.elements() == sizes.scale_scales,
         "nf4: sizes disagree");
  expect(codes.dtype() == DType::u8 && scale_codes.dtype() == DType::u8 &&
             scale_scales.dtype() == DType::f32,
         "nf4: wrong dtypes");
}

}  // namespace

float quantize_scales(std::span<const float> scales, float offset, const SteppedSearch& search,
                      std::uint8_t* codes) {
  float largest = 0;
  for (const float scale : scales) largest = std::max(largest, std::abs(scale - offset));
  if (largest == 0) {
    std::fill_n(codes, scales.size(), std::uint8_t{0});
    return 0;
  }
  const float reciprocal = 1.0f / largest;
  for (std::size_t i = 0; i < scales.size(); ++i)
    codes[i] = search[std::clamp((scales[i] - offset) * reciprocal, -1.0f, 1.0f)];
  return largest;
}

Nf4Sizes::Nf4Sizes(std::int64_t elements)
    : code_bytes(divide_up(elements, 2)),
      scale_codes(divide_up(elements, kNf4Block)),
      scale_scales(divide_up(scale_codes, kNf4NestedBlock)) {}

void check_nf4(const Nf4Weight& weight) {
  check_storage(weight.shape.elements(), weight.codes, weight.scale_codes, weight.scale_scales,
                weight.absmax);
  expect(weight.absmax || weight.scale_map.elements() == 256, "nf4: the scale map has 256 entries");
}

float quantize_nf4(Stream& stream, Nf4Storage out, ConstTensor weights) {
  const std::int64_t elements = weights.elements();
  check_storage(elements, out.codes, out.scale_codes, out.scale_scales, out.absmax);
  expect(weights.dtype() == DType::f32, "quantize_nf4: weights are f32");
  if (stream.dry()) return 0;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::quantize_nf4(stream, out, weights);
  const std::int64_t blocks = Nf4Sizes(elements).scale_codes;
  std::vector<float> own(out.absmax ? 0 : std::size_t(blocks), 0.0f);
  const std::span<float> absmax = out.absmax ? out.absmax.values<float>() : std::span(own);
  const float* const from = weights.as<float>();
  std::uint8_t* const codes = out.codes.as<std::uint8_t>();
  stream.pool().run(divide_up(blocks, kTaskBlocks), [&](std::int64_t task, int) {
    const std::int64_t first = task * kTaskBlocks * kNf4Block;
    quantize_run(from + first, std::min(kTaskBlocks * kNf4Block, elements - first),
                 absmax.data() + task * kTaskBlocks, codes + first / 2);
  });
  if (out.absmax) return 0;
  double sum = 0;
  for (const float scale : absmax) sum += scale;
  const float offset = blocks > 0 ? float(sum / double(blocks)) : 0.0f;
  std::uint8_t* const scale_codes = out.scale_codes.as<std::uint8_t>();
  float* const scale_scales = out.scale_scales.as<float>();
  const SteppedSearch& search = dynamic_search();
  stream.pool().run(out.scale_scales.elements(), [&](std::int64_t nested, int) {
    const std::int64_t first = nested * kNf4NestedBlock;
    const std::size_t count = std::size_t(std::min(kNf4NestedBlock, blocks - first));
    scale_scales[nested] =
        quantize_scales({absmax.data() + first, count}, offset, search, scale_codes + first);
  });
  return offset;
}

void dequantize_nf4(Stream& stream, Tensor out, const Nf4Weight& weight) {
  expect(out.shape() == weight.shape && weight.shape.rank() == 2,
         "dequantize_nf4: shapes disagree");
  check_nf4(weight);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::dequantize_nf4(stream, out, weight);
  const std::int64_t elements = out.elements(), step = kTaskBlocks * kNf4Block;
  visit_float(out.dtype(), [&]<class T>() {
    T* const to = out.as<T>();
    stream.pool().run(divide_up(elements, step), [&](std::int64_t task, int worker) {
      const std::int64_t first = task * step, count = std::min(step, elements - first);
      if constexpr (std::is_same_v<T, float>) {
        dequantize_run(weight, first, count, to + first);
      } else {
        float* const values = reinterpret_cast<float*>(stream.worker_scratch(worker));
        dequantize_run(weight, first, count, values);
        for (std::int64_t i = 0; i < count; ++i) to[first + i] = T(values[i]);
      }
    });
  });
}

}  // namespace elenchus::ops
