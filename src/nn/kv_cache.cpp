#include "nn/kv_cache.h"

#include <algorithm>

namespace elenchus {

KvCache::KvCache(Stream& stream, const Shape4& shape, DType dtype)
    : stream_(stream),
      shape_(shape),
      lengths_(stream, {shape.slots}, DType::i32),
      host_lengths_(std::size_t(shape.slots), 0) {
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const Shape extents{shape.slots, shape.capacity, shape.kv_heads, shape.head_dim};
    keys_.emplace_back(stream, extents, dtype);
    values_.emplace_back(stream, extents, dtype);
  }
  clear();
}

void KvCache::advance(std::span<const std::int32_t> counts) {
  expect(counts.size() <= host_lengths_.size(), "kv_cache: more sequences than slots");
  for (std::size_t s = 0; s < counts.size(); ++s) host_lengths_[s] += counts[s];
  stream_.copy(lengths_.tensor(), ConstTensor(host_lengths_.data(), {shape_.slots}, DType::i32));
  stream_.synchronize();
}

void KvCache::clear() {
  std::fill(host_lengths_.begin(), host_lengths_.end(), 0);
  stream_.zero(lengths_.tensor());
}

}  // namespace elenchus
