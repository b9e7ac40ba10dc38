#pragma once
// The gradient on tensor cores, in two passes without atomics: one block adds up all that a tile of
// keys and values gets, then one all that a tile of queries gets. Scores are computed in both.

#include "ops/attention/tiles.cuh"

namespace elenchus::ops::cuda {

template <class T>
struct FlashBackward {
  T* dqkv;
  const T* dout;
  const T* qkv;
  const float* log_sum_exp;  // [N, H]
  const float* delta;        // [N, H] rowsum(dout * out)
  const std::int32_t* starts;
  HeadShape shape;
};

/// Rows of a block's own tile: one strip a warp.
inline constexpr int kOwnRows = tile_rows(1);

/// Rows of the tiles that pass by: what registers and shared memory leave room for.
template <int D>
inline constexpr int kPassingQueries = D <= 128 ? 64 : 32;
template <int D>
inline constexpr int kPassingKeys = D <= 128 ? 64 : 16;
/// Two own tiles and two slots of two passing ones.
template <int D>
constexpr int backward_bytes(int passing) {
  return 2 * (2 * tile_elements<D>(kOwnRows) + 4 * tile_elements<D>(passing));
}
/// And two slots of two numbers a passing query.
template <int D>
inline constexpr int kDkeysBytes = backward_bytes<D>(kPassingQueries<D>) +
                                   4 * 4 * kPassingQueries<D>;
template <int D>
inline constexpr int kDqueriesBytes = backward_bytes<D>(kPassingKeys<D>);

/// Which of dkeys and dvalues a pass adds up; for large heads registers hold one at a time.
enum class Adds { both, keys, values };

/// Products of keys (rows) and queries (columns) become weights and, with dweights, the gradient of
/// the scores.
template <bool kCaps, bool kGradients, bool kMasks, int kBlocks>
__device__ void weigh_by_key(float (&weights)[kBlocks][4], float (&dweights)[kBlocks][4], int key,
                             int query, int length, const float* log_sums, const float* deltas,
                             const HeadShape& shape) {
  const int column = int(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int q = n * 8 + column + i % 2;
      const bool counts = !kMasks || (query + q < length && shape.sees(query + q, key + i / 2 * 8));
      const Score score = score_of<kCaps>(weights[n][i], shape);
      weights[n][i] = counts ? power_of_two(score.value - log_sums[q]) : 0.0f;
      if constexpr (kGradients)
        dweights[n][i] = weights[n][i] * (dweights[n][i] - deltas[q]) * score.slope;
    }
}

template <int D, bool kCaps, Adds kAdds, class T>
__global__ void __launch_bounds__(kTileThreads) flash_dkeys(FlashBackward<T> a) {
  constexpr int kRows = kPassingQueries<D>, kTile = tile_elements<D>(kRows);
  constexpr bool kKeys = kAdds != Adds::values, kValues = kAdds != Adds::keys;
  extern __shared__ __align__(16) std::byte memory[];
  T* const keys = reinterpret_cast<T*>(memory);
  T* const values = keys + tile_elements<D>(kOwnRows);
  T* const queries = values + tile_elements<D>(kOwnRows);
  T* const douts = queries + 2 * kTile;
  float* const log_sums = reinterpret_cast<float*>(douts + 2 * kTile);
  float* const deltas = log_sums + 2 * kRows;
  const HeadShape& shape = a.shape;
  // Early tiles are seen by the most queries: they come first.
  const RowTile tile = find_tile(a.starts, blockIdx.x, kOwnRows);
  const int kv_head = int(blockIdx.y), group = shape.heads / shape.kv_heads;
  const std::int64_t stride = shape.row(), out_stride = std::int64_t(shape.heads) * D;
  const std::int64_t rows = min(std::int64_t{kOwnRows}, tile.length - tile.first);
  const std::int64_t end =
      shape.window == 0 ? tile.length : min(tile.length, tile.first + rows - 1 + shape.window);
  const int passes = int((end - tile.first + kRows - 1) / kRows);  // a head
  const auto copy_queries = [&](int pass, int slot) {
    const std::int64_t head = kv_head * group + pass / passes;
    const std::int64_t query = tile.first + pass % passes * kRows, row = tile.start + query;
    copy_tile<kRows, D>(queries + slot * kTile, a.qkv + row * stride + head * D, stride,
                        tile.length - query);
    copy_tile<kRows, D>(douts + slot * kTile, a.dout + row * out_stride + head * D, out_stride,
                        tile.length - query);
    end_copy_group();
    for (int i = int(threadIdx.x); i < kRows; i += kTileThreads) {
      const bool present = query + i < tile.length;
      const std::int64_t at = (row + i) * shape.heads + head;
      log_sums[slot * kRows + i] = present ? a.log_sum_exp[at] * kLog2OfE : 0.0f;
      deltas[slot * kRows + i] = present ? a.delta[at] : 0.0f;
    }
  };
  const T* const own = a.qkv + (tile.start + tile.first) * stride;
  copy_tile<kOwnRows, D>(keys, own + shape.key_column(kv_head), stride, rows);
  copy_tile<kOwnRows, D>(values, own + shape.value_column(kv_head), stride, rows);
  copy_queries(0, 0);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int key = int(tile.first) + warp * 16 + lane / 4;
  OwnStrips<T, D, 1, (D <= 64)> own_keys, own_values;
  float dkeys[1][kKeys ? D / 8 : 1][4] = {}, dvalues[1][kValues ? D / 8 : 1][4] = {};
  const int all = passes * group;
  int slot = 0;
  for (int pass = 0; pass < all; ++pass, slot ^= 1) {
    if (pass + 1 < all) {
      copy_queries(pass + 1, slot ^ 1);
      await_copy_groups<1>();
    } else {
      await_copy_groups<0>();
    }
    __syncthreads();
    const T* const tile_queries = queries + slot * kTile;
    const T* const tile_douts = douts + slot * kTile;
    if (pass == 0) {
      own_keys.bind(keys);
      if constexpr (kKeys) own_values.bind(values);
    }
    float weights[1][kRows / 8][4], dweights[1][kRows / 8][4];
    multiply_rows<kRows>(weights, own_keys, tile_queries);
    if constexpr (kKeys) multiply_rows<kRows>(dweights, own_values, tile_douts);
    const int query = int(tile.first) + pass % passes * kRows;
    const bool masks = query < tile.first + kOwnRows - 1 || query + kRows > tile.length ||
                       (shape.window != 0 && query + kRows - 1 - tile.first >= shape.window);
    const float *const tile_sums = log_sums + slot * kRows, *tile_deltas = deltas + slot * kRows;
    if (masks)
      weigh_by_key<kCaps, kKeys, true>(weights[0], dweights[0], key, query, int(tile.length),
                                       tile_sums, tile_deltas, shape);
    else
      weigh_by_key<kCaps, kKeys, false>(weights[0], dweights[0], key, query, int(tile.length),
                                        tile_sums, tile_deltas, shape);
    if constexpr (kValues) add_weighted<D, kRows>(dvalues, weights, tile_douts);
    if constexpr (kKeys) add_weighted<D, kRows>(dkeys, dweights, tile_queries);
    __syncthreads();  // before the next copies overwrite this slot's neighbour
  }
  T* const to = a.dqkv + (tile.start + tile.first + warp * 16) * stride;
  if constexpr (kKeys)
    write_rows<D>(to + shape.key_column(kv_head), stride, dkeys[0], rows - warp * 16, shape.scale,
                  shape.scale);
  if constexpr (kValues)
    write_rows<D>(to + shape.value_column(kv_head), stride, dvalues[0], rows - warp * 16, 1, 1);
}

/// The same with queries as rows and keys as columns; log_sums and deltas are the lane's two rows'.
template <bool kCaps, bool kMasks, int kBlocks>
__device__ void weigh_by_query(float (&weights)[kBlocks][4], float (&dweights)[kBlocks][4],
                               int query, int key, const float (&log_sums)[2],
                               const float (&deltas)[2], const HeadShape& shape) {
  const int column = int(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool counts = !kMasks || shape.sees(query + i / 2 * 8, key + n * 8 + column + i % 2);
      const Score score = score_of<kCaps>(weights[n][i], shape);
      const float weight = counts ? power_of_two(score.value - log_sums[i / 2]) : 0.0f;
      dweights[n][i] = weight * (dweights[n][i] - deltas[i / 2]) * score.slope;
    }
}

template <int D, bool kCaps, class T>
__global__ void __launch_bounds__(kTileThreads) flash_dqueries(FlashBackward<T> a) {
  constexpr int kKeys = kPassingKeys<D>, kTile = tile_elements<D>(kKeys);
  extern __shared__ __align__(16) std::byte memory[];
  T* const queries = reinterpret_cast<T*>(memory);
  T* const douts = queries + tile_elements<D>(kOwnRows);
  T* const keys = douts + tile_elements<D>(kOwnRows);
  T* const values = keys + 2 * kTile;
  const HeadShape& shape = a.shape;
  const RowTile tile = find_tile(a.starts, gridDim.x - 1 - blockIdx.x, kOwnRows);
  const int head = int(blockIdx.y), kv_head = head / (shape.heads / shape.kv_heads);
  const std::int64_t stride = shape.row(), out_stride = std::int64_t(shape.heads) * D;
  const std::int64_t rows = min(std::int64_t{kOwnRows}, tile.length - tile.first);
  const std::int64_t end = tile.first + rows;
  const std::int64_t begin =
      shape.window == 0 ? 0 : max(std::int64_t{0}, tile.first - shape.window + 1) / kKeys * kKeys;
  const auto copy_keys = [&](std::int64_t key, int slot) {
    const T* const from = a.qkv + (tile.start + key) * stride;
    copy_tile<kKeys, D>(keys + slot * kTile, from + shape.key_column(kv_head), stride,
                        tile.length - key);
    copy_tile<kKeys, D>(values + slot * kTile, from + shape.value_column(kv_head), stride,
                        tile.length - key);
    end_copy_group();
  };
  const std::int64_t own = tile.start + tile.first;
  copy_tile<kOwnRows, D>(queries, a.qkv + own * stride + std::int64_t(head) * D, stride, rows);
  copy_tile<kOwnRows, D>(douts, a.dout + own * out_stride + std::int64_t(head) * D, out_stride,
                         rows);
  copy_keys(begin, 0);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  float log_sums[2] = {}, deltas[2] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = warp * 16 + lane / 4 + half * 8;
    if (row >= rows) continue;
    log_sums[half] = a.log_sum_exp[(own + row) * shape.heads + head] * kLog2OfE;
    deltas[half] = a.delta[(own + row) * shape.heads + head];
  }
  OwnStrips<T, D, 1, (D <= 128)> own_queries, own_douts;
  const int query = int(tile.first) + warp * kStripRows + lane / 4;
  float sums[1][D / 8][4] = {};
  int slot = 0;
  for (std::int64_t key = begin; key < end; key += kKeys, slot ^= 1) {
    if (key + kKeys < end) {
      copy_keys(key + kKeys, slot ^ 1);
      await_copy_groups<1>();
    } else {
      await_copy_groups<0>();
    }
    __syncthreads();
    if (key == begin) {
      own_queries.bind(queries);
      own_douts.bind(douts);
    }
    float weights[1][kKeys / 8][4], dweights[1][kKeys / 8][4];
    multiply_rows<kKeys>(weights, own_queries, keys + slot * kTile);
    multiply_rows<kKeys>(dweights, own_douts, values + slot * kTile);
    const bool masks =
        key + kKeys - 1 > tile.first || (shape.window != 0 && end - 1 - key >= shape.window);
    if (masks)
      weigh_by_query<kCaps, true>(weights[0], dweights[0], query, int(key), log_sums, deltas,
                                  shape);
    else
      weigh_by_query<kCaps, false>(weights[0], dweights[0], query, int(key), log_sums, deltas,
                                   shape);
    add_weighted<D, kKeys>(sums, dweights, keys + slot * kTile);
    __syncthreads();  // before the next copies overwrite this slot's neighbour
  }
  write_rows<D>(a.dqkv + (own + warp * 16) * stride + std::int64_t(head) * D, stride, sums[0],
                rows - warp * 16, shape.scale, shape.scale);
}

}  // namespace elenchus::ops::cuda
