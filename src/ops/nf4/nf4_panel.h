#pragma once
// NF4 weights on their way into CPU products: f32 panels and runs of values.

#include "ops/matmul/gemm.h"
#include "tensor/frozen_weight.h"

namespace elenchus::ops {

/// Packs B = W^T (forward: K = in, N = out).
PackPanels nf4_transposed_panels(const Nf4Weight& weight);
/// Packs B = W (backward: K = out, N = in).
PackPanels nf4_panels(const Nf4Weight& weight);

/// `count` weights from row-major element `first` on, as f32.
void dequantize_run(const Nf4Weight& weight, std::int64_t first, std::int64_t count, float* out);

/// Quantises whole or partial blocks: `count` weights starting at a block's start. Writes one
/// absmax a block and two codes a byte. `first` code goes into the high nibble of codes[0].
void quantize_run(const float* weights, std::int64_t count, float* absmax, std::uint8_t* codes);

}  // namespace elenchus::ops
