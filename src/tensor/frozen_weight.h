#pragma once
// Weights that are never trained, in the formats they are kept in.

#include <variant>

#include "tensor/tensor.h"

namespace elenchus {

/// [out, in] in f32, f16 or bf16; expanded to f32 on the way into a CPU product.
struct DenseWeight {
  ConstTensor matrix;
};

/// [out, in] in NF4 with double-quantised block scales (QLoRA, arXiv:2305.14314, sec. 3). The
/// matrix is taken as one row-major run of out*in elements; blocks of 64 may straddle rows. The
/// last block of each level may be partial.
///   w[i] = kNf4Values[code[i]] * (scale_map[scale_code[i/64]] * scale_scale[i/64/256] +
///   scale_offset)
/// with one rounding to f32 after each of *, + and the outer *.
struct Nf4Weight {
  Shape shape;  ///< [out, in]
  ConstTensor
      codes;  ///< u8  [ceil(out*in / 2)]      two codes a byte, the first in the high nibble
  ConstTensor scale_codes;   ///< u8  [ceil(out*in / 64)]     one quantised absmax per 64 weights
  ConstTensor scale_scales;  ///< f32 [ceil(blocks / 256)]    absmax of 256 centred scales
  ConstTensor scale_map;     ///< f32 [256]                   the signed dynamic 8-bit map
  float scale_offset = 0;    ///< mean absmax, taken off before the second quantisation
  ConstTensor
      absmax{};  ///< f32 [blocks]: the scales themselves where they are not quantised again;
                 ///< the four above are then empty
};

using FrozenWeight = std::variant<DenseWeight, Nf4Weight>;

inline Shape shape_of(const FrozenWeight& weight) {
  return std::visit(
      []<class W>(const W& w) {
        if constexpr (requires { w.matrix; })
          return w.matrix.shape();
        else
          return w.shape;
      },
      weight);
}

}  // namespace elenchus
