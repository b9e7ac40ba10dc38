#include "ops/matmul/gemm.h"

#include <algorithm>
#include <array>

namespace elenchus::ops {
namespace {

// A group's part of one tile: long enough that reading and writing C costs little, short enough
// that some panels of B stay in the second-level cache.
constexpr std::int64_t kGroupDepth = 1088;
constexpr std::int64_t kPieceDepth = 1024;
constexpr std::int64_t kCacheBytes = 640 << 10;
constexpr std::int64_t kPackedRowsBytes = kMaxKernelRows * kGroupDepth * 4;
// Tasks a thread: enough that a slow core does not hold up the others for long.
constexpr std::int64_t kTasksPerThread = 6;
constexpr std::int64_t kLeastColumns = 128;
constexpr std::int64_t kLeastRows = 96;
// Up to here B is read in place where it can be.
constexpr std::int64_t kFewOutputRows = 2 * kMaxKernelRows;

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return divide_up(a, b) * b; }

struct Piece {
  const GemmTerm* term;
  std::int64_t first, depth;
};
/// Pieces of the inner dimension that are summed in registers before C is touched.
struct DepthGroup {
  std::array<Piece, kMaxSegments> pieces;
  int count = 0;
  std::int64_t depth = 0;
};

std::vector<DepthGroup> group_depths(const GemmOutput& output) {
  std::vector<DepthGroup> groups(1);
  for (const GemmTerm& term : output.terms) {
    const std::int64_t pieces = divide_up(term.depth, kPieceDepth);
    const std::int64_t step = pieces ? round_up(divide_up(term.depth, pieces), kDepthStep) : 0;
    for (std::int64_t first = 0; first < term.depth; first += step) {
      const std::int64_t depth = std::min(step, term.depth - first);
      if (groups.back().depth + depth > kGroupDepth || groups.back().count == kMaxSegments)
        groups.emplace_back();
      DepthGroup& group = groups.back();
      group.pieces[std::size_t(group.count++)] = {&term, first, depth};
      group.depth += depth;
    }
  }
  return groups;
}

/// A rectangle of one output.
struct Task {
  const GemmOutput* output;
  const std::vector<DepthGroup>* groups;
  std::int64_t output_rows;
  std::int64_t first_row, rows, first_column, columns;
};

void scale(float* values, std::int64_t count, float factor) {
  for (std::int64_t i = 0; i < count; ++i) values[i] *= factor;
}

bool reads_in_place(const Task& task, const GemmTerm& term) {
  return term.b && term.alpha == 1 && task.output_rows <= kFewOutputRows &&
         task.columns % kColumnStep == 0;
}

void run_group(const Task& task, const DepthGroup& group, bool is_first, std::byte* scratch) {
  const KernelShape kernel = kernel_shape();
  float* const packed_a = reinterpret_cast<float*>(scratch);
  float* packed_b = reinterpret_cast<float*>(scratch + kPackedRowsBytes);
  std::array<StripSegment, kMaxSegments> segments;
  for (int s = 0; s < group.count; ++s) {
    const Piece& piece = group.pieces[std::size_t(s)];
    const GemmTerm& term = *piece.term;
    StripSegment& segment = segments[std::size_t(s)];
    segment = {.a = term.a + piece.first * term.depth_stride,
               .row_stride = term.row_stride,
               .depth_stride = term.depth_stride,
               .b = packed_b,
               .b_stride = kernel.columns,
               .panel_stride = kernel.columns * piece.depth,
               .depth = piece.depth};
    if (reads_in_place(task, term)) {
      segment.b = term.b + piece.first * term.b_stride + task.first_column;
      segment.b_stride = term.b_stride;
      segment.panel_stride = kernel.columns;
      continue;
    }
    term.pack_b({piece.first, piece.depth, task.first_column, task.columns}, packed_b);
    const std::int64_t packed = round_up(task.columns, kernel.columns) * piece.depth;
    if (term.alpha != 1) scale(packed_b, packed, term.alpha);
    packed_b += packed;
  }
  const GemmOutput& output = *task.output;
  for (std::int64_t row = task.first_row; row < task.first_row + task.rows; row += kernel.rows) {
    std::array<StripSegment, kMaxSegments> here = segments;
    for (int s = 0; s < group.count; ++s)
      here[std::size_t(s)].a += row * segments[std::size_t(s)].row_stride;
    multiply_strip({.segments = here.data(),
                    .segment_count = group.count,
                    .rows = std::min<std::int64_t>(kernel.rows, task.first_row + task.rows - row),
                    .columns = task.columns,
                    .c = output.transposed ? output.c + task.first_column * output.row_stride + row
                                           : output.c + row * output.row_stride + task.first_column,
                    .c_stride = output.row_stride,
                    .c_transposed = output.transposed,
                    .beta = is_first ? output.beta : 1.0f,
                    .bias = is_first && output.bias ? output.bias + task.first_column : nullptr,
                    .packed_a = packed_a});
  }
}

/// Columns of one task: as many as the cache takes at this depth, fewer if tasks would run short.
std::int64_t columns_per_task(std::int64_t all_columns, std::int64_t columns, std::int64_t depth,
                              std::int64_t wanted_tasks) {
  const std::int64_t in_cache =
      std::max(kColumnStep,
               kCacheBytes / (4 * std::max<std::int64_t>(depth, 1)) / kColumnStep * kColumnStep);
  const std::int64_t shared = std::max(kLeastColumns, divide_up(all_columns, wanted_tasks));
  const std::int64_t most = std::min({in_cache, round_up(shared, kColumnStep), columns});
  return round_up(divide_up(columns, divide_up(columns, most)), kColumnStep);
}

}  // namespace

void gemm(Stream& stream, std::int64_t rows, std::span<const GemmOutput> outputs) {
  if (rows == 0) return;
  const KernelShape kernel = kernel_shape();
  const std::int64_t wanted = stream.pool().threads() * kTasksPerThread;
  std::int64_t all_columns = 0;
  for (const GemmOutput& output : outputs) all_columns += output.columns;

  std::vector<std::vector<DepthGroup>> groups;
  std::vector<Task> columns;
  groups.reserve(outputs.size());
  for (const GemmOutput& output : outputs) {
    if (output.columns == 0) continue;
    groups.push_back(group_depths(output));
    std::int64_t deepest = 0;
    for (const DepthGroup& group : groups.back()) deepest = std::max(deepest, group.depth);
    const std::int64_t step = columns_per_task(all_columns, output.columns, deepest, wanted);
    for (std::int64_t first = 0; first < output.columns; first += step)
      columns.push_back(
          {&output, &groups.back(), rows, 0, rows, first, std::min(step, output.columns - first)});
  }
  if (columns.empty()) return;

  const std::int64_t row_parts =
      std::clamp<std::int64_t>(divide_up(wanted, std::int64_t(columns.size())), 1,
                               std::max<std::int64_t>(1, rows / kLeastRows));
  const std::int64_t row_step = round_up(divide_up(rows, row_parts), kernel.rows);
  const std::int64_t parts = divide_up(rows, row_step);
  stream.pool().run(std::int64_t(columns.size()) * parts, [&](std::int64_t i, int worker) {
    Task task = columns[std::size_t(i / parts)];
    task.first_row = i % parts * row_step;
    task.rows = std::min(row_step, rows - task.first_row);
    for (const DepthGroup& group : *task.groups)
      run_group(task, group, &group == task.groups->data(), stream.worker_scratch(worker));
  });
}

}  // namespace elenchus::ops
