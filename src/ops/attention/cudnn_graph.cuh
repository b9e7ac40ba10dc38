#pragma once
// Attention as cuDNN's graphs draw it: what a plan is made for, and its two graphs. Included by
// cudnn_attention.cu alone.

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "ops/attention/attention.h"

#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

namespace elenchus::ops::cuda {

namespace fe = cudnn_frontend;
using fe::graph::Graph;
using fe::graph::Tensor_attributes;
using TensorRef = std::shared_ptr<Tensor_attributes>;

/// Places of a plan's tensors.
enum Place : std::int64_t {
  kQueries = 1,
  kKeys,
  kValues,
  kOut,
  kStats,
  kDout,
  kDqueries,
  kDkeys,
  kDvalues,
  kRowOffsets,
  kOutOffsets,
  kStatsOffsets,
  kLengths
};

/// What a plan is made for. Sequences of one length lie in a regular grid; others are packed.
struct PlanKey {
  bool backward, saves_stats, packed;
  DType dtype;
  std::int64_t sequences, longest;  // rounded up where packed
  std::int64_t heads, kv_heads;     // of the layer
  std::int64_t slices;              // the plan takes heads / slices of them
  std::int64_t head_dim, window;
  float scale, soft_cap;
  std::int64_t row() const { return (heads + 2 * kv_heads) * head_dim; }
  std::int64_t out_row() const { return heads * head_dim; }
  std::int64_t slice_heads() const { return heads / slices; }
  std::int64_t slice_kv_heads() const { return kv_heads / slices; }
  auto tied() const {
    return std::tie(backward, saves_stats, packed, dtype, sequences, longest, heads, kv_heads,
                    slices, head_dim, window, scale, soft_cap);
  }
  bool operator<(const PlanKey& other) const { return tied() < other.tied(); }
};

struct Plan {
  std::shared_ptr<Graph> graph;  // null: cuDNN does not take this
  std::int64_t workspace_bytes = 0;
};

inline std::int64_t rounded_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// Few different lengths, each at most a quarter above the true one from 512 on.
inline std::int64_t rounded_length(std::int64_t n) {
  const std::int64_t step =
      std::max<std::int64_t>(128, std::int64_t(std::bit_floor(std::uint64_t(n))) / 4);
  return rounded_up(n, step);
}

/// Whether cuDNN may be asked at all for heads of that size in that type.
inline bool may_serve(const AttentionShape& shape, DType dtype) {
  return (dtype == DType::f16 || dtype == DType::bf16) && shape.head_dim % 8 == 0 &&
         shape.head_dim <= 256;
}

/// Of sequences that may be served. Empty where own kernels should serve them.
inline std::optional<PlanKey> plan_key(const Sequences& sequences, const AttentionShape& shape,
                                       DType dtype) {
  const std::span<const std::int32_t> starts = sequences.host_starts;
  const std::int64_t count = sequences.count(), rows = sequences.rows();
  std::int64_t longest = 0, shortest = rows;
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t length = starts[std::size_t(s) + 1] - starts[std::size_t(s)];
    longest = std::max(longest, length);
    shortest = std::min(shortest, length);
  }
  const bool windowed = shape.window > 0 && longest > shape.window;
  // A capped window would be written into the score modifier, where no tile is skipped.
  if (count == 0 || longest < 64 || (windowed && shape.soft_cap != 0)) return {};
  PlanKey key{.backward = false,
              .saves_stats = true,
              .packed = shortest != longest || longest % 128 != 0,
              .dtype = dtype,
              .sequences = count,
              .longest = longest,
              .heads = shape.heads,
              .kv_heads = shape.kv_heads,
              .slices = 1,
              .head_dim = shape.head_dim,
              .window = windowed ? shape.window : 0,
              .scale = shape.scale,
              .soft_cap = shape.soft_cap};
  if (!key.packed) return key;
  key.sequences = std::int64_t(std::bit_ceil(std::uint64_t(count)));
  key.longest = rounded_length(longest);
  constexpr std::int64_t kMostOffset = std::int64_t{1} << 31;  // of 32-bit offsets
  if (rows * shape.row() >= kMostOffset) return {};
  // Tiles of the padded grid that hold nothing still cost their launch.
  return key.sequences * key.longest <= 2 * rows ? std::optional(key) : std::nullopt;
}

/// One graph, being drawn.
class Drawing {
 public:
  explicit Drawing(const PlanKey& key) : key_(key), graph_(std::make_shared<Graph>()) {
    graph_
        ->set_io_data_type(key.dtype == DType::f16 ? fe::DataType_t::HALF
                                                   : fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    if (!key.packed) return;
    row_offsets_ = index("row_offsets", kRowOffsets, key.sequences + 1);
    out_offsets_ = index("out_offsets", kOutOffsets, key.sequences + 1);
    stats_offsets_ = index("stats_offsets", kStatsOffsets, key.sequences + 1);
    lengths_ = index("lengths", kLengths, key.sequences);
  }

  std::shared_ptr<Graph> forward() {
    fe::graph::SDPA_attributes how;
    how.set_name("attention").set_generate_stats(key_.saves_stats);
    how.set_attn_scale(key_.scale);
    mask(how);
    const std::int64_t queries = key_.slice_heads(), keys = key_.slice_kv_heads();
    auto [out, stats] =
        graph_->sdpa(heads("q", kQueries, queries, key_.row()), heads("k", kKeys, keys, key_.row()),
                     heads("v", kValues, keys, key_.row()), how);
    as_output(out, kOut, queries, key_.out_row(), out_offsets_);
    if (key_.saves_stats) {
      stats->set_output(true).set_data_type(fe::DataType_t::FLOAT).set_uid(kStats);
      stats->set_dim({key_.sequences, queries, key_.longest, 1}).set_stride(token_major_stats());
      if (key_.packed) stats->set_ragged_offset(stats_offsets_);
    }
    return graph_;
  }

  std::shared_ptr<Graph> backward() {
    fe::graph::SDPA_backward_attributes how;
    how.set_name("attention_backward").set_deterministic_algorithm(true);
    how.set_attn_scale(key_.scale);
    mask(how);
    if (key_.soft_cap != 0)
      how.set_score_mod_bprop([this](std::shared_ptr<Graph> graph, TensorRef d) {
        const TensorRef cap = constant(key_.soft_cap);
        d = pointwise(*graph, d, cap, fe::PointwiseMode_t::MUL);
        d = pointwise(*graph, d, before_tanh_, fe::PointwiseMode_t::TANH_BWD);
        return pointwise(*graph, d, cap, fe::PointwiseMode_t::DIV);
      });
    const std::int64_t queries = key_.slice_heads(), keys = key_.slice_kv_heads();
    Tensor_attributes saved;
    saved.set_name("stats").set_uid(kStats).set_data_type(fe::DataType_t::FLOAT);
    saved.set_dim({key_.sequences, queries, key_.longest, 1});
    if (key_.packed)
      saved.set_stride(token_major_stats()).set_ragged_offset(stats_offsets_);
    else  // the one form that is taken of a grid
      saved.set_stride({key_.longest * queries, key_.longest, 1, 1});
    auto [dq, dk, dv] = graph_->sdpa_backward(
        heads("q", kQueries, queries, key_.row()), heads("k", kKeys, keys, key_.row()),
        heads("v", kValues, keys, key_.row()),
        heads("out", kOut, queries, key_.out_row(), out_offsets_),
        heads("dout", kDout, queries, key_.out_row(), out_offsets_), graph_->tensor(saved), how);
    as_output(dq, kDqueries, queries, key_.row(), row_offsets_);
    as_output(dk, kDkeys, keys, key_.row(), row_offsets_);
    as_output(dv, kDvalues, keys, key_.row(), row_offsets_);
    return graph_;
  }

 private:
  TensorRef index(const char* name, std::int64_t place, std::int64_t count) {
    return graph_->tensor(Tensor_attributes()
                              .set_name(name)
                              .set_uid(place)
                              .set_dim({count, 1, 1, 1})
                              .set_stride({1, 1, 1, 1})
                              .set_data_type(fe::DataType_t::INT32));
  }
  std::vector<std::int64_t> extents(std::int64_t count) const {
    return {key_.sequences, count, key_.longest, key_.head_dim};
  }
  std::vector<std::int64_t> strides(std::int64_t token) const {
    return {key_.longest * token, key_.head_dim, token, 1};
  }
  /// `count` heads of every token, tokens `token` elements apart.
  TensorRef heads(const char* name, std::int64_t place, std::int64_t count, std::int64_t token,
                  TensorRef offsets = nullptr) {
    Tensor_attributes t;
    t.set_name(name).set_uid(place).set_dim(extents(count)).set_stride(strides(token));
    if (key_.packed) t.set_ragged_offset(offsets ? offsets : row_offsets_);
    return graph_->tensor(t);
  }
  void as_output(const TensorRef& t, std::int64_t place, std::int64_t count, std::int64_t token,
                 const TensorRef& offsets) {
    t->set_output(true).set_uid(place).set_dim(extents(count)).set_stride(strides(token));
    if (key_.packed) t->set_ragged_offset(offsets);
  }
  /// Of [N, H].
  std::vector<std::int64_t> token_major_stats() const {
    return {key_.longest * key_.heads, 1, key_.heads, 1};
  }
  static TensorRef constant(float value) { return std::make_shared<Tensor_attributes>(value); }
  static TensorRef pointwise(Graph& graph, TensorRef a, TensorRef b, fe::PointwiseMode_t mode) {
    return graph.pointwise(std::move(a), std::move(b),
                           fe::graph::Pointwise_attributes().set_mode(mode));
  }

  /// Causal, by the library's own masks or, under a soft cap, by the score modifier.
  template <class Attributes>
  void mask(Attributes& how) {
    if (key_.packed) how.set_seq_len_q(lengths_).set_seq_len_kv(lengths_);
    if (key_.soft_cap != 0) {
      how.set_score_mod([this](std::shared_ptr<Graph> graph, TensorRef score) {
        const TensorRef cap = constant(key_.soft_cap);
        before_tanh_ = pointwise(*graph, score, cap, fe::PointwiseMode_t::DIV);
        score = graph->pointwise(before_tanh_, fe::graph::Pointwise_attributes().set_mode(
                                                   fe::PointwiseMode_t::TANH_FWD));
        score = pointwise(*graph, score, cap, fe::PointwiseMode_t::MUL);
        return fe::graph::attn::score_modifiers::causal_mask(graph, score);
      });
      return;
    }
    how.set_padding_mask(key_.packed);
    how.set_causal_mask(true);
    if (key_.window > 0) how.set_diagonal_band_left_bound(int(key_.window));
  }

  PlanKey key_;
  std::shared_ptr<Graph> graph_;
  TensorRef row_offsets_, out_offsets_, stats_offsets_, lengths_, before_tanh_;
};

}  // namespace elenchus::ops::cuda
