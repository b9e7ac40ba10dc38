#pragma once
// Causal self-attention over packed sequences, grouped queries, never holding an S x S matrix.

#include "tensor/arena.h"
#include "tensor/sequences.h"

namespace elenchus::ops {

/// The shape of one attention layer.
struct AttentionShape {
  std::int64_t heads = 0;  ///< H query heads
  std::int64_t kv_heads =
      0;  ///< K key and value heads; H % K == 0, query head h uses kv head h / (H/K)
  std::int64_t head_dim = 0;  ///< D
  float scale = 1;            ///< of the scores
  float soft_cap = 0;         ///< scores become cap * tanh(score / cap); 0: none
  std::int64_t window = 0;    ///< a query sees this many keys, its own counted; 0: all before it
  std::int64_t row() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// out_h = softmax(mask(cap(scale q_h k^T))) v     (FlashAttention, arXiv:2205.14135: blocks,
/// running maximum and sum, f32)
///   qkv [N, (H+2K) D] f32|f16|bf16: q heads, k heads, v heads     out [N, H D]     log_sum_exp f32
///   [N, H], may be empty
void attention_forward(Stream&, Arena& scratch, Tensor out, Tensor log_sum_exp, ConstTensor qkv,
                       const Sequences& sequences, const AttentionShape& shape);

/// dqkv from dout, recomputing the probabilities from log_sum_exp. Overwrites dqkv. Fixed order of
/// additions.
void attention_backward(Stream&, Arena& scratch, Tensor dqkv, ConstTensor dout, ConstTensor out,
                        ConstTensor log_sum_exp, ConstTensor qkv, const Sequences& sequences,
                        const AttentionShape& shape);

/// Attention of new rows over what a cache holds. First appends the new rows' keys and values to
/// the cache, then attends: row i of sequence s (its j-th new row) sees keys 0 .. lengths[s] + j of
/// slot s.
///   qkv [N, (H+2K) D] the new rows     keys, values [slots, capacity, K, D] of qkv's dtype, S <=
///   slots, written lengths: rows each sequence had before, i32 [S] on the device, and the same on
///   the host
/// InternalError: a sequence would pass the cache's capacity.
void attention_cached(Stream&, Arena& scratch, Tensor out, ConstTensor qkv, Tensor keys,
                      Tensor values, const Sequences& sequences, ConstTensor lengths,
                      std::span<const std::int32_t> host_lengths, const AttentionShape& shape);

/// What attention_backward takes from its scratch arena, on a dry stream too: the shares of each
/// query head in dkeys and dvalues on the CPU, rowsum(dout * out) on CUDA.
struct AttentionBackwardScratch {
  AttentionBackwardScratch(const Stream& stream, Arena& scratch, std::int64_t rows,
                           const AttentionShape& shape);
  Tensor head_shares;  ///< f32 [N, 2 H padded(D)], empty on CUDA
  Tensor delta;        ///< f32 [N, H], empty on the CPU
};

namespace cuda {  // in attention.cu; the same signatures by construction
decltype(ops::attention_forward) attention_forward;
decltype(ops::attention_backward) attention_backward;
decltype(ops::attention_cached) attention_cached;
}  // namespace cuda

}  // namespace elenchus::ops
