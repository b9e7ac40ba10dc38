#include "ops/adamw/adamw_8bit.h"

#include <algorithm>
#include <cmath>

#include "ops/adamw/factors.h"
#include "ops/adamw/moment_maps.h"
#include "ops/dispatch.h"

namespace elenchus::ops {
namespace {

/// A map with the midpoints between its entries.
struct Search {
  explicit Search(const float* values) : map(values) {
    for (int i = 0; i < 255; ++i) midpoints[i] = (map[i] + map[i + 1]) * 0.5f;
  }
  /// The number of midpoints below x: the nearest entry.
  std::uint8_t operator()(float x) const {
    int code = 0;
    for (int step = 128; step > 0; step /= 2)
      if (x > midpoints[code + step - 1]) code += step;
    return std::uint8_t(code);
  }
  const float* map;
  float midpoints[255];
};

/// Quantises up to a block of values; returns their absmax.
float quantize(const float* values, std::int64_t count, const Search& search, std::uint8_t* codes) {
  float absmax = 0;
  for (std::int64_t i = 0; i < count; ++i) absmax = std::max(absmax, std::abs(values[i]));
  const float reciprocal = absmax > 0 ? 1.0f / absmax : 0.0f;
  for (std::int64_t i = 0; i < count; ++i) codes[i] = search(values[i] * reciprocal);
  return absmax;
}

/// One block: f32 values of both moments live only here.
struct BlockUpdate {
  const AdamWFactors& f;
  const Search &m_search, &v_search;

  void operator()(float* weight, const float* gradient, std::uint8_t* m_codes,
                  std::uint8_t* v_codes, float& m_absmax, float& v_absmax,
                  std::int64_t count) const {
    float m[kMomentBlock], v[kMomentBlock];
    for (std::int64_t i = 0; i < count; ++i) {
      const float g = gradient[i] * f.gradient_scale;
      const float old_m = m_search.map[m_codes[i]] * m_absmax;
      const float old_v = v_search.map[v_codes[i]] * v_absmax;
      m[i] = old_m + f.one_minus_beta1 * (g - old_m);
      v[i] = old_v * f.beta2 + f.one_minus_beta2 * g * g;
      const float root = std::sqrt(v[i]) / f.root_of_correction2 + f.epsilon;
      weight[i] = weight[i] * f.keep + (-f.step_size * m[i]) / root;
    }
    m_absmax = quantize(m, count, m_search, m_codes);
    v_absmax = quantize(v, count, v_search, v_codes);
  }
};

}  // namespace

void adamw_8bit_step(Stream& stream, Tensor weight, const Moments8& moments, ConstTensor gradient,
                     const AdamWStep& step) {
  const std::int64_t elements = weight.elements(), blocks = moment_blocks(elements);
  expect(weight.dtype() == DType::f32 && gradient.dtype() == DType::f32 &&
             gradient.elements() == elements,
         "adamw_8bit: weight and gradient are f32 [n]");
  expect(moments.m_codes.elements() == elements && moments.v_codes.elements() == elements &&
             moments.m_codes.dtype() == DType::u8 && moments.v_codes.dtype() == DType::u8,
         "adamw_8bit: codes are u8 [n]");
  expect(moments.m_absmax.elements() == blocks && moments.v_absmax.elements() == blocks &&
             moments.m_absmax.dtype() == DType::f32 && moments.v_absmax.dtype() == DType::f32,
         "adamw_8bit: absmax is f32 [blocks]");
  expect(step.step >= 1, "adamw: steps count from 1");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::adamw_8bit_step(stream, weight, moments, gradient, step);
  const AdamWFactors factors(step);
  const MomentMaps maps;
  const Search m_search(maps.m), v_search(maps.v);
  const BlockUpdate update{factors, m_search, v_search};
  stream.pool().run(blocks, [&](std::int64_t block, int) {
    const std::int64_t first = block * kMomentBlock;
    update(weight.as<float>() + first, gradient.as<float>() + first,
           moments.m_codes.as<std::uint8_t>() + first, moments.v_codes.as<std::uint8_t>() + first,
           moments.m_absmax.as<float>()[block], moments.v_absmax.as<float>()[block],
           std::min(kMomentBlock, elements - first));
  });
}

}  // namespace elenchus::ops
