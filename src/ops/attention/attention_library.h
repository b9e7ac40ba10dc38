#pragma once

#include <string>

#include "tensor/stream.h"

namespace elenchus::ops {

/// What computes attention in 16 bits on a stream of a CUDA device: "cuDNN 9.19.0 and own kernels",
/// or "own kernels (...)" with the reason. In cudnn_attention.cu.
std::string attention_library(Stream& stream);

}  // namespace elenchus::ops
