#pragma once
// Attention row by row, for what the tensor-core kernels do not take: f32, other head sizes, and
// few rows over a cache.

#include "ops/attention/tiles.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"

namespace elenchus::ops::cuda {

/// A head's elements over a warp: lane l holds elements l, l + 32, ...
template <int kPerLane>
using LaneFloats = Floats<kPerLane>;

template <int kPerLane, class T>
__device__ LaneFloats<kPerLane> load_head(const T* head, int head_dim) {
  LaneFloats<kPerLane> out;
#pragma unroll
  for (int e = 0; e < kPerLane; ++e) {
    const int d = int(threadIdx.x) % kWarp + e * kWarp;
    out[e] = d < head_dim ? to_float(head[d]) : 0.0f;
  }
  return out;
}
template <int kPerLane, class T>
__device__ void store_head(T* head, const LaneFloats<kPerLane>& values, float scale, int head_dim) {
#pragma unroll
  for (int e = 0; e < kPerLane; ++e) {
    const int d = int(threadIdx.x) % kWarp + e * kWarp;
    if (d < head_dim) head[d] = from_float<T>(values[e] * scale);
  }
}
template <int kPerLane>
__device__ float dot(const LaneFloats<kPerLane>& a, const LaneFloats<kPerLane>& b) {
  float sum = 0;
#pragma unroll
  for (int e = 0; e < kPerLane; ++e) sum = fmaf(a[e], b[e], sum);
  return warp_sum(sum);
}
template <int kPerLane>
__device__ void add_scaled(LaneFloats<kPerLane>& sum, float weight,
                           const LaneFloats<kPerLane>& values) {
#pragma unroll
  for (int e = 0; e < kPerLane; ++e) sum[e] = fmaf(weight, values[e], sum[e]);
}

/// A score in natural units, and its slope by the scaled product.
__device__ inline Score exact_score(float product, const HeadShape& shape) {
  const float scaled = product * shape.scale;
  if (shape.soft_cap == 0) return {scaled, 1.0f};
  const float t = tanhf(scaled / shape.soft_cap);
  return {shape.soft_cap * t, fmaf(-t, t, 1.0f)};
}

/// The sequence that a row of the batch belongs to.
__device__ inline int sequence_of(const std::int32_t* starts, int count, std::int64_t row) {
  int low = 0, high = count;  // starts[low] <= row < starts[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (starts[middle] <= row ? low : high) = middle;
  }
  return low;
}

/// Where the rows' keys lie: in qkv itself, or in a cache.
template <class T>
struct RowAttention {
  T* out;
  float* log_sum_exp;  // or null
  const T* qkv;
  const T *keys, *values;  // of position 0, kv head 0; null: those of qkv
  const std::int32_t* starts;
  const std::int32_t* lengths;  // cached rows of each sequence, with `keys` only
  int sequences;
  std::int64_t slot_stride, key_stride;  // elements between sequences and positions of the cache
  HeadShape shape;
};

inline constexpr int kRowWarps = 8;

/// What one warp found over its share of the keys.
template <int kPerLane>
struct PartialRow {
  float maximum = -INFINITY, sum = 0;
  LaneFloats<kPerLane> values{};

  __device__ void include(float score, const LaneFloats<kPerLane>& value) {
    if (score > maximum) {
      const float shrink = expf(maximum - score);
      sum *= shrink;
#pragma unroll
      for (int e = 0; e < kPerLane; ++e) values[e] *= shrink;
      maximum = score;
    }
    const float weight = expf(score - maximum);
    sum += weight;
    add_scaled(values, weight, value);
  }
};

/// A block a row and head; warp w takes keys w, w + kRowWarps, ... and the shares are added in the
/// order of the warps.
template <int kPerLane, class T>
__global__ void __launch_bounds__(kRowWarps* kWarp) attend_row(RowAttention<T> a) {
  __shared__ float maxima[kRowWarps], sums[kRowWarps];
  __shared__ float shares[kRowWarps][kPerLane * kWarp];
  const HeadShape& shape = a.shape;
  const int D = shape.head_dim, head = int(blockIdx.y);
  const int kv_head = head / (shape.heads / shape.kv_heads);
  const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
  const std::int64_t row = blockIdx.x;
  const int s = sequence_of(a.starts, a.sequences, row);
  const std::int64_t position = row - a.starts[s] + (a.keys ? a.lengths[s] : 0);
  const std::int64_t stride = a.keys ? a.key_stride : shape.row();
  const T* const own = a.qkv + a.starts[s] * shape.row();
  const T* const keys = a.keys ? a.keys + s * a.slot_stride + std::int64_t(kv_head) * D
                               : own + shape.key_column(kv_head);
  const T* const values = a.keys ? a.values + s * a.slot_stride + std::int64_t(kv_head) * D
                                 : own + shape.value_column(kv_head);
  const auto query = load_head<kPerLane>(a.qkv + row * shape.row() + std::int64_t(head) * D, D);
  const std::int64_t first =
      shape.window == 0 ? 0 : max(std::int64_t{0}, position - shape.window + 1);
  PartialRow<kPerLane> part;
  for (std::int64_t j = first + warp; j <= position; j += kRowWarps) {
    const auto key = load_head<kPerLane>(keys + j * stride, D);
    const auto value = load_head<kPerLane>(values + j * stride, D);
    part.include(exact_score(dot(query, key), shape).value, value);
  }
  if (lane == 0) {
    maxima[warp] = part.maximum;
    sums[warp] = part.sum;
  }
#pragma unroll
  for (int e = 0; e < kPerLane; ++e) shares[warp][lane + e * kWarp] = part.values[e];
  __syncthreads();
  if (warp != 0) return;
  float maximum = -INFINITY, sum = 0;
  for (const float each : maxima) maximum = fmaxf(maximum, each);
  LaneFloats<kPerLane> total{};
  for (int w = 0; w < kRowWarps; ++w) {
    const float weight = expf(maxima[w] - maximum);
    sum = fmaf(weight, sums[w], sum);
#pragma unroll
    for (int e = 0; e < kPerLane; ++e)
      total[e] = fmaf(weight, shares[w][lane + e * kWarp], total[e]);
  }
  store_head(a.out + (row * shape.heads + head) * D, total, 1 / sum, D);
  if (a.log_sum_exp && lane == 0) a.log_sum_exp[row * shape.heads + head] = maximum + logf(sum);
}

/// The tensors of a gradient, row by row.
template <class T>
struct RowGradient {
  T* dqkv;
  const T* dout;
  const T* qkv;
  const float* log_sum_exp;
  const float* delta;
  const std::int32_t* starts;
  int sequences;
  HeadShape shape;
};

/// A warp a row and head: dqueries.
template <int kPerLane, class T>
__global__ void __launch_bounds__(kWarp) dquery_row(RowGradient<T> a) {
  const HeadShape& shape = a.shape;
  const int D = shape.head_dim, head = int(blockIdx.y);
  const int kv_head = head / (shape.heads / shape.kv_heads);
  const std::int64_t row = blockIdx.x, stride = shape.row();
  const std::int64_t start = a.starts[sequence_of(a.starts, a.sequences, row)];
  const std::int64_t at = row * shape.heads + head;
  const auto query = load_head<kPerLane>(a.qkv + row * stride + std::int64_t(head) * D, D);
  const auto dout = load_head<kPerLane>(a.dout + at * D, D);
  LaneFloats<kPerLane> sum{};
  const std::int64_t first = shape.window == 0 ? start : max(start, row - shape.window + 1);
  for (std::int64_t j = first; j <= row; ++j) {
    const auto key = load_head<kPerLane>(a.qkv + j * stride + shape.key_column(kv_head), D);
    const auto value = load_head<kPerLane>(a.qkv + j * stride + shape.value_column(kv_head), D);
    const Score score = exact_score(dot(query, key), shape);
    const float weight = expf(score.value - a.log_sum_exp[at]);
    add_scaled(sum, weight * (dot(dout, value) - a.delta[at]) * score.slope, key);
  }
  store_head(a.dqkv + row * stride + std::int64_t(head) * D, sum, shape.scale, D);
}

/// A warp a row and kv head: its dkey and dvalue, over the heads and queries that see it, in their
/// order.
template <int kPerLane, class T>
__global__ void __launch_bounds__(kWarp) dkey_row(RowGradient<T> a) {
  const HeadShape& shape = a.shape;
  const int D = shape.head_dim, kv_head = int(blockIdx.y), group = shape.heads / shape.kv_heads;
  const std::int64_t row = blockIdx.x, stride = shape.row();
  const std::int64_t end = a.starts[sequence_of(a.starts, a.sequences, row) + 1];
  const std::int64_t last = shape.window == 0 ? end : min(end, row + shape.window);
  const auto key = load_head<kPerLane>(a.qkv + row * stride + shape.key_column(kv_head), D);
  const auto value = load_head<kPerLane>(a.qkv + row * stride + shape.value_column(kv_head), D);
  LaneFloats<kPerLane> dkey{}, dvalue{};
  for (int head = kv_head * group; head < (kv_head + 1) * group; ++head)
    for (std::int64_t i = row; i < last; ++i) {
      const std::int64_t at = i * shape.heads + head;
      const auto query = load_head<kPerLane>(a.qkv + i * stride + std::int64_t(head) * D, D);
      const auto dout = load_head<kPerLane>(a.dout + at * D, D);
      const Score score = exact_score(dot(query, key), shape);
      const float weight = expf(score.value - a.log_sum_exp[at]);
      add_scaled(dvalue, weight, dout);
      add_scaled(dkey, weight * (dot(dout, value) - a.delta[at]) * score.slope, query);
    }
  store_head(a.dqkv + row * stride + shape.key_column(kv_head), dkey, shape.scale, D);
  store_head(a.dqkv + row * stride + shape.value_column(kv_head), dvalue, 1.0f, D);
}

/// delta[n, h] = rowsum(dout * out), a warp each.
template <class T>
__global__ void delta_kernel(float* delta, const T* dout, const T* out, int head_dim,
                             std::int64_t count) {
  const std::int64_t at = thread_index() / kWarp;
  if (at >= count) return;
  float sum = 0;
  for (int d = int(threadIdx.x) % kWarp; d < head_dim; d += kWarp)
    sum = fmaf(to_float(dout[at * head_dim + d]), to_float(out[at * head_dim + d]), sum);
  sum = warp_sum(sum);
  if (threadIdx.x % kWarp == 0) delta[at] = sum;
}

/// Appends the keys and values of new rows to the cache.
template <class T>
__global__ void append_kernel(T* keys, T* values, RowAttention<T> a, std::int64_t elements) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  const std::int64_t width = a.key_stride, row = i / width, column = i % width;
  const int s = sequence_of(a.starts, a.sequences, row);
  const std::int64_t position = row - a.starts[s] + a.lengths[s];
  const std::int64_t to = s * a.slot_stride + position * width + column;
  const T* const from = a.qkv + row * a.shape.row() + a.shape.key_column(0) + column;
  keys[to] = from[0];
  values[to] = from[width];
}

}  // namespace elenchus::ops::cuda
