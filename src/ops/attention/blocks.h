#pragma once
// How the CPU cuts attention into tasks, and what a task is given.

#include <algorithm>
#include <cstdint>

#include "ops/attention/attention.h"

namespace elenchus::ops {

/// Queries and keys of one block of scores.
inline constexpr std::int64_t kBlock = 64;
/// Rows of packed heads are padded to a multiple of this: no vector is longer.
inline constexpr std::int64_t kPadding = 16;
inline constexpr std::int64_t kMaxHeadDim = 512;

inline std::int64_t padded(std::int64_t n) { return (n + kPadding - 1) / kPadding * kPadding; }

/// Consecutive queries of one sequence, for the query heads that share one kv head. Pointers are to
/// elements of `dtype`; strides are in elements.
struct QueryBlock {
  DType dtype;
  const void* queries;  // first query, first head of the group
  std::int64_t query_stride;
  const void* keys;  // key and value at position 0 of the sequence, this kv head
  const void* values;
  std::int64_t key_stride;
  void* out;  // as queries
  std::int64_t out_stride;
  float* log_sum_exp;  // of the first query and head, or null
  std::int64_t rows;
  std::int64_t position;  // of the first query in its sequence
};

/// One query head of one sequence, for the gradient.
struct HeadGradient {
  DType dtype;
  const void* queries;  // position 0 of the sequence, this query head
  const void* keys;     // and its kv head
  const void* values;
  std::int64_t row_stride;  // of the three, and of dqueries
  void* dqueries;
  const void* out;
  const void* dout;
  std::int64_t out_stride;
  const float* log_sum_exp;
  std::int64_t log_sum_exp_stride;
  float* dkeys;  // this head's share, f32 [rows, padded(D)], written
  float* dvalues;
  std::int64_t rows;
};

/// What the query heads of one kv head add to the keys' or values' gradient of one sequence.
struct HeadShares {
  DType dtype;
  const float* from;  // f32 [rows, padded(D)] of the first head
  std::int64_t head_stride;
  std::int64_t heads;
  void* to;  // position 0 of the sequence
  std::int64_t to_stride;
  std::int64_t head_dim;
};

/// out and log_sum_exp of a block; `scratch` is a worker's.
void attend_block(const QueryBlock& block, const AttentionShape& shape, std::byte* scratch);
/// The same for few queries over long caches: nothing is packed that needs no conversion.
void attend_rows(const QueryBlock& block, const AttentionShape& shape, std::byte* scratch);
/// dqueries, and the head's share of dkeys and dvalues.
void differentiate_head(const HeadGradient& head, const AttentionShape& shape, std::byte* scratch);
/// Rows [first, last) of the sum over heads, in their order, rounded once.
void add_head_shares(const HeadShares& shares, std::int64_t first, std::int64_t last);

/// Which scores of a block of queries x keys count: key <= query, and query - key < window.
struct Visibility {
  std::int64_t query, key;  // positions of the block's first ones
  std::int64_t window;      // 0: none
  /// The keys, counted from the block's first, that any of `count` queries from `first` on sees.
  std::int64_t first_key(std::int64_t first) const {
    return window == 0 ? 0 : std::max<std::int64_t>(0, query + first - window + 1 - key);
  }
  std::int64_t end_key(std::int64_t first, std::int64_t count, std::int64_t keys) const {
    return std::clamp<std::int64_t>(query + first + count - key, 0, keys);
  }
  /// The queries, counted from the block's first, that see any of `count` keys from `first` on.
  std::int64_t first_query(std::int64_t first) const {
    return std::max<std::int64_t>(0, key + first - query);
  }
  std::int64_t end_query(std::int64_t first, std::int64_t count, std::int64_t queries) const {
    if (window == 0) return queries;
    return std::clamp<std::int64_t>(key + first + count - 1 + window - query, 0, queries);
  }
  /// Whether every query sees every key.
  bool all(std::int64_t queries, std::int64_t keys) const {
    return key + keys - 1 <= query && (window == 0 || query + queries - 1 - key < window);
  }
};

}  // namespace elenchus::ops
