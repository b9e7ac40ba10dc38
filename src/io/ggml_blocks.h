#pragma once
// The block formats of ggml, as numbers.

#include <cstddef>
#include <span>

#include "io/tensor_source.h"

namespace elenchus {

/// Whole blocks of a q format as f32. A block holds an f16 scale (and a minimum in the _1 and some
/// _k formats) for 32 or 256 elements; in the _k formats sub-blocks of 16 or 32 have scales of 4 to
/// 8 bits of their own. InternalError: not a q format, or the sizes do not fit together.
void dequantize_ggml(StoredType type, std::span<const std::byte> bytes, std::span<float> out);

}  // namespace elenchus
