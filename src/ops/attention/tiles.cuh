#pragma once
// What the tensor-core attention kernels share: tiles of heads in shared memory, their products,
// and scores.

#include "ops/attention/attention.h"
#include "ops/cuda/launch.cuh"
#include "ops/cuda/tensor_core.cuh"

namespace elenchus::ops::cuda {

/// Rows that a warp multiplies at once. A block has four warps, each with one or two such strips of
/// the block's own tile: with two, what passes by is read half as often.
inline constexpr int kStripRows = 16;
inline constexpr int kTileThreads = 128;
constexpr int tile_rows(int strips) { return 4 * kStripRows * strips; }

inline constexpr float kLog2OfE = 1.44269504f;

/// The shape of one attention layer as the kernels use it.
struct HeadShape {
  int heads, kv_heads, head_dim;
  float scale, soft_cap;
  float inner, outer;  // of score_of
  int window;          // 0: none
  explicit HeadShape(const AttentionShape& s)
      : heads(int(s.heads)),
        kv_heads(int(s.kv_heads)),
        head_dim(int(s.head_dim)),
        scale(s.scale),
        soft_cap(s.soft_cap),
        inner(s.soft_cap != 0 ? 2 * kLog2OfE * s.scale / s.soft_cap : 0),
        outer(kLog2OfE * (s.soft_cap != 0 ? s.soft_cap : s.scale)),
        window(s.window < INT32_MAX ? int(s.window) : 0) {}
  __host__ __device__ std::int64_t row() const {
    return std::int64_t(heads + 2 * kv_heads) * head_dim;
  }
  __device__ std::int64_t key_column(int kv_head) const {
    return std::int64_t(heads + kv_head) * head_dim;
  }
  __device__ std::int64_t value_column(int kv_head) const { return key_column(kv_heads + kv_head); }
  __device__ bool sees(int query, int key) const {
    return key <= query && (window == 0 || query - key < window);
  }
};

/// A run of rows of one sequence.
struct RowTile {
  std::int64_t start;   // of the sequence, in the batch
  std::int64_t length;  // of the sequence
  std::int64_t first;   // of the tile, in the sequence
};
/// Tile number `tile` of `rows` rows each, counted through all sequences.
__device__ inline RowTile find_tile(const std::int32_t* starts, std::int64_t tile, int rows) {
  for (int s = 0;; ++s) {
    const std::int64_t start = starts[s], length = starts[s + 1] - start;
    const std::int64_t tiles = (length + rows - 1) / rows;
    if (tile < tiles) return {start, length, tile * rows};
    tile -= tiles;
  }
}
inline std::int64_t count_tiles(std::span<const std::int32_t> starts, int rows) {
  std::int64_t tiles = 0;
  for (std::size_t s = 1; s < starts.size(); ++s)
    tiles += (starts[s] - starts[s - 1] + rows - 1) / rows;
  return tiles;
}

/// Elements from one row of a tile in shared memory to the next: eight rows fall into different
/// banks.
template <int D>
inline constexpr int kTileStride = D + 8;
template <int D>
constexpr int tile_elements(int rows) {
  return rows * kTileStride<D>;
}

/// Starts copying `kRows` rows; those from `valid` on become zeros.
template <int kRows, int D, class T>
__device__ void copy_tile(T* tile, const T* from, std::int64_t stride, std::int64_t valid) {
  constexpr int kChunks = D / 8;
  for (int i = int(threadIdx.x); i < kRows * kChunks; i += kTileThreads) {
    const int row = i / kChunks, column = i % kChunks * 8;
    const bool present = row < valid;
    copy_async(tile + row * kTileStride<D> + column, from + (present ? row * stride : 0) + column,
               present);
  }
}

/// A warp's strips of its block's own tile, as left factors: kept in registers (kHeld), or read
/// from the tile again each time.
template <class T, int D, int kStrips, bool kHeld>
class OwnStrips {
 public:
  /// `tile` has arrived in shared memory.
  __device__ void bind(const T* tile) {
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    row_ = tile + (warp * kStrips * kStripRows + lane % 16) * kTileStride<D> + lane / 16 * 8;
    if constexpr (kHeld) {
#pragma unroll
      for (int s = 0; s < kStrips; ++s)
#pragma unroll
        for (int k = 0; k < D / 16; ++k) load_blocks(held_[s][k], address(s, k));
    }
  }
  /// Columns 16 k to 16 k + 15 of a strip.
  __device__ void factor(std::uint32_t (&a)[4], int strip, int k) const {
    if constexpr (kHeld) {
#pragma unroll
      for (int i = 0; i < 4; ++i) a[i] = held_[strip][k][i];
    } else {
      load_blocks(a, address(strip, k));
    }
  }

 private:
  __device__ const T* address(int strip, int k) const {
    return row_ + strip * kStripRows * kTileStride<D> + k * 16;
  }
  const T* row_;
  std::uint32_t held_[kHeld ? kStrips : 1][kHeld ? D / 16 : 1][4];
};

/// c [strips, 16, N] = own [strips, 16, D] others [N, D]^T
template <int N, class T, int D, int kStrips, bool kHeld>
__device__ void multiply_rows(float (&c)[kStrips][N / 8][4],
                              const OwnStrips<T, D, kStrips, kHeld>& own, const T* others) {
  const int lane = int(threadIdx.x) % 32;
  const T* const b_row = others + (lane % 8 + lane / 16 * 8) * kTileStride<D> + lane / 8 % 2 * 8;
#pragma unroll
  for (int s = 0; s < kStrips; ++s)
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) c[s][n][i] = 0;
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    std::uint32_t a[kStrips][4], b[4];
#pragma unroll
    for (int s = 0; s < kStrips; ++s) own.factor(a[s], s, k);
#pragma unroll
    for (int n = 0; n < N; n += 16) {
      load_blocks(b, b_row + n * kTileStride<D> + k * 16);
#pragma unroll
      for (int s = 0; s < kStrips; ++s) {
        multiply_add<T>(c[s][n / 8], a[s], b[0], b[1]);
        multiply_add<T>(c[s][n / 8 + 1], a[s], b[2], b[3]);
      }
    }
  }
}

/// c [strips, 16, D] += weights [strips, 16, N] others [N, D]; the weights are rounded to T.
template <int D, int N, class T, int kStrips>
__device__ void add_weighted(float (&c)[kStrips][D / 8][4],
                             const float (&weights)[kStrips][N / 8][4], const T* others) {
  const int lane = int(threadIdx.x) % 32;
  const T* const b_row = others + lane % 16 * kTileStride<D> + lane / 16 * 8;
#pragma unroll
  for (int n = 0; n < N; n += 16) {
    std::uint32_t a[kStrips][4];
#pragma unroll
    for (int s = 0; s < kStrips; ++s)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float(&pair)[4] = weights[s][n / 8 + i / 2];
        a[s][i] = rounded_pair<T>(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
      }
#pragma unroll
    for (int d = 0; d < D; d += 16) {
      std::uint32_t b[4];
      load_blocks_transposed(b, b_row + n * kTileStride<D> + d);
#pragma unroll
      for (int s = 0; s < kStrips; ++s) {
        multiply_add<T>(c[s][d / 8], a[s], b[0], b[1]);
        multiply_add<T>(c[s][d / 8 + 1], a[s], b[2], b[3]);
      }
    }
  }
}

/// Writes c [16, D] times `scale_low` (rows of the lower half) or `scale_high`, rounded, for the
/// rows below `valid`.
template <int D, class T>
__device__ void write_rows(T* to, std::int64_t stride, const float (&c)[D / 8][4],
                           std::int64_t valid, float scale_low, float scale_high) {
  const int lane = int(threadIdx.x) % 32, row = lane / 4, column = lane % 4 * 2;
#pragma unroll
  for (int d = 0; d < D / 8; ++d) {
    T* const at = to + d * 8 + column;
    if (row < valid)
      *reinterpret_cast<std::uint32_t*>(at + row * stride) =
          rounded_pair<T>(c[d][0] * scale_low, c[d][1] * scale_low);
    if (row + 8 < valid)
      *reinterpret_cast<std::uint32_t*>(at + (row + 8) * stride) =
          rounded_pair<T>(c[d][2] * scale_high, c[d][3] * scale_high);
  }
}

/// 2^x within 2 ulp; results below the normal range are zero.
__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// A score in units of log 2, and its slope by the scaled product.
struct Score {
  float value, slope;
};
template <bool kCaps>
__device__ Score score_of(float product, const HeadShape& shape) {
  if constexpr (!kCaps) return {product * shape.outer, 1.0f};
  // tanh by the exponential of twice its argument, which stays finite.
  const float e = power_of_two(fminf(product * shape.inner, 100.0f));
  const float t = 1.0f - __fdividef(2.0f, e + 1.0f);
  return {shape.outer * t, fmaf(-t, t, 1.0f)};
}

}  // namespace elenchus::ops::cuda
