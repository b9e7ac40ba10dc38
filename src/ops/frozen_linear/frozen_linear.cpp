#include "ops/frozen_linear/frozen_linear.h"

#include <algorithm>
#include <vector>

#include "ops/dispatch.h"
#include "ops/frozen_linear/group_buffers.h"
#include "ops/frozen_linear/row_products.h"
#include "ops/matmul/dense_panel.h"
#include "ops/matmul/widened.h"
#include "ops/nf4/nf4.h"
#include "ops/nf4/nf4_panel.h"

namespace elenchus::ops {
namespace {

std::int64_t rank_of(const LinearPart& part) { return part.lora_b ? part.lora_b.dim(1) : 0; }

void check_weight(const FrozenWeight& weight) {
  const Shape shape = shape_of(weight);
  expect(shape.rank() == 2, "frozen_linear: a weight is a matrix");
  if (const auto* nf4 = std::get_if<Nf4Weight>(&weight)) check_nf4(*nf4);
}

struct GroupSizes {
  std::int64_t out = 0, rank = 0;
};

/// The sums over the parts; InternalError unless each fits inputs of `in` columns.
GroupSizes check_parts(std::span<const LinearPart> parts, std::int64_t in) {
  GroupSizes sizes;
  for (const LinearPart& part : parts) {
    expect(part.weight != nullptr, "frozen_linear: a part without a weight");
    check_weight(*part.weight);
    const Shape shape = shape_of(*part.weight);
    expect(shape[1] == in, "frozen_linear: a weight does not fit the input");
    if (part.bias) expect(part.bias.shape() == Shape{shape[0]}, "frozen_linear: bias is [out]");
    if (part.lora_b) {
      expect(part.lora_b.shape().rank() == 2 && part.lora_b.dim(0) == shape[0] &&
                 part.lora_b.dtype() == DType::f32,
             "frozen_linear: lora_b is f32 [out, R]");
    }
    sizes.out += shape[0];
    sizes.rank += rank_of(part);
  }
  return sizes;
}

bool is_matrix(ConstTensor t, std::int64_t rows, std::int64_t columns) {
  return t.shape() == Shape{rows, columns};
}

bool overlap(ConstTensor a, ConstTensor b) {
  const auto begin = [](ConstTensor t) { return static_cast<const std::byte*>(t.data()); };
  return begin(a) < begin(b) + b.bytes() && begin(b) < begin(a) + a.bytes();
}

/// Applies f(i) to every i below `count`, in tasks.
template <class F>
void for_elements(Stream& stream, std::int64_t count, const F& f) {
  constexpr std::int64_t kStep = 1 << 16;
  stream.pool().run((count + kStep - 1) / kStep, [&](std::int64_t task, int) {
    for (std::int64_t i = task * kStep; i < std::min(count, (task + 1) * kStep); ++i) f(i);
  });
}

PackPanels forward_panels(const FrozenWeight& weight) {
  if (const auto* nf4 = std::get_if<Nf4Weight>(&weight)) return nf4_transposed_panels(*nf4);
  const ConstTensor& matrix = std::get<DenseWeight>(weight).matrix;
  return transposed_panels(matrix.data(), matrix.dtype(), matrix.dim(1));
}

PackPanels backward_panels(const FrozenWeight& weight) {
  if (const auto* nf4 = std::get_if<Nf4Weight>(&weight)) return nf4_panels(*nf4);
  const ConstTensor& matrix = std::get<DenseWeight>(weight).matrix;
  return dense_panels(matrix.data(), matrix.dtype(), matrix.dim(1));
}

/// One output of the group: where its y, its bias and its columns of xa lie.
struct PartView {
  const LinearPart* part;
  std::int64_t first_column, out;
  std::int64_t first_rank, rank;
};

std::vector<PartView> views_of(std::span<const LinearPart> parts) {
  std::vector<PartView> views;
  std::int64_t column = 0, rank = 0;
  for (const LinearPart& part : parts) {
    const std::int64_t out = shape_of(*part.weight)[0];
    views.push_back({&part, column, out, rank, rank_of(part)});
    column += out;
    rank += rank_of(part);
  }
  return views;
}

/// out = xa with each part's columns times its lora_scale.
void scale_columns(Stream& stream, Tensor out, ConstTensor xa, std::span<const PartView> views) {
  const std::int64_t rank = xa.dim(1);
  std::vector<float> factors;
  for (const PartView& view : views)
    factors.insert(factors.end(), std::size_t(view.rank), view.part->lora_scale);
  const float* const from = xa.as<float>();
  float* const to = out.as<float>();
  for_elements(stream, xa.elements(),
               [&](std::int64_t i) { to[i] = factors[std::size_t(i % rank)] * from[i]; });
}

const float* data_or_null(ConstTensor t) { return t ? t.as<float>() : nullptr; }

void forward_many(Stream& stream, Tensor y, ConstTensor x, std::span<const PartView> views,
                  ConstTensor xa, std::span<const ConstTensor> biases) {
  std::vector<GemmOutput> outputs;
  for (std::size_t i = 0; i < views.size(); ++i) {
    const PartView& view = views[i];
    GemmOutput output{.c = y.as<float>() + view.first_column,
                      .row_stride = y.dim(1),
                      .columns = view.out,
                      .beta = 0,
                      .bias = data_or_null(biases[i]),
                      .terms = {}};
    output.terms.push_back({.a = x.as<float>(),
                            .row_stride = x.dim(1),
                            .depth_stride = 1,
                            .depth = x.dim(1),
                            .pack_b = forward_panels(*view.part->weight),
                            .alpha = 1});
    if (view.rank > 0)
      output.terms.push_back(
          {.a = xa.as<float>() + view.first_rank,
           .row_stride = xa.dim(1),
           .depth_stride = 1,
           .depth = view.rank,
           .pack_b = transposed_panels(view.part->lora_b.data(), DType::f32, view.rank),
           .alpha = view.part->lora_scale});
    outputs.push_back(std::move(output));
  }
  gemm(stream, x.dim(0), outputs);
}

void forward_few(Stream& stream, Tensor y, ConstTensor x, Tensor ordered,
                 std::span<const PartView> views, ConstTensor xa,
                 std::span<const ConstTensor> biases) {
  std::vector<RowProduct> products;
  for (std::size_t i = 0; i < views.size(); ++i) {
    const PartView& view = views[i];
    const bool adapted = view.rank > 0;
    products.push_back({.weight = view.part->weight,
                        .y = y.as<float>() + view.first_column,
                        .y_stride = y.dim(1),
                        .bias = data_or_null(biases[i]),
                        .lora_b = adapted ? view.part->lora_b.as<float>() : nullptr,
                        .xa = adapted ? xa.as<float>() + view.first_rank : nullptr,
                        .rank = view.rank,
                        .xa_stride = adapted ? xa.dim(1) : 0,
                        .lora_scale = view.part->lora_scale});
  }
  row_products(stream, x, ordered, products);
}

}  // namespace

void frozen_linear_forward(Stream& stream, Arena& scratch, Tensor y, ConstTensor x,
                           std::span<const LinearPart> parts, ConstTensor xa) {
  expect(x.shape().rank() == 2, "frozen_linear_forward: x is a matrix");
  const GroupSizes sizes = check_parts(parts, x.dim(1));
  expect(is_matrix(y, x.dim(0), sizes.out), "frozen_linear_forward: y is [N, sum out]");
  expect(sizes.rank == 0 || is_matrix(xa, x.dim(0), sizes.rank),
         "frozen_linear_forward: xa is [N, sum R]");
  expect(!overlap(y, x), "frozen_linear_forward: y aliases x");
  if (stream.dry() && stream.on_cuda()) {
    const Arena::Scope scope(scratch);
    (void)ForwardBuffers(scratch, x, parts, xa);
    return;
  }
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::frozen_linear_forward(stream, scratch, y, x, parts, xa);
  const Arena::Scope scope(scratch);
  const ConstTensor x_wide = widened(stream, scratch, x), xa_wide = widened(stream, scratch, xa);
  const Tensor y_wide = f32_room(scratch, y);
  std::vector<ConstTensor> biases;
  for (const LinearPart& part : parts) biases.push_back(widened(stream, scratch, part.bias));
  const bool quantised = std::ranges::any_of(parts, [](const LinearPart& part) {
    return std::holds_alternative<Nf4Weight>(*part.weight);
  });
  const bool few = suits_row_products(x.dim(0), x.dim(1), quantised);
  // Taken for many rows too, so that more rows never need less scratch.
  const Tensor ordered =
      quantised ? scratch.alloc({std::min(x.dim(0), kMostQuantisedRows), x.dim(1)}, DType::f32)
                : Tensor();
  if (stream.dry()) return;
  const std::vector<PartView> views = views_of(parts);
  if (few)
    forward_few(stream, y_wide, x_wide, ordered, views, xa_wide, biases);
  else
    forward_many(stream, y_wide, x_wide, views, xa_wide, biases);
  round_into(stream, y, y_wide);
}

void frozen_linear_backward(Stream& stream, Arena& scratch, Tensor dx, ConstTensor dy,
                            std::span<const LinearPart> parts, ConstTensor dxa, ConstTensor a) {
  expect(dx.shape().rank() == 2, "frozen_linear_backward: dx is a matrix");
  const GroupSizes sizes = check_parts(parts, dx.dim(1));
  expect(is_matrix(dy, dx.dim(0), sizes.out), "frozen_linear_backward: dy is [N, sum out]");
  expect(bool(a) || !dxa, "frozen_linear_backward: dxa comes with a");
  const std::int64_t rank = a ? a.dim(0) : 0;
  if (a) {
    expect(
        is_matrix(a, rank, dx.dim(1)) && a.dtype() == DType::f32 && is_matrix(dxa, dx.dim(0), rank),
        "frozen_linear_backward: dxa is [N, sum R] and a f32 [sum R, in]");
    expect(!overlap(dx, dxa), "frozen_linear_backward: dx aliases dxa");
  }
  expect(!overlap(dx, dy), "frozen_linear_backward: dx aliases dy");
  if (stream.dry() && stream.on_cuda()) {
    const Arena::Scope scope(scratch);
    (void)BackwardBuffers(scratch, dy, parts, dxa, a);
    return;
  }
  if constexpr (kCudaBuilt)
    if (stream.on_cuda())
      return cuda::frozen_linear_backward(stream, scratch, dx, dy, parts, dxa, a);
  const Arena::Scope scope(scratch);
  const ConstTensor dy_wide = widened(stream, scratch, dy),
                    dxa_wide = widened(stream, scratch, dxa);
  const Tensor dx_wide = f32_room(scratch, dx);
  if (stream.dry()) return;
  GemmOutput output{.c = dx_wide.as<float>(),
                    .row_stride = dx.dim(1),
                    .columns = dx.dim(1),
                    .beta = 0,
                    .bias = nullptr,
                    .terms = {}};
  for (const PartView& view : views_of(parts))
    output.terms.push_back({.a = dy_wide.as<float>() + view.first_column,
                            .row_stride = sizes.out,
                            .depth_stride = 1,
                            .depth = view.out,
                            .pack_b = backward_panels(*view.part->weight),
                            .alpha = 1});
  if (a)
    output.terms.push_back({.a = dxa_wide.as<float>(),
                            .row_stride = rank,
                            .depth_stride = 1,
                            .depth = rank,
                            .pack_b = dense_panels(a.data(), DType::f32, a.dim(1)),
                            .alpha = 1});
  gemm(stream, dx.dim(0), {&output, 1});
  round_into(stream, dx, dx_wide);
}

void lora_b_backward(Stream& stream, Arena& scratch, Tensor dxa, std::span<const Tensor> db,
                     ConstTensor dy, ConstTensor xa, std::span<const LinearPart> parts) {
  expect(db.size() == parts.size(), "lora_b_backward: one db a part");
  expect(!parts.empty() && parts[0].weight != nullptr, "lora_b_backward: no parts");
  const GroupSizes sizes = check_parts(parts, shape_of(*parts[0].weight)[1]);
  expect(dy.shape().rank() == 2 && dy.dim(1) == sizes.out, "lora_b_backward: dy is [N, sum out]");
  expect(is_matrix(dxa, dy.dim(0), sizes.rank) && is_matrix(xa, dy.dim(0), sizes.rank),
         "lora_b_backward: dxa and xa are [N, sum R]");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    expect(bool(db[i]) == bool(parts[i].lora_b), "lora_b_backward: db where the part has lora_b");
    if (db[i])
      expect(db[i].shape() == parts[i].lora_b.shape() && db[i].dtype() == DType::f32,
             "lora_b_backward: db is f32 [out, R]");
  }
  expect(!overlap(dxa, dy) && !overlap(dxa, xa), "lora_b_backward: dxa aliases an operand");
  if (stream.dry() && stream.on_cuda()) {
    const Arena::Scope scope(scratch);
    (void)LoraBuffers(scratch, dy, parts, xa);
    return;
  }
  if constexpr (kCudaBuilt)
    if (stream.on_cuda()) return cuda::lora_b_backward(stream, scratch, dxa, db, dy, xa, parts);
  const Arena::Scope scope(scratch);
  const ConstTensor dy_wide = widened(stream, scratch, dy), xa_wide = widened(stream, scratch, xa);
  const Tensor dxa_wide = f32_room(scratch, dxa);
  const Tensor scaled_xa = scratch.alloc(xa.shape(), DType::f32);
  if (stream.dry()) return;
  const std::vector<PartView> views = views_of(parts);
  scale_columns(stream, scaled_xa, xa_wide, views);
  std::vector<GemmOutput> to_dxa;
  for (const PartView& view : views) {
    if (view.rank == 0) continue;
    const LinearPart& part = *view.part;
    const float* const dy_part = dy_wide.as<float>() + view.first_column;
    to_dxa.push_back({.c = dxa_wide.as<float>() + view.first_rank,
                      .row_stride = sizes.rank,
                      .columns = view.rank,
                      .beta = 0,
                      .bias = nullptr,
                      .terms = {{.a = dy_part,
                                 .row_stride = sizes.out,
                                 .depth_stride = 1,
                                 .depth = view.out,
                                 .pack_b = dense_panels(part.lora_b.data(), DType::f32, view.rank),
                                 .alpha = part.lora_scale}}});
    // db^T = xa^T dy: dy is read once, along its rows.
    const GemmOutput to_db{.c = db[std::size_t(view.part - parts.data())].as<float>(),
                           .row_stride = view.rank,
                           .columns = view.out,
                           .beta = 1,
                           .bias = nullptr,
                           .terms = {{.a = scaled_xa.as<float>() + view.first_rank,
                                      .row_stride = 1,
                                      .depth_stride = sizes.rank,
                                      .depth = dy.dim(0),
                                      .pack_b = dense_panels(dy_part, DType::f32, sizes.out),
                                      .b = dy_part,
                                      .b_stride = sizes.out,
                                      .alpha = 1}},
                           .transposed = true};
    gemm(stream, view.rank, {&to_db, 1});
  }
  gemm(stream, dy.dim(0), to_dxa);
  round_into(stream, dxa, dxa_wide);
}

}  // namespace elenchus::ops
