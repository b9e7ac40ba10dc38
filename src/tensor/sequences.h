#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace elenchus {

/// How the N rows (tokens) of a batch divide into S sequences packed end to end. Sequences never
/// see each other.
struct Sequences {
  ConstTensor starts;  ///< i32 [S+1] on the device: first row of each; the last is N
  std::span<const std::int32_t> host_starts;  ///< the same on the host
  std::int64_t count() const { return std::int64_t(host_starts.size()) - 1; }
  std::int64_t rows() const { return host_starts.empty() ? 0 : host_starts.back(); }
};

}  // namespace elenchus
