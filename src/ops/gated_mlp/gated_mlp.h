#pragma once

#include "tensor/stream.h"

namespace elenchus::ops {

/// The gate's activation: x sigmoid(x), or 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
enum class Activation { silu, gelu_tanh };

/// y[n,f] = act(gate[n,f]) * up[n,f]      (Shazeer 2020, arXiv:2002.05202)
///   gate_up [N, 2F] f32|f16|bf16: gate, then up     y [N, F]
void gated_mlp_forward(Stream&, Tensor y, ConstTensor gate_up, Activation activation);
/// dgate_up from dy; overwrites. dgate_up may alias gate_up. If `y` is given it is written too
/// (recomputed for the caller).
void gated_mlp_backward(Stream&, Tensor dgate_up, Tensor y, ConstTensor dy, ConstTensor gate_up,
                        Activation activation);

namespace cuda {  // in gated_mlp.cu; the same signatures by construction
decltype(ops::gated_mlp_forward) gated_mlp_forward;
decltype(ops::gated_mlp_backward) gated_mlp_backward;
}  // namespace cuda

}  // namespace elenchus::ops
