#pragma once
// AdamW whose moments are kept in 8 bits. Dettmers et al. 2021, arXiv:2110.02861.

#include "ops/adamw/adamw.h"

namespace elenchus::ops {

/// Elements that share an absmax.
inline constexpr std::int64_t kMomentBlock = 256;
inline std::int64_t moment_blocks(std::int64_t elements) {
  return (elements + kMomentBlock - 1) / kMomentBlock;
}

/// Both moments of n elements: a code an element, an absmax a block.
///   m = dynamic_map()[m_codes] m_absmax    v = unsigned_dynamic_map()[v_codes] v_absmax
struct Moments8 {
  Tensor m_codes, v_codes;    ///< u8 [n]; before the first step any codes, with absmax zero
  Tensor m_absmax, v_absmax;  ///< f32 [moment_blocks(n)]
};

/// The update of adamw_step on the moments' values; then both are quantised again: divided by the
/// new absmax of their block and taken to the nearest code (between f32 midpoints, the lower one on
/// them). weight f32 [n] in place; gradient f32 [n].
void adamw_8bit_step(Stream&, Tensor weight, const Moments8& moments, ConstTensor gradient,
                     const AdamWStep& step);

namespace cuda {  // in adamw_8bit.cu; the same signatures by construction
decltype(ops::adamw_8bit_step) adamw_8bit_step;
}  // namespace cuda

}  // namespace elenchus::ops
