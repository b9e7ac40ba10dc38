#pragma once
// Attention by cuDNN's graphs, where the library is there and takes the case.

#include <memory>
#include <string>

#include "ops/attention/attention.h"
#include "tensor/cuda_stream.cuh"

namespace elenchus::ops::cuda {

/// cuDNN's fused attention (cuDNN 9, "Scaled dot product attention"), loaded when it is first asked
/// for. It takes f16 and bf16 in heads whose size is a multiple of 8, up to 256, with soft cap, and
/// windows where there is no cap; deterministic in both directions. Plans are kept by rounded
/// shapes, so that batches of many lengths share a few.
///
/// forward() and backward() return false, and have done nothing, where the library is not there or
/// does not take the case: own kernels serve then. The answer depends on the shapes and the library
/// alone, never on how much memory there is. On a dry stream they take the scratch of any batch of
/// so many rows, and run nothing.
class CudnnAttention final : public Resident {
 public:
  explicit CudnnAttention(Device device);
  ~CudnnAttention() override;

  struct Forward {
    Tensor out, log_sum_exp;  ///< log_sum_exp may be empty
    ConstTensor qkv;
  };
  bool forward(Stream&, Arena& scratch, const Forward&, const Sequences&, const AttentionShape&);

  struct Backward {
    Tensor dqkv;
    ConstTensor dout, out, log_sum_exp, qkv;
  };
  bool backward(Stream&, Arena& scratch, const Backward&, const Sequences&, const AttentionShape&);

  /// "cuDNN 9.19.0", or empty with `why_not` set.
  std::string version() const;
  const std::string& why_not() const { return why_not_; }

 private:
  struct Library;
  struct Call {
    ConstTensor qkv;
    bool backward, saves_stats;
  };
  /// run(queue, plan, its scratch, its pointers so far) where the library takes the call.
  template <class Run>
  bool serve(Stream&, Arena& scratch, const Call&, const Sequences&, const AttentionShape&, Run&&);
  std::unique_ptr<Library> library_;  // null where there is none that serves
  std::string why_not_;
};

}  // namespace elenchus::ops::cuda
