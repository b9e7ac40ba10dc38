#include "ops/attention/attention.h"

#include "ops/attention/attend_rows.cuh"
#include "ops/attention/cudnn_attention.cuh"
#include "ops/attention/flash_backward.cuh"
#include "ops/attention/flash_forward.cuh"

namespace elenchus::ops::cuda {
namespace {

/// What f.operator()<D>() says where the tensor-core kernels take heads of that size, else false.
template <class F>
bool with_head_dim(std::int64_t head_dim, F&& f) {
  switch (head_dim) {
    case 64:
      return f.template operator()<64>();
    case 96:
      return f.template operator()<96>();
    case 128:
      return f.template operator()<128>();
    case 256:
      return f.template operator()<256>();
    default:
      return false;
  }
}
template <class F>
void with_cap(float soft_cap, F&& f) {
  if (soft_cap != 0)
    f.template operator()<true>();
  else
    f.template operator()<false>();
}
/// Calls f.operator()<kPerLane>() with room for a head of that size over a warp.
template <class F>
void with_lane_elements(std::int64_t head_dim, F&& f) {
  if (head_dim <= 64)
    f.template operator()<2>();
  else if (head_dim <= 128)
    f.template operator()<4>();
  else if (head_dim <= 256)
    f.template operator()<8>();
  else
    f.template operator()<16>();
}

bool at_16_bytes(ConstTensor t) { return reinterpret_cast<std::uintptr_t>(t.data()) % 16 == 0; }

template <class Kernel, class Arguments>
void launch(CudaStream& device, Kernel* kernel, dim3 grid, int threads, int shared_bytes,
            const Arguments& arguments) {
  if (shared_bytes > 48 * 1024)
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes),
        "asking for shared memory");
  kernel<<<grid, threads, std::size_t(shared_bytes), device.queue()>>>(arguments);
  check_launch("attention");
}

/// Whether a kernel of the tensor cores with that much shared memory runs on the device.
template <class T>
bool has_tensor_cores_for(const CudaStream& device, int shared_bytes) {
  constexpr int kTuring = 75, kAmpere = 80;
  return device.capability() >= (std::is_same_v<T, __half> ? kTuring : kAmpere) &&
         shared_bytes <= device.block_shared_bytes();
}

template <class T>
bool forward_on_tensor_cores(CudaStream& device, const FlashForward<T>& a,
                             std::span<const std::int32_t> starts) {
  return with_head_dim(a.shape.head_dim, [&]<int D>() {
    if (!has_tensor_cores_for<T>(device, kForwardBytes<D>)) return false;
    const dim3 grid(unsigned(count_tiles(starts, tile_rows(kForwardStrips<D>))),
                    unsigned(a.shape.heads));
    with_cap(a.shape.soft_cap, [&]<bool kCaps>() {
      launch(device, flash_forward<D, kCaps, T>, grid, kTileThreads, kForwardBytes<D>, a);
    });
    return true;
  });
}

template <class T>
bool backward_on_tensor_cores(CudaStream& device, const FlashBackward<T>& a,
                              std::span<const std::int32_t> starts) {
  const unsigned tiles = unsigned(count_tiles(starts, kOwnRows));
  const dim3 by_key(tiles, unsigned(a.shape.kv_heads)), by_query(tiles, unsigned(a.shape.heads));
  return with_head_dim(a.shape.head_dim, [&]<int D>() {
    constexpr int kBytes = kDkeysBytes<D>;
    if (!has_tensor_cores_for<T>(device, std::max(kBytes, kDqueriesBytes<D>))) return false;
    with_cap(a.shape.soft_cap, [&]<bool kCaps>() {
      if constexpr (D <= 128) {
        launch(device, flash_dkeys<D, kCaps, Adds::both, T>, by_key, kTileThreads, kBytes, a);
      } else {
        launch(device, flash_dkeys<D, kCaps, Adds::keys, T>, by_key, kTileThreads, kBytes, a);
        launch(device, flash_dkeys<D, kCaps, Adds::values, T>, by_key, kTileThreads, kBytes, a);
      }
      launch(device, flash_dqueries<D, kCaps, T>, by_query, kTileThreads, kDqueriesBytes<D>, a);
    });
    return true;
  });
}

template <class T>
RowAttention<T> row_attention(Tensor out, ConstTensor qkv, const Sequences& sequences,
                              const AttentionShape& shape) {
  return {data_as<T>(out),
          nullptr,
          data_as<T>(qkv),
          nullptr,
          nullptr,
          sequences.starts.as<std::int32_t>(),
          nullptr,
          int(sequences.count()),
          0,
          0,
          HeadShape(shape)};
}

template <class T>
void forward_by_rows(CudaStream& device, const RowAttention<T>& a, std::int64_t rows) {
  const dim3 grid(unsigned(rows), unsigned(a.shape.heads));
  with_lane_elements(a.shape.head_dim, [&]<int kPerLane>() {
    launch(device, attend_row<kPerLane, T>, grid, kRowWarps * kWarp, 0, a);
  });
}

}  // namespace

void attention_forward(Stream& stream, Arena& scratch, Tensor out, Tensor log_sum_exp,
                       ConstTensor qkv, const Sequences& sequences, const AttentionShape& shape) {
  if (qkv.elements() == 0) return;
  if (resident<CudnnAttention>(stream).forward(stream, scratch, {out, log_sum_exp, qkv}, sequences,
                                               shape) ||
      stream.dry())
    return;
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::attention);
  visit_native(qkv.dtype(), [&]<class T>() {
    if constexpr (!std::is_same_v<T, float>) {
      const FlashForward<T> flash{data_as<T>(out), data_as<float>(log_sum_exp), data_as<T>(qkv),
                                  sequences.starts.as<std::int32_t>(), HeadShape(shape)};
      if (at_16_bytes(qkv) && at_16_bytes(out) &&
          forward_on_tensor_cores(device, flash, sequences.host_starts))
        return;
    }
    RowAttention<T> rows = row_attention<T>(out, qkv, sequences, shape);
    rows.log_sum_exp = data_as<float>(log_sum_exp);
    forward_by_rows(device, rows, qkv.dim(0));
  });
}

void attention_backward(Stream& stream, Arena& scratch, Tensor dqkv, ConstTensor dout,
                        ConstTensor out, ConstTensor log_sum_exp, ConstTensor qkv,
                        const Sequences& sequences, const AttentionShape& shape) {
  if (qkv.elements() == 0) return;
  const Arena::Scope scope(scratch);
  const AttentionBackwardScratch temporary(stream, scratch, qkv.dim(0), shape);
  if (resident<CudnnAttention>(stream).backward(
          stream, scratch, {dqkv, dout, out, log_sum_exp, qkv}, sequences, shape) ||
      stream.dry())
    return;
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::attention);
  float* const delta = temporary.delta.as<float>();
  const std::int32_t* const starts = sequences.starts.as<std::int32_t>();
  const std::int64_t count = qkv.dim(0) * shape.heads;
  visit_native(qkv.dtype(), [&]<class T>() {
    delta_kernel<<<blocks_for(count * kWarp), kBlockThreads, 0, device.queue()>>>(
        delta, data_as<T>(dout), data_as<T>(out), int(shape.head_dim), count);
    check_launch("attention");
    if constexpr (!std::is_same_v<T, float>) {
      const FlashBackward<T> flash{
          data_as<T>(dqkv), data_as<T>(dout), data_as<T>(qkv), log_sum_exp.as<float>(), delta,
          starts,           HeadShape(shape)};
      if (at_16_bytes(qkv) && at_16_bytes(dout) && at_16_bytes(dqkv) &&
          backward_on_tensor_cores(device, flash, sequences.host_starts))
        return;
    }
    const RowGradient<T> rows{
        data_as<T>(dqkv), data_as<T>(dout),       data_as<T>(qkv), log_sum_exp.as<float>(), delta,
        starts,           int(sequences.count()), HeadShape(shape)};
    const dim3 by_query(unsigned(qkv.dim(0)), unsigned(shape.heads)),
        by_key(unsigned(qkv.dim(0)), unsigned(shape.kv_heads));
    with_lane_elements(shape.head_dim, [&]<int kPerLane>() {
      launch(device, dquery_row<kPerLane, T>, by_query, kWarp, 0, rows);
      launch(device, dkey_row<kPerLane, T>, by_key, kWarp, 0, rows);
    });
  });
}

void attention_cached(Stream& stream, Arena&, Tensor out, ConstTensor qkv, Tensor keys,
                      Tensor values, const Sequences& sequences, ConstTensor lengths,
                      std::span<const std::int32_t>, const AttentionShape& shape) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::attention);
  if (qkv.elements() == 0) return;
  const std::int64_t width = shape.kv_heads * shape.head_dim;
  visit_native(qkv.dtype(), [&]<class T>() {
    RowAttention<T> rows = row_attention<T>(out, qkv, sequences, shape);
    rows.keys = data_as<T>(keys);
    rows.values = data_as<T>(values);
    rows.lengths = lengths.as<std::int32_t>();
    rows.slot_stride = keys.dim(1) * width;
    rows.key_stride = width;
    const std::int64_t elements = qkv.dim(0) * width;
    append_kernel<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(
        data_as<T>(keys), data_as<T>(values), rows, elements);
    check_launch("attention");
    forward_by_rows(device, rows, qkv.dim(0));
  });
}

}  // namespace elenchus::ops::cuda
