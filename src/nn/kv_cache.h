#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/stream.h"

namespace elenchus {

/// Keys and values of the rows that S sequences have seen so far, for each layer.
class KvCache {
 public:
  struct Shape4 {
    std::int64_t layers = 0, slots = 0, capacity = 0, kv_heads = 0, head_dim = 0;
  };
  KvCache(Stream& stream, const Shape4& shape, DType dtype);
  Tensor keys(std::int64_t layer) const {
    return keys_[std::size_t(layer)].tensor();
  }  ///< [slots, capacity, K, D]
  Tensor values(std::int64_t layer) const {
    return values_[std::size_t(layer)].tensor();
  }  ///< [slots, capacity, K, D]
  std::int64_t capacity() const { return shape_.capacity; }
  std::int64_t slots() const { return shape_.slots; }
  /// Rows each slot holds, i32 [slots], on the device and on the host.
  ConstTensor lengths() const { return lengths_.tensor(); }
  std::span<const std::int32_t> host_lengths() const { return host_lengths_; }
  /// After a forward over all layers: slot s grew by counts[s] rows.
  void advance(std::span<const std::int32_t> counts);
  /// Every slot is empty again.
  void clear();

 private:
  Stream& stream_;
  Shape4 shape_;
  std::vector<Buffer> keys_, values_;
  Buffer lengths_;
  std::vector<std::int32_t> host_lengths_;
};

}  // namespace elenchus
