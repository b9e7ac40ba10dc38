#include "ops/cuda/vector.cuh"
#include "ops/elementwise/elementwise.h"

namespace elenchus::ops::cuda {
namespace {

template <int V, class Y, class B>
__global__ void add_kernel(Y* y, const Y* a, const B* b, std::int64_t packs) {
  const std::int64_t i = thread_index();
  if (i >= packs) return;
  Floats<V> sum = load<V>(a + i * V);
  const Floats<V> other = load<V>(b + i * V);
#pragma unroll
  for (int j = 0; j < V; ++j) sum[j] += other[j];
  store<V>(y + i * V, sum);
}

template <int V, class Y, class X>
__global__ void convert_kernel(Y* y, const X* x, std::int64_t packs) {
  const std::int64_t i = thread_index();
  if (i < packs) store<V>(y + i * V, load<V>(x + i * V));
}

template <int V, class T>
__global__ void cap_kernel(T* x, float cap, std::int64_t packs) {
  const std::int64_t i = thread_index();
  if (i >= packs) return;
  Floats<V> values = load<V>(x + i * V);
#pragma unroll
  for (int j = 0; j < V; ++j) values[j] = cap * tanhf(values[j] / cap);
  store<V>(x + i * V, values);
}

__global__ void fill_kernel(float* y, float value, std::int64_t elements) {
  const std::int64_t i = thread_index();
  if (i < elements) y[i] = value;
}

enum class Rows { gathered, scattered };

/// Pack i of the M indexed rows.
template <Rows kRows, int V, class T>
__global__ void rows_kernel(T* y, const T* x, const std::int32_t* index, std::int64_t row_packs,
                            std::int64_t packs) {
  const std::int64_t i = thread_index();
  if (i >= packs) return;
  const std::int64_t row = i / row_packs, column = i % row_packs;
  const std::int64_t elsewhere = (index[row] * row_packs + column) * V;
  if constexpr (kRows == Rows::gathered) {
    store<V>(y + i * V, load<V>(x + elsewhere));
  } else {
    Floats<V> sum = load<V>(y + elsewhere);
    const Floats<V> more = load<V>(x + i * V);
#pragma unroll
    for (int j = 0; j < V; ++j) sum[j] += more[j];
    store<V>(y + elsewhere, sum);
  }
}

template <Rows kRows>
void rows_by_index(Stream& stream, Tensor y, ConstTensor x, ConstTensor index) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t columns = y.dim(1), elements = index.elements() * columns;
  if (elements == 0) return;
  visit_native(y.dtype(), [&]<class T>() {
    with_width(takes_wide(columns, y, x), [&]<int V>() {
      rows_kernel<kRows, V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
          data_as<T>(y), data_as<T>(x), index.as<std::int32_t>(), columns / V, elements / V);
    });
  });
  check_launch("rows by index");
}

}  // namespace

void add(Stream& stream, Tensor y, ConstTensor a, ConstTensor b) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t elements = y.elements();
  if (elements == 0) return;
  visit_native(y.dtype(), [&]<class Y>() {
    visit_native(b.dtype(), [&]<class B>() {
      with_width(takes_wide(elements, y, a, b), [&]<int V>() {
        add_kernel<V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
            data_as<Y>(y), data_as<Y>(a), data_as<B>(b), elements / V);
      });
    });
  });
  check_launch("add");
}

void fill(Stream& stream, Tensor y, float value) {
  CudaStream& device = cuda_side(stream);
  const std::int64_t elements = y.elements();
  if (elements == 0) return;
  fill_kernel<<<blocks_for(elements), kBlockThreads, 0, device.queue()>>>(y.as<float>(), value,
                                                                          elements);
  check_launch("fill");
}

void convert(Stream& stream, Tensor y, ConstTensor x) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t elements = y.elements();
  if (elements == 0) return;
  visit_native(y.dtype(), [&]<class Y>() {
    visit_native(x.dtype(), [&]<class X>() {
      with_width(takes_wide(elements, y, x), [&]<int V>() {
        convert_kernel<V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
            data_as<Y>(y), data_as<X>(x), elements / V);
      });
    });
  });
  check_launch("convert");
}

void soft_cap(Stream& stream, Tensor x, float cap) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::elementwise);
  const std::int64_t elements = x.elements();
  if (elements == 0) return;
  visit_native(x.dtype(), [&]<class T>() {
    with_width(takes_wide(elements, x), [&]<int V>() {
      cap_kernel<V><<<blocks_for(elements / V), kBlockThreads, 0, device.queue()>>>(
          data_as<T>(x), cap, elements / V);
    });
  });
  check_launch("soft_cap");
}

void gather_rows(Stream& stream, Tensor y, ConstTensor x, ConstTensor index) {
  rows_by_index<Rows::gathered>(stream, y, x, index);
}

void scatter_add_rows(Stream& stream, Tensor y, ConstTensor x, ConstTensor index) {
  rows_by_index<Rows::scattered>(stream, y, x, index);
}

}  // namespace elenchus::ops::cuda
