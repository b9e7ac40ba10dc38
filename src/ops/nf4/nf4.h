#pragma once
// The 4-bit NormalFloat format, bit for bit as bitsandbytes' CPU back end (numerics.md, "NF4
// codes").

#include <array>
#include <cstdint>
#include <span>

#include "ops/blockwise8/dynamic_map.h"
#include "tensor/arena.h"
#include "tensor/frozen_weight.h"

namespace elenchus::ops {

inline constexpr std::int64_t kNf4Block = 64;
inline constexpr std::int64_t kNf4NestedBlock = 256;
/// The sixteen values (QLoRA, arXiv:2305.14314, appendix E).
extern const std::array<float, 16> kNf4Values;

/// Sizes of the parts of an [out, in] weight.
struct Nf4Sizes {
  std::int64_t code_bytes, scale_codes, scale_scales;
  explicit Nf4Sizes(std::int64_t elements);
};
/// InternalError unless the parts of a weight fit together.
void check_nf4(const Nf4Weight& weight);

/// Where quantize_nf4 writes. Tensors have the sizes of Nf4Sizes.
struct Nf4Storage {
  Tensor codes, scale_codes, scale_scales;
  Tensor absmax{};  ///< f32 [scale_codes] for block scales that are not quantised again, in place
                    ///< of the two before
};

/// The second quantisation of up to 256 block scales, centred by `offset`, into `codes`; returns
/// their absmax. Bit for bit bitsandbytes' CPU back end for its map and offset.
float quantize_scales(std::span<const float> scales, float offset, const SteppedSearch& search,
                      std::uint8_t* codes);

/// Quantises row-major weights, codes first, then their scales (offset = mean absmax, summed in
/// f64). Returns scale_offset, 0 where scales are not quantised. Blocks of zeros get code 7. InternalError: sizes disagree. Weights
/// are finite (the loader checks).
float quantize_nf4(Stream&, Nf4Storage out, ConstTensor weights /* f32, any shape */);

/// The weights again, f32 | f16 | bf16 [out, in], rounded once from the f32 product.
void dequantize_nf4(Stream&, Tensor out, const Nf4Weight& weight);

namespace cuda {
decltype(ops::quantize_nf4) quantize_nf4;
decltype(ops::dequantize_nf4) dequantize_nf4;
}  // namespace cuda

}  // namespace elenchus::ops
