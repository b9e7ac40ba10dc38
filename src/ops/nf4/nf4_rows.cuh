#pragma once

#include "ops/nf4/nf4.h"
#include "tensor/cuda_stream.cuh"

namespace elenchus::ops::cuda {

/// The weights of `weight`, rounded once to `dtype`, rows `stride` elements apart.
void dequantize_rows(CudaStream& device, void* to, DType dtype, std::int64_t stride,
                     const Nf4Weight& weight);

}  // namespace elenchus::ops::cuda
