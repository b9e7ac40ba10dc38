#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// sum_i x[i]^2 in f64, in a fixed tree order. Waits for the stream. x f32 [n].  NaN and infinity
/// come through.
double sum_of_squares(Stream&, ConstTensor x);

namespace cuda {  // in grad_norm.cu; the same signatures by construction
decltype(ops::sum_of_squares) sum_of_squares;
}  // namespace cuda

}  // namespace elenchus::ops
