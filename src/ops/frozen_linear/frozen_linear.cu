#include "ops/frozen_linear/frozen_linear.h"

#include "ops/cuda/product.cuh"
#include "ops/cuda/vector.cuh"
#include "ops/elementwise/elementwise.h"
#include "ops/frozen_linear/group_buffers.h"
#include "ops/nf4/nf4_rows.cuh"

namespace elenchus::ops::cuda {
namespace {

constexpr int kMaxParts = 8;

/// The factors B of a group, where each lies in the block-diagonal matrix.
struct LoraParts {
  struct Part {
    const float* b;
    std::int64_t first_out, out, first_rank, rank;
    float scale;
  };
  Part parts[kMaxParts];
  int count = 0;

  explicit LoraParts(std::span<const LinearPart> group) {
    expect(group.size() <= kMaxParts, "frozen_linear: more parts than a group may have");
    std::int64_t out = 0, rank = 0;
    for (const LinearPart& part : group) {
      const std::int64_t rows = shape_of(*part.weight)[0];
      const std::int64_t columns = part.lora_b ? part.lora_b.dim(1) : 0;
      if (part.lora_b)
        parts[count++] = {part.lora_b.as<float>(), out, rows, rank, columns, part.lora_scale};
      out += rows;
      rank += columns;
    }
  }
};

/// Columns [0, columns) of every row: s B on the diagonal, else zero.
template <class T>
__global__ void lora_kernel(T* to, std::int64_t stride, std::int64_t columns, std::int64_t elements,
                            LoraParts group) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  const std::int64_t n = i / columns, r = i % columns;
  float value = 0;
  for (int p = 0; p < group.count; ++p) {
    const LoraParts::Part& part = group.parts[p];
    const std::int64_t row = n - part.first_out, column = r - part.first_rank;
    if (row >= 0 && row < part.out && column >= 0 && column < part.rank)
      value = part.scale * part.b[row * part.rank + column];
  }
  to[n * stride + r] = from_float<T>(value);
}

/// A row-major matrix in device memory, rows `stride` elements apart.
struct Placed {
  void* data;
  DType dtype;
  std::int64_t stride;
  /// The same from that row and column on.
  Placed at(std::int64_t row, std::int64_t column) const {
    return {static_cast<std::byte*>(data) + std::size_t(row * stride + column) * size_of(dtype),
            dtype, stride};
  }
};
Placed placed(const Tensor& t) { return {t.data(), t.dtype(), t.dim(1)}; }
const void* element(const ConstTensor& t, std::int64_t index) {
  return static_cast<const std::byte*>(t.data()) + std::size_t(index) * size_of(t.dtype());
}

void write_lora(CudaStream& device, Placed to, std::int64_t columns,
                std::span<const LinearPart> parts, std::int64_t out) {
  const std::int64_t elements = out * columns;
  visit_native(to.dtype, [&]<class T>() {
    lora_kernel<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(
        static_cast<T*>(to.data), to.stride, columns, elements, LoraParts(parts));
  });
  check_launch("writing LoRA columns");
}

/// Copies `from`, and zeros in what is left of `columns`.
template <class T, class X>
__global__ void place_kernel(T* to, std::int64_t stride, const X* from, std::int64_t from_columns,
                             std::int64_t columns, std::int64_t elements) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  const std::int64_t row = i / columns, column = i % columns;
  to[row * stride + column] =
      from_float<T>(column < from_columns ? to_float(from[row * from_columns + column]) : 0.0f);
}

/// Writes `from` [rows, C] into columns [0, C) of `to`, and zeros up to `columns`.
void place(CudaStream& device, Placed to, ConstTensor from, std::int64_t columns) {
  const std::int64_t rows = from.dim(0), width = from.dim(1), elements = rows * columns;
  if (elements == 0) return;
  if (from.dtype() == to.dtype && width == columns) {
    const std::size_t size = size_of(to.dtype);
    check_cuda(cudaMemcpy2DAsync(to.data, std::size_t(to.stride) * size, from.data(),
                                 std::size_t(width) * size, std::size_t(width) * size,
                                 std::size_t(rows), cudaMemcpyDeviceToDevice, device.queue()),
               "placing a matrix");
    return;
  }
  visit_native(to.dtype, [&]<class T>() {
    visit_native(from.dtype(), [&]<class X>() {
      place_kernel<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(
          static_cast<T*>(to.data), to.stride, data_as<X>(from), width, columns, elements);
    });
  });
  check_launch("placing a matrix");
}

/// The weights of all parts, one under the other.
void expand(CudaStream& device, Placed to, std::span<const LinearPart> parts) {
  const WorkTimer timer(device, WorkPart::dequantisation);
  for (const LinearPart& part : parts) {
    if (const auto* const nf4 = std::get_if<Nf4Weight>(part.weight))
      dequantize_rows(device, to.data, to.dtype, to.stride, *nf4);
    else {
      const ConstTensor& matrix = std::get<DenseWeight>(*part.weight).matrix;
      place(device, to, matrix, matrix.dim(1));
    }
    to = to.at(shape_of(*part.weight)[0], 0);
  }
}

template <class T, class B>
__global__ void bias_kernel(T* y, std::int64_t stride, const B* bias, std::int64_t columns,
                            std::int64_t elements) {
  const std::int64_t i = thread_index();
  if (i >= elements) return;
  const std::int64_t column = i % columns;
  y[i / columns * stride + column] = from_float<T>(bias ? to_float(bias[column]) : 0.0f);
}

/// Starts y at the biases; returns whether there were any.
bool write_biases(CudaStream& device, Tensor y, std::span<const LinearPart> parts) {
  bool any = false;
  for (const LinearPart& part : parts) any = any || part.bias;
  if (!any) return false;
  Placed to = placed(y);
  for (const LinearPart& part : parts) {
    const std::int64_t out = shape_of(*part.weight)[0], elements = y.dim(0) * out;
    visit_native(y.dtype(), [&]<class T>() {
      visit_native(part.bias ? part.bias.dtype() : DType::f32, [&]<class B>() {
        bias_kernel<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(
            static_cast<T*>(to.data), to.stride, data_as<B>(part.bias), out, elements);
      });
    });
    check_launch("writing biases");
    to = to.at(0, out);
  }
  return true;
}

/// The tensor in the dtype of `room`, if there is room.
ConstTensor converted(Stream& stream, Tensor room, ConstTensor t) {
  if (!room) return t;
  convert(stream, room, t);
  return room;
}

}  // namespace

void frozen_linear_forward(Stream& stream, Arena& scratch, Tensor y, ConstTensor x,
                           std::span<const LinearPart> parts, ConstTensor xa) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  if (y.elements() == 0) return;
  const Arena::Scope scope(scratch);
  const ForwardBuffers buffers(scratch, x, parts, xa);
  const GroupPlan& plan = buffers.plan;
  const std::int64_t tail = buffers.columns - plan.in;
  Product product{.rows = x.dim(0),
                  .columns = plan.out,
                  .depth = buffers.columns,
                  .dtype = x.dtype(),
                  .result_dtype = y.dtype(),
                  .a = {x.data(), plan.in},
                  .c = y.data(),
                  .c_stride = plan.out,
                  .beta = write_biases(device, y, parts) ? 1.0f : 0.0f};
  if (plan.expanded) {
    expand(device, placed(buffers.weight), parts);
    if (buffers.joined) {
      write_lora(device, placed(buffers.weight).at(0, plan.in), tail, parts, plan.out);
      place(device, placed(buffers.input), x, plan.in);
      place(device, placed(buffers.input).at(0, plan.in), xa, tail);
      product.a = {buffers.input.data(), buffers.columns};
    }
    product.b = {buffers.weight.data(), buffers.columns, true};
    multiply(device, product);
  } else {
    Placed to = placed(y);
    for (const LinearPart& part : parts) {
      const ConstTensor& matrix = std::get<DenseWeight>(*part.weight).matrix;
      product.columns = matrix.dim(0);
      product.b = {matrix.data(), plan.in, true};
      product.c = to.data;
      multiply(device, product);
      to = to.at(0, matrix.dim(0));
    }
  }
  if (plan.rank == 0 || buffers.joined) return;
  const ConstTensor low = converted(stream, buffers.xa, xa);
  write_lora(device, placed(buffers.lora), buffers.lora.dim(1), parts, plan.out);
  multiply(device, {.rows = x.dim(0),
                    .columns = plan.out,
                    .depth = plan.rank,
                    .dtype = x.dtype(),
                    .result_dtype = y.dtype(),
                    .a = {low.data(), plan.rank},
                    .b = {buffers.lora.data(), buffers.lora.dim(1), true},
                    .c = y.data(),
                    .c_stride = plan.out,
                    .beta = 1});
}

void frozen_linear_backward(Stream& stream, Arena& scratch, Tensor dx, ConstTensor dy,
                            std::span<const LinearPart> parts, ConstTensor dxa, ConstTensor a) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  if (dx.elements() == 0) return;
  const Arena::Scope scope(scratch);
  const BackwardBuffers buffers(scratch, dy, parts, dxa, a);
  const GroupPlan& plan = buffers.plan;
  const std::int64_t tail = buffers.columns - plan.out;
  Product product{.rows = dy.dim(0),
                  .columns = plan.in,
                  .depth = buffers.columns,
                  .dtype = dy.dtype(),
                  .result_dtype = dx.dtype(),
                  .a = {dy.data(), plan.out},
                  .c = dx.data(),
                  .c_stride = plan.in};
  if (plan.expanded) {
    expand(device, placed(buffers.weight), parts);
    if (buffers.joined) {
      const Tensor rows = buffers.weight.rows(plan.out, tail);
      stream.zero(rows);
      place(device, placed(rows), a, plan.in);
      place(device, placed(buffers.input), dy, plan.out);
      place(device, placed(buffers.input).at(0, plan.out), dxa, tail);
      product.a = {buffers.input.data(), buffers.columns};
    }
    product.b = {buffers.weight.data(), plan.in};
    multiply(device, product);
  } else {
    std::int64_t column = 0;
    for (const LinearPart& part : parts) {
      const ConstTensor& matrix = std::get<DenseWeight>(*part.weight).matrix;
      product.depth = matrix.dim(0);
      product.a = {element(dy, column), plan.out};
      product.b = {matrix.data(), plan.in};
      multiply(device, product);
      product.beta = 1;
      column += matrix.dim(0);
    }
  }
  if (buffers.rank == 0 || buffers.joined) return;
  const ConstTensor low = converted(stream, buffers.dxa, dxa);
  const ConstTensor factor = converted(stream, buffers.a, a);
  multiply(device, {.rows = dy.dim(0),
                    .columns = plan.in,
                    .depth = buffers.rank,
                    .dtype = dy.dtype(),
                    .result_dtype = dx.dtype(),
                    .a = {low.data(), buffers.rank},
                    .b = {factor.data(), plan.in},
                    .c = dx.data(),
                    .c_stride = plan.in,
                    .beta = 1});
}

void lora_b_backward(Stream& stream, Arena& scratch, Tensor dxa, std::span<const Tensor> db,
                     ConstTensor dy, ConstTensor xa, std::span<const LinearPart> parts) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  if (xa.elements() == 0) return;
  const Arena::Scope scope(scratch);
  const LoraBuffers buffers(scratch, dy, parts, xa);
  const ConstTensor low = converted(stream, buffers.xa, xa);
  const std::int64_t rank = xa.dim(1), out = dy.dim(1);
  write_lora(device, placed(buffers.lora), buffers.lora.dim(1), parts, out);
  multiply(device, {.rows = dy.dim(0),
                    .columns = rank,
                    .depth = out,
                    .dtype = dy.dtype(),
                    .result_dtype = dxa.dtype(),
                    .a = {dy.data(), out},
                    .b = {buffers.lora.data(), buffers.lora.dim(1)},
                    .c = dxa.data(),
                    .c_stride = rank});
  std::int64_t column = 0, first_rank = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::int64_t part_out = shape_of(*parts[i].weight)[0];
    if (db[i]) {
      const std::int64_t part_rank = db[i].dim(1);
      multiply(device, {.rows = part_out,
                        .columns = part_rank,
                        .depth = dy.dim(0),
                        .dtype = dy.dtype(),
                        .result_dtype = DType::f32,
                        .a = {element(dy, column), out, true},
                        .b = {element(low, first_rank), rank},
                        .c = db[i].data(),
                        .c_stride = part_rank,
                        .alpha = parts[i].lora_scale,
                        .beta = 1});
      first_rank += part_rank;
    }
    column += part_out;
  }
}

}  // namespace elenchus::ops::cuda
