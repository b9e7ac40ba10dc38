#pragma once
// Attention on tensor cores: a block takes a tile of queries of one head through the keys they see,
// tile by tile (FlashAttention-2, arXiv:2307.08691, algorithm 1).

#include "ops/attention/tiles.cuh"

namespace elenchus::ops::cuda {

template <class T>
struct FlashForward {
  T* out;
  float* log_sum_exp;  // or null
  const T* qkv;
  const std::int32_t* starts;
  HeadShape shape;
};

template <int D>
inline constexpr int kForwardStrips = D <= 128 ? 2 : 1;
template <int D>
inline constexpr int kForwardKeys = D <= 128 ? 64 : 32;
template <int D>
inline constexpr int kForwardBytes = 2 * (tile_elements<D>(tile_rows(kForwardStrips<D>)) +
                                          4 * tile_elements<D>(kForwardKeys<D>));

/// The running maximum (in units of log 2) and sum of a lane's two rows of a strip.
struct RunningSoftmax {
  float maximum[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0, 0};

  /// Turns scores into weights relative to the new maximum, and shrinks earlier sums to it.
  template <int kBlocks, int kColumns>
  __device__ void include(float (&scores)[kBlocks][4], float (&sums)[kColumns][4]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = maximum[half];
#pragma unroll
      for (int n = 0; n < kBlocks; ++n)
        largest = fmaxf(largest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, 2));
      const float base = largest == -INFINITY ? 0.0f : largest;
      const float shrink = power_of_two(maximum[half] - base);
      maximum[half] = largest;
      float total = 0;
#pragma unroll
      for (int n = 0; n < kBlocks; ++n)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[n][i] = power_of_two(scores[n][i] - base);
          total += scores[n][i];
        }
      sum[half] = fmaf(sum[half], shrink, total);
#pragma unroll
      for (int d = 0; d < kColumns; ++d) {
        sums[d][2 * half] *= shrink;
        sums[d][2 * half + 1] *= shrink;
      }
    }
  }
  /// Adds up the four lanes of a row.
  __device__ void finish() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      sum[half] += __shfl_xor_sync(0xFFFFFFFFu, sum[half], 1);
      sum[half] += __shfl_xor_sync(0xFFFFFFFFu, sum[half], 2);
    }
  }
};

/// Products of a strip become scores; those that do not count become -infinity.
template <bool kCaps, bool kMasks, int kBlocks>
__device__ void score_strip(float (&c)[kBlocks][4], int query, int key, const HeadShape& shape) {
  const int column = int(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float score = score_of<kCaps>(c[n][i], shape).value;
      const bool counts = !kMasks || shape.sees(query + i / 2 * 8, key + n * 8 + column + i % 2);
      c[n][i] = counts ? score : -INFINITY;
    }
}

template <int D, bool kCaps, class T>
__global__ void __launch_bounds__(kTileThreads, 2) flash_forward(FlashForward<T> a) {
  constexpr int kStrips = kForwardStrips<D>, kRows = tile_rows(kStrips);
  constexpr int kKeys = kForwardKeys<D>, kTile = tile_elements<D>(kKeys);
  extern __shared__ __align__(16) std::byte memory[];
  T* const queries = reinterpret_cast<T*>(memory);
  T* const keys = queries + tile_elements<D>(kRows);
  T* const values = keys + 2 * kTile;
  const HeadShape& shape = a.shape;
  // Late tiles see the most keys: they start first.
  const RowTile tile = find_tile(a.starts, gridDim.x - 1 - blockIdx.x, kRows);
  const int head = int(blockIdx.y), kv_head = head / (shape.heads / shape.kv_heads);
  const std::int64_t stride = shape.row();
  const std::int64_t rows = min(std::int64_t{kRows}, tile.length - tile.first);
  const T* const base = a.qkv + tile.start * stride;
  const std::int64_t end = tile.first + rows;
  const std::int64_t begin =
      shape.window == 0 ? 0 : max(std::int64_t{0}, tile.first - shape.window + 1) / kKeys * kKeys;
  const auto copy_keys = [&](std::int64_t key, int slot) {
    const T* const from = base + key * stride;
    copy_tile<kKeys, D>(keys + slot * kTile, from + shape.key_column(kv_head), stride,
                        tile.length - key);
    copy_tile<kKeys, D>(values + slot * kTile, from + shape.value_column(kv_head), stride,
                        tile.length - key);
    end_copy_group();
  };
  copy_tile<kRows, D>(queries, base + tile.first * stride + std::int64_t(head) * D, stride, rows);
  copy_keys(begin, 0);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int warp_row = warp * kStrips * kStripRows;
  OwnStrips<T, D, kStrips, (D <= 64)> own;
  float sums[kStrips][D / 8][4] = {};
  RunningSoftmax softmax[kStrips];
  int slot = 0;
  for (std::int64_t key = begin; key < end; key += kKeys, slot ^= 1) {
    if (key + kKeys < end) {
      copy_keys(key + kKeys, slot ^ 1);
      await_copy_groups<1>();
    } else {
      await_copy_groups<0>();
    }
    __syncthreads();
    if (key == begin) own.bind(queries);
    float scores[kStrips][kKeys / 8][4];
    multiply_rows<kKeys>(scores, own, keys + slot * kTile);
    const bool masks =
        key + kKeys - 1 > tile.first || (shape.window != 0 && end - 1 - key >= shape.window);
#pragma unroll
    for (int s = 0; s < kStrips; ++s) {
      const int query = int(tile.first) + warp_row + s * kStripRows + lane / 4;
      if (masks)
        score_strip<kCaps, true>(scores[s], query, int(key), shape);
      else
        score_strip<kCaps, false>(scores[s], query, int(key), shape);
      softmax[s].include(scores[s], sums[s]);
    }
    add_weighted<D, kKeys>(sums, scores, values + slot * kTile);
    __syncthreads();  // before the next copies overwrite this slot's neighbour
  }
#pragma unroll
  for (int s = 0; s < kStrips; ++s) {
    softmax[s].finish();
    const int first = warp_row + s * kStripRows;
    const std::int64_t row = tile.start + tile.first + first;
    write_rows<D>(a.out + (row * shape.heads + head) * D, std::int64_t(shape.heads) * D, sums[s],
                  rows - first, 1 / softmax[s].sum[0], 1 / softmax[s].sum[1]);
    if (!a.log_sum_exp || lane % 4 != 0) continue;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int own_row = lane / 4 + half * 8;
      if (first + own_row < rows)
        a.log_sum_exp[(row + own_row) * shape.heads + head] =
            softmax[s].maximum[half] / kLog2OfE + logf(softmax[s].sum[half]);
    }
  }
}

}  // namespace elenchus::ops::cuda
