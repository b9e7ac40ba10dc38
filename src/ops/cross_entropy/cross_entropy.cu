#include <limits>

#include "ops/cross_entropy/cross_entropy.h"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/vector.cuh"

namespace elenchus::ops::cuda {
namespace {

constexpr int kThreads = 1024;

/// One call, as elements.
struct Rows {
  float* row_loss;
  std::int32_t* prediction;  // or null
  const std::int32_t* targets;
  const float* class_weights;  // or null
  std::int64_t classes;
  float soft_cap, gradient_scale, smoothing;
  bool gradient;
};

/// What is known of part of a row. Sums of exponentials are relative to the maximum.
struct Part {
  float maximum = -INFINITY;
  float exponentials = 0;
  float logits = 0;   // times their class weights; with label smoothing only
  float weights = 0;  // of all classes
  std::int32_t argmax = std::numeric_limits<std::int32_t>::max();
};

/// exp(x - maximum), where a maximum of -infinity means that nothing has counted yet.
__device__ float relative(float x, float maximum) {
  return expf(x - (maximum == -INFINITY ? 0.0f : maximum));
}

__device__ Part combine(const Part& a, const Part& b) {
  Part out;
  out.maximum = fmaxf(a.maximum, b.maximum);
  out.exponentials = a.exponentials * relative(a.maximum, out.maximum) +
                     b.exponentials * relative(b.maximum, out.maximum);
  out.logits = a.logits + b.logits;
  out.weights = a.weights + b.weights;
  if (a.maximum == b.maximum)
    out.argmax = min(a.argmax, b.argmax);
  else
    out.argmax = a.maximum > b.maximum ? a.argmax : b.argmax;
  return out;
}

__device__ Part warp_combine(Part part) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    Part other;
    other.maximum = __shfl_xor_sync(kAllLanes, part.maximum, step);
    other.exponentials = __shfl_xor_sync(kAllLanes, part.exponentials, step);
    other.logits = __shfl_xor_sync(kAllLanes, part.logits, step);
    other.weights = __shfl_xor_sync(kAllLanes, part.weights, step);
    other.argmax = __shfl_xor_sync(kAllLanes, part.argmax, step);
    part = combine(part, other);
  }
  return part;
}

template <int V, class T>
__device__ Floats<V> capped(const T* from, float cap) {
  Floats<V> x = load<V>(from);
  if (cap != 0) {
#pragma unroll
    for (int j = 0; j < V; ++j) x[j] = cap * tanhf(x[j] / cap);
  }
  return x;
}

template <int V>
__device__ void include(Part& part, const Floats<V>& x, std::int64_t first) {
  float maximum = part.maximum;
#pragma unroll
  for (int j = 0; j < V; ++j) {
    if (x[j] > maximum) {
      maximum = x[j];
      part.argmax = std::int32_t(first) + j;
    }
  }
  if (maximum > part.maximum) {
    part.exponentials *= relative(part.maximum, maximum);
    part.maximum = maximum;
  }
#pragma unroll
  for (int j = 0; j < V; ++j) part.exponentials += relative(x[j], part.maximum);
}

/// The weights of V classes, 1 where there are none.
template <int V>
__device__ Floats<V> weights_of(const Rows& rows, std::int64_t first) {
  Floats<V> w;
#pragma unroll
  for (int j = 0; j < V; ++j) w[j] = rows.class_weights ? rows.class_weights[first + j] : 1.0f;
  return w;
}

template <int V>
__device__ void include_smoothed(Part& part, const Floats<V>& x, const Floats<V>& w) {
#pragma unroll
  for (int j = 0; j < V; ++j) {
    part.logits += w[j] * x[j];
    part.weights += w[j];
  }
}

/// The whole row's part, for every thread.
template <int V, class T>
__device__ Part sum_row(const T* x, const Rows& rows, Part* room) {
  Part part;
  for (std::int64_t c = threadIdx.x * V; c < rows.classes; c += kThreads * V) {
    const Floats<V> values = capped<V>(x + c, rows.soft_cap);
    include(part, values, c);
    if (rows.smoothing != 0) include_smoothed(part, values, weights_of<V>(rows, c));
  }
  part = warp_combine(part);
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  if (lane == 0) room[warp] = part;
  __syncthreads();
  return warp_combine(room[lane]);
}

template <int V, class T>
__global__ void __launch_bounds__(kThreads) loss_kernel(T* logits, Rows rows) {
  static_assert(kThreads == kWarp * kWarp);
  __shared__ Part room[kWarp];
  T* const x = logits + blockIdx.x * rows.classes;
  const std::int64_t target = rows.targets[blockIdx.x];
  const bool possible = target >= 0 && target < rows.classes;
  const float cap = rows.soft_cap, smoothing = rows.smoothing;
  const float raw = possible ? to_float(x[target]) : NAN;
  const float tangent = cap != 0 ? tanhf(raw / cap) : 0.0f;
  const float logit = cap != 0 ? cap * tangent : raw;
  const Part row = sum_row<V>(x, rows, room);
  const double log_sum = double(row.maximum) + log(double(row.exponentials));
  const float weight = rows.class_weights && possible ? rows.class_weights[target] : 1.0f;
  const float own = (1 - smoothing) * weight, even = smoothing / float(rows.classes);
  if (threadIdx.x == 0) {
    double loss = double(own) * (log_sum - double(logit));
    if (smoothing != 0) loss += double(even) * (double(row.weights) * log_sum - double(row.logits));
    rows.row_loss[blockIdx.x] = float(loss);
    if (rows.prediction) rows.prediction[blockIdx.x] = row.argmax < rows.classes ? row.argmax : 0;
  }
  if (!rows.gradient) return;
  const float scale = rows.gradient_scale, pull = scale * (own + even * row.weights);
  const float log_sums = float(log_sum);
  for (std::int64_t c = threadIdx.x * V; c < rows.classes; c += kThreads * V) {
    Floats<V> v = capped<V>(x + c, cap);
    const Floats<V> w = smoothing != 0 ? weights_of<V>(rows, c) : Floats<V>{};
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float t = cap != 0 ? v[j] / cap : 0.0f;
      const float share = c + j == target ? scale * own : 0.0f;
      const float p = expf(v[j] - log_sums);
      v[j] = (fmaf(pull, p, -share) - scale * even * w[j]) * fmaf(-t, t, 1.0f);
    }
    store<V>(x + c, v);
  }
}

}  // namespace

void cross_entropy(Stream& stream, Tensor row_loss, Tensor prediction, Tensor logits,
                   ConstTensor targets, LogitsAfter after, const CrossEntropyOptions& options) {
  CudaStream& device = cuda_side(stream);
  const WorkTimer timer(device, WorkPart::loss);
  if (logits.dim(0) == 0) return;
  const Rows rows{row_loss.as<float>(),
                  data_as<std::int32_t>(prediction),
                  targets.as<std::int32_t>(),
                  data_as<float>(options.class_weights),
                  logits.dim(1),
                  options.soft_cap,
                  options.gradient_scale,
                  options.label_smoothing,
                  after == LogitsAfter::gradient};
  visit_native(logits.dtype(), [&]<class T>() {
    with_width(takes_wide(rows.classes, logits), [&]<int V>() {
      loss_kernel<V>
          <<<unsigned(logits.dim(0)), kThreads, 0, device.queue()>>>(data_as<T>(logits), rows);
    });
  });
  check_launch("cross_entropy");
}

}  // namespace elenchus::ops::cuda
