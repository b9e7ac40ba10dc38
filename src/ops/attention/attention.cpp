#include "ops/attention/attention.h"

#include <cstring>
#include <vector>

#include "ops/attention/blocks.h"
#include "ops/dispatch.h"

namespace elenchus::ops {
namespace {

/// A run of consecutive rows of one sequence.
struct RowRun {
  std::int64_t sequence;
  std::int64_t row;  // in the batch
  std::int64_t rows;
  std::int64_t offset;  // of `row` in its sequence
};

std::vector<RowRun> cut_rows(const Sequences& sequences, std::int64_t longest) {
  std::vector<RowRun> runs;
  for (std::int64_t s = 0; s < sequences.count(); ++s) {
    const std::int64_t first = sequences.host_starts[std::size_t(s)];
    const std::int64_t end = sequences.host_starts[std::size_t(s) + 1];
    for (std::int64_t row = first; row < end; row += longest)
      runs.push_back({s, row, std::min(longest, end - row), row - first});
  }
  return runs;
}

void* element(const Tensor& tensor, std::int64_t index) {
  return static_cast<std::byte*>(tensor.data()) + std::size_t(index) * size_of(tensor.dtype());
}
const void* element(const ConstTensor& tensor, std::int64_t index) {
  return static_cast<const std::byte*>(tensor.data()) +
         std::size_t(index) * size_of(tensor.dtype());
}

void check(ConstTensor out, ConstTensor qkv, const Sequences& sequences,
           const AttentionShape& shape) {
  expect(shape.kv_heads > 0 && shape.heads > 0 && shape.heads % shape.kv_heads == 0,
         "attention: the query heads do not divide into the kv heads");
  expect(shape.head_dim > 0 && shape.head_dim <= kMaxHeadDim,
         "attention: head_dim is outside 1 to 512");
  expect(shape.window >= 0 && shape.soft_cap >= 0, "attention: a negative window or soft cap");
  expect(qkv.shape().rank() == 2 && qkv.dim(1) == shape.row(),
         "attention: qkv is not [N, (H+2K) D]");
  expect(
      out.shape() == Shape{qkv.dim(0), shape.heads * shape.head_dim} && out.dtype() == qkv.dtype(),
      "attention: out is not [N, H D] of qkv's dtype");
  expect(sequences.rows() == qkv.dim(0) && (qkv.dim(0) == 0 || sequences.host_starts[0] == 0),
         "attention: the sequences do not cover the rows");
  for (std::size_t s = 1; s < sequences.host_starts.size(); ++s)
    expect(sequences.host_starts[s - 1] <= sequences.host_starts[s],
           "attention: a sequence ends before it starts");
}

void check_saved(ConstTensor log_sum_exp, std::int64_t rows, const AttentionShape& shape) {
  expect(log_sum_exp.shape() == Shape{rows, shape.heads} && log_sum_exp.dtype() == DType::f32,
         "attention: log_sum_exp is not f32 [N, H]");
}

/// The block of queries of a run that share one kv head. `keys` and `values` are left to the
/// caller.
QueryBlock query_block(Tensor out, ConstTensor qkv, const RowRun& run, std::int64_t kv_head,
                       const AttentionShape& shape) {
  const std::int64_t head = kv_head * (shape.heads / shape.kv_heads);
  return {.dtype = qkv.dtype(),
          .queries = element(qkv, run.row * shape.row() + head * shape.head_dim),
          .query_stride = shape.row(),
          .keys = nullptr,
          .values = nullptr,
          .key_stride = 0,
          .out = element(out, (run.row * shape.heads + head) * shape.head_dim),
          .out_stride = shape.heads * shape.head_dim,
          .log_sum_exp = nullptr,
          .rows = run.rows,
          .position = run.offset};
}

/// Where key (or value) head `kv_head` of a row of qkv begins.
std::int64_t key_column(const AttentionShape& shape, std::int64_t kv_head) {
  return (shape.heads + kv_head) * shape.head_dim;
}
std::int64_t value_column(const AttentionShape& shape, std::int64_t kv_head) {
  return key_column(shape, shape.kv_heads + kv_head);
}

}  // namespace

void attention_forward(Stream& stream, Arena& scratch, Tensor out, Tensor log_sum_exp,
                       ConstTensor qkv, const Sequences& sequences, const AttentionShape& shape) {
  check(out, qkv, sequences, shape);
  if (log_sum_exp) check_saved(log_sum_exp, qkv.dim(0), shape);
  if constexpr (kCudaBuilt)
    if (stream.on_cuda())
      return cuda::attention_forward(stream, scratch, out, log_sum_exp, qkv, sequences, shape);
  if (stream.dry()) return;
  const std::vector<RowRun> runs = cut_rows(sequences, kBlock);
  const std::int64_t count = std::int64_t(runs.size()), group = shape.heads / shape.kv_heads;
  stream.pool().run(count * shape.kv_heads, [&](std::int64_t task, int worker) {
    // The last runs of a sequence see the most keys: they go first, so that no long task is last.
    const RowRun& run = runs[std::size_t(count - 1 - task / shape.kv_heads)];
    const std::int64_t kv_head = task % shape.kv_heads;
    QueryBlock block = query_block(out, qkv, run, kv_head, shape);
    const std::int64_t first = (run.row - run.offset) * shape.row();
    block.keys = element(qkv, first + key_column(shape, kv_head));
    block.values = element(qkv, first + value_column(shape, kv_head));
    block.key_stride = shape.row();
    if (log_sum_exp)
      block.log_sum_exp = log_sum_exp.as<float>() + run.row * shape.heads + kv_head * group;
    attend_block(block, shape, stream.worker_scratch(worker));
  });
}

AttentionBackwardScratch::AttentionBackwardScratch(const Stream& stream, Arena& scratch,
                                                   std::int64_t rows, const AttentionShape& shape) {
  if (stream.on_cuda())
    delta = scratch.alloc({rows, shape.heads}, DType::f32);
  else
    head_shares = scratch.alloc({rows, 2 * shape.heads * padded(shape.head_dim)}, DType::f32);
}

void attention_backward(Stream& stream, Arena& scratch, Tensor dqkv, ConstTensor dout,
                        ConstTensor out, ConstTensor log_sum_exp, ConstTensor qkv,
                        const Sequences& sequences, const AttentionShape& shape) {
  check(out, qkv, sequences, shape);
  check(dout, dqkv, sequences, shape);
  check_saved(log_sum_exp, qkv.dim(0), shape);
  expect(dqkv.dtype() == qkv.dtype(), "attention: dqkv has not qkv's dtype");
  if constexpr (kCudaBuilt)
    if (stream.on_cuda())
      return cuda::attention_backward(stream, scratch, dqkv, dout, out, log_sum_exp, qkv, sequences,
                                      shape);
  const Arena::Scope scope(scratch);
  const AttentionBackwardScratch temporary(stream, scratch, qkv.dim(0), shape);
  if (stream.dry()) return;
  const std::vector<RowRun> whole = cut_rows(sequences, std::max<std::int64_t>(1, qkv.dim(0)));
  const std::int64_t D = shape.head_dim, width = padded(D), group = shape.heads / shape.kv_heads;
  // The shares of head h: dkeys of all rows, then dvalues of all rows.
  const std::int64_t share = qkv.dim(0) * width;
  float* const shares = temporary.head_shares.as<float>();
  stream.pool().run(std::int64_t(whole.size()) * shape.heads, [&](std::int64_t task, int worker) {
    const RowRun& run = whole[std::size_t(task / shape.heads)];
    const std::int64_t head = task % shape.heads, row = run.row * shape.row();
    float* const dkeys = shares + 2 * head * share + run.row * width;
    const HeadGradient gradient{
        .dtype = qkv.dtype(),
        .queries = element(qkv, row + head * D),
        .keys = element(qkv, row + key_column(shape, head / group)),
        .values = element(qkv, row + value_column(shape, head / group)),
        .row_stride = shape.row(),
        .dqueries = element(dqkv, row + head * D),
        .out = element(out, (run.row * shape.heads + head) * D),
        .dout = element(dout, (run.row * shape.heads + head) * D),
        .out_stride = shape.heads * D,
        .log_sum_exp = log_sum_exp.as<float>() + run.row * shape.heads + head,
        .log_sum_exp_stride = shape.heads,
        .dkeys = dkeys,
        .dvalues = dkeys + share,
        .rows = run.rows};
    differentiate_head(gradient, shape, stream.worker_scratch(worker));
  });
  // Tasks: keys, then values, of each kv head, cut into runs of rows.
  constexpr std::int64_t kRows = 256;
  const std::int64_t cuts = (qkv.dim(0) + kRows - 1) / kRows;
  stream.pool().run(cuts * 2 * shape.kv_heads, [&](std::int64_t task, int) {
    const std::int64_t kv_head = task / cuts % shape.kv_heads, part = task / cuts / shape.kv_heads;
    const HeadShares heads{.dtype = dqkv.dtype(),
                           .from = shares + (2 * kv_head * group + part) * share,
                           .head_stride = 2 * share,
                           .heads = group,
                           .to = element(dqkv, key_column(shape, part * shape.kv_heads + kv_head)),
                           .to_stride = shape.row(),
                           .head_dim = D};
    const std::int64_t first = task % cuts * kRows;
    add_head_shares(heads, first, std::min(qkv.dim(0), first + kRows));
  });
}

namespace {

/// Rows of a sequence from which on packing blocks of the cache pays.
constexpr std::int64_t kFewRows = 8;

void append_rows(Stream& stream, ConstTensor qkv, Tensor keys, Tensor values,
                 const std::vector<RowRun>& runs, std::span<const std::int32_t> lengths,
                 const AttentionShape& shape) {
  const std::int64_t width = shape.kv_heads * shape.head_dim;
  const std::size_t bytes = std::size_t(width) * size_of(qkv.dtype());
  stream.pool().run(std::int64_t(runs.size()), [&](std::int64_t task, int) {
    const RowRun& run = runs[std::size_t(task)];
    const std::int64_t slot =
        run.sequence * keys.dim(1) + lengths[std::size_t(run.sequence)] + run.offset;
    for (std::int64_t r = 0; r < run.rows; ++r) {
      const std::int64_t from = (run.row + r) * shape.row(), to = (slot + r) * width;
      std::memcpy(element(keys, to), element(qkv, from + key_column(shape, 0)), bytes);
      std::memcpy(element(values, to), element(qkv, from + value_column(shape, 0)), bytes);
    }
  });
}

void check_cache(ConstTensor qkv, ConstTensor keys, ConstTensor values, const Sequences& sequences,
                 ConstTensor lengths, std::span<const std::int32_t> host_lengths,
                 const AttentionShape& shape) {
  expect(keys.shape().rank() == 4 && keys.shape() == values.shape() &&
             keys.dim(2) == shape.kv_heads && keys.dim(3) == shape.head_dim &&
             keys.dtype() == qkv.dtype() && values.dtype() == qkv.dtype(),
         "attention: the cache is not [slots, capacity, K, D] of qkv's dtype");
  const std::int64_t count = std::max<std::int64_t>(0, sequences.count());
  expect(lengths.shape() == Shape{count} && lengths.dtype() == DType::i32 &&
             std::int64_t(host_lengths.size()) == count && count <= keys.dim(0),
         "attention: lengths is not i32 [S] with S <= slots");
  for (std::size_t s = 0; s < host_lengths.size(); ++s)
    expect(host_lengths[s] >= 0 && host_lengths[s] + std::int64_t(sequences.host_starts[s + 1]) -
                                           sequences.host_starts[s] <=
                                       keys.dim(1),
           "attention: a sequence is longer than the cache");
}

}  // namespace

void attention_cached(Stream& stream, Arena& scratch, Tensor out, ConstTensor qkv, Tensor keys,
                      Tensor values, const Sequences& sequences, ConstTensor lengths,
                      std::span<const std::int32_t> host_lengths, const AttentionShape& shape) {
  check(out, qkv, sequences, shape);
  check_cache(qkv, keys, values, sequences, lengths, host_lengths, shape);
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda())
      return cuda::attention_cached(stream, scratch, out, qkv, keys, values, sequences, lengths,
                                    host_lengths, shape);
  const std::vector<RowRun> runs = cut_rows(sequences, kBlock);
  append_rows(stream, qkv, keys, values, runs, host_lengths, shape);
  const std::int64_t cache_row = shape.kv_heads * shape.head_dim;
  stream.pool().run(std::int64_t(runs.size()) * shape.kv_heads, [&](std::int64_t task, int worker) {
    const RowRun& run = runs[std::size_t(task / shape.kv_heads)];
    const std::int64_t kv_head = task % shape.kv_heads;
    QueryBlock block = query_block(out, qkv, run, kv_head, shape);
    const std::int64_t first = run.sequence * keys.dim(1) * cache_row + kv_head * shape.head_dim;
    block.keys = element(ConstTensor(keys), first);
    block.values = element(ConstTensor(values), first);
    block.key_stride = cache_row;
    block.position += host_lengths[std::size_t(run.sequence)];
    if (run.rows < kFewRows)
      attend_rows(block, shape, stream.worker_scratch(worker));
    else
      attend_block(block, shape, stream.worker_scratch(worker));
  });
}

}  // namespace elenchus::ops
