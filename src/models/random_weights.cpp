#include "models/random_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "ops/elementwise/elementwise.h"
#include "ops/nf4/nf4.h"

namespace elenchus {
namespace {

constexpr std::int64_t kPattern = std::int64_t{1} << 22;  // elements
constexpr float kDenseSize = 0.02f;                       // of a usual initialisation

}  // namespace

RandomWeights::RandomWeights(Stream& stream, DType dense_dtype, std::uint64_t seed)
    : stream_(stream), dense_dtype_(dense_dtype), seed_(seed) {
  const Tensor map = keep({256}, DType::f32);
  scale_map_ = map;
  if (stream.dry()) return;
  stream.copy(map, ConstTensor(ops::dynamic_map().data(), {256}, DType::f32));
  const RandomKey key{.seed = seed, .use = RandomUse::test};
  bytes_.resize(std::size_t(kPattern));
  for (std::size_t i = 0; i < bytes_.size(); i += 16) {
    const auto four = key.draw4(std::uint32_t(i / 16));
    std::memcpy(bytes_.data() + i, four.data(), 16);
  }
  matrix_.resize(std::size_t(kPattern) * size_of(dense_dtype));
  visit_float(dense_dtype, [&]<class T>() {
    T* const to = reinterpret_cast<T*>(matrix_.data());
    for (std::int64_t i = 0; i < kPattern; ++i)
      to[i] = T(kDenseSize * (float(bytes_[std::size_t(i)]) - 127.5f) / 74.0f);
  });
}

Tensor RandomWeights::keep(Shape shape, DType dtype) {
  return buffers_.emplace_back(stream_, shape, dtype).tensor();
}

void RandomWeights::fill(Tensor to, ConstTensor pattern) {
  const Tensor flat = to.reshaped({to.elements()});
  for (std::int64_t first = 0; first < flat.elements(); first += pattern.elements()) {
    const std::int64_t count = std::min(pattern.elements(), flat.elements() - first);
    stream_.copy(flat.rows(first, count), pattern.rows(0, count));
  }
}

FrozenWeight RandomWeights::nf4(Slot, std::int64_t, Shape shape) {
  const ops::Nf4Sizes sizes(shape.elements());
  const Tensor codes = keep({sizes.code_bytes}, DType::u8),
               scale_codes = keep({sizes.scale_codes}, DType::u8),
               scale_scales = keep({sizes.scale_scales}, DType::f32);
  // The values have a root mean square of about a half; so has what is left of a block's absmax.
  const float absmax = 2 / std::sqrt(float(shape[1]));
  const Nf4Weight weight{.shape = shape,
                         .codes = codes,
                         .scale_codes = scale_codes,
                         .scale_scales = scale_scales,
                         .scale_map = scale_map_,
                         .scale_offset = absmax};
  if (stream_.dry()) return weight;
  const ConstTensor pattern(bytes_.data(), {kPattern}, DType::u8);
  fill(codes, pattern);
  fill(scale_codes, pattern);
  const std::vector<float> scales(std::size_t(scale_scales.elements()), absmax / 4);
  stream_.copy(scale_scales, ConstTensor(scales.data(), scale_scales.shape(), DType::f32));
  stream_.synchronize();
  return weight;
}

FrozenWeight RandomWeights::dense(Slot, std::int64_t, Shape shape) {
  const Tensor matrix = keep(shape, dense_dtype_);
  if (!stream_.dry()) fill(matrix, ConstTensor(matrix_.data(), {kPattern}, dense_dtype_));
  return DenseWeight{matrix};
}

void RandomWeights::read_into(Tensor out, Slot, std::int64_t) {
  if (stream_.dry()) return;
  const Buffer narrow(stream_, out.shape(), dense_dtype_);
  fill(narrow.tensor(), ConstTensor(matrix_.data(), {kPattern}, dense_dtype_));
  ops::convert(stream_, out, narrow.tensor());
  stream_.synchronize();
}

ConstTensor RandomWeights::vector(Slot, std::int64_t, std::string_view part, std::int64_t length) {
  const Tensor out = keep({length}, DType::f32);
  if (stream_.dry()) return out;
  const std::vector<float> values(std::size_t(length), part == "bias" ? 0.0f : 1.0f);
  stream_.copy(out, ConstTensor(values.data(), {length}, DType::f32));
  stream_.synchronize();
  return out;
}

}  // namespace elenchus
