#include "ops/cross_entropy/cross_entropy.h"

#include <cmath>
#include <limits>

#include "ops/cross_entropy/row_task.h"
#include "ops/dispatch.h"
#include "ops/simd/chunks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cross_entropy/cross_entropy.cpp"
#include "hwy/foreach_target.h"  // compiles the rest of this file once for every instruction set
#include "hwy/highway.h"
#include "ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::ops {
namespace {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace vec = simd::HWY_NAMESPACE;
using vec::Floats;
using vec::FloatVector;

/// What one pass over a row of logits finds.
struct RowSums {
  float maximum = -std::numeric_limits<float>::infinity();
  double exponentials = 0;  // of logit - maximum
  double logits = 0;        // times their class weights; with label smoothing only
  double weights = 0;       // of all classes
  std::int32_t argmax = 0;
};

/// The lowest index of the largest lane.
HWY_INLINE void best_lane(Floats d, FloatVector best, hn::Vec<hn::RebindToSigned<Floats>> at,
                          RowSums& row) {
  float values[hn::MaxLanes(Floats())];
  std::int32_t places[hn::MaxLanes(Floats())];
  hn::StoreU(best, d, values);
  hn::StoreU(at, hn::RebindToSigned<Floats>(), places);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
    const bool earlier = values[i] == row.maximum && places[i] < row.argmax;
    if (values[i] > row.maximum || earlier) {
      row.maximum = values[i];
      row.argmax = places[i];
    }
  }
}

constexpr std::size_t kChunk = 4096;

/// The logits as the loss sees them, f32 and capped: in place where they are that already, else in
/// `room`.
template <class T>
const float* read_chunk(const T* x, std::size_t n, float cap, float* room) {
  const Floats d;
  if (cap != 0) {
    const auto caps = hn::Set(d, cap);
    vec::transform(
        d, n, room,
        [=](FloatVector v) HWY_ATTR { return hn::Mul(caps, vec::tanh(d, hn::Div(v, caps))); }, x);
    return room;
  }
  if constexpr (std::is_same_v<T, float>) return x;
  vec::transform(
      d, n, room, [](FloatVector v) HWY_ATTR { return v; }, x);
  return room;
}

/// Largest logit of a chunk, merged into `row`. Indices count from `first`.
HWY_NOINLINE void find_maximum(const float* x, std::size_t n, std::int32_t first, RowSums& row) {
  const Floats d;
  const hn::RebindToSigned<Floats> integers;
  auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto at = hn::Set(integers, first);
  vec::for_vectors(d, n, [&](std::size_t i, auto extent) HWY_ATTR {
    const auto v = vec::load(d, x + i, extent);
    const auto index = hn::Iota(integers, first + std::int32_t(i));
    auto larger = hn::Gt(v, best);
    if constexpr (std::is_same_v<decltype(extent), vec::Part>)
      larger = hn::And(larger, hn::FirstN(d, extent.count));
    best = hn::IfThenElse(larger, v, best);
    at = hn::IfThenElse(hn::RebindMask(integers, larger), index, at);
  });
  best_lane(d, best, at, row);
}

/// Adds exp(logit - maximum) over a chunk.
HWY_NOINLINE void add_exponentials(const float* x, std::size_t n, RowSums& row) {
  const Floats d;
  const bool nothing = row.maximum == -std::numeric_limits<float>::infinity();
  const auto maximum = hn::Set(d, nothing ? 0.0f : row.maximum);
  auto sum = hn::Zero(d);
  vec::for_vectors(d, n, [&](std::size_t i, auto extent) HWY_ATTR {
    auto e = vec::exp(d, hn::Sub(vec::load(d, x + i, extent), maximum));
    if constexpr (std::is_same_v<decltype(extent), vec::Part>)
      e = hn::IfThenElseZero(hn::FirstN(d, extent.count), e);
    sum = hn::Add(sum, e);
  });
  row.exponentials += hn::GetLane(hn::SumOfLanes(d, sum));
}

/// Adds what label smoothing needs of a chunk: the sums of w and of w times the logits.
HWY_NOINLINE void add_smoothed(const float* x, std::size_t begin, std::size_t n, ConstTensor w,
                               RowSums& row) {
  const Floats d;
  const auto add = [](FloatVector acc, FloatVector v) HWY_ATTR { return hn::Add(acc, v); };
  if (!w) {
    row.weights += double(n);
    row.logits += vec::sum(d, n, add, x);
    return;
  }
  const float* const weights = w.as<float>() + begin;
  row.weights += vec::sum(d, n, add, weights);
  row.logits += vec::sum(
      d, n,
      [](FloatVector acc, FloatVector v, FloatVector wc)
          HWY_ATTR { return hn::MulAdd(v, wc, acc); },
      x, weights);
}

template <class T>
RowSums sum_row(const T* x, std::size_t classes, const CrossEntropyOptions& options) {
  RowSums row;
  float room[kChunk];
  for (std::size_t begin = 0; begin < classes; begin += kChunk) {
    const std::size_t count = std::min(kChunk, classes - begin);
    const float* const chunk = read_chunk(x + begin, count, options.soft_cap, room);
    const float before = row.maximum;
    find_maximum(chunk, count, std::int32_t(begin), row);
    if (row.exponentials != 0) row.exponentials *= std::exp(double(before) - double(row.maximum));
    add_exponentials(chunk, count, row);
    if (options.label_smoothing != 0) add_smoothed(chunk, begin, count, options.class_weights, row);
  }
  return row;
}

/// What a row's gradient is made of: (pull softmax(x)[c] - even w[c] - own [c = target]) times the
/// slope of the cap.
struct GradientParts {
  double pull = 0, even = 0, own = 0;
};

/// The gradient but for its target's own share.
template <class T>
void write_gradient(T* x, const CrossEntropyTask& task, float log_sum, const GradientParts& parts) {
  const Floats d;
  const float cap = task.options.soft_cap;
  const ConstTensor w = task.options.class_weights;
  const std::size_t classes = std::size_t(task.logits.dim(1));
  const auto log_sums = hn::Set(d, log_sum), pulls = hn::Set(d, float(parts.pull));
  const auto evens = hn::Set(d, float(parts.even));
  const auto per_cap = hn::Set(d, cap != 0 ? 1 / cap : 0.0f), one = hn::Set(d, 1.0f);
  const auto gradient = [=](FloatVector v, FloatVector even) HWY_ATTR {
    const auto p = vec::exp(d, hn::Sub(v, log_sums));
    const auto t = hn::Mul(v, per_cap);
    return hn::Mul(hn::MulSub(pulls, p, even), hn::NegMulAdd(t, t, one));
  };
  float room[kChunk];
  for (std::size_t begin = 0; begin < classes; begin += kChunk) {
    const std::size_t count = std::min(kChunk, classes - begin);
    const float* const chunk = read_chunk(x + begin, count, cap, room);
    if (w) {
      vec::transform(
          d, count, x + begin,
          [=](FloatVector v, FloatVector wc) HWY_ATTR { return gradient(v, hn::Mul(evens, wc)); },
          chunk, w.as<float>() + begin);
    } else {
      vec::transform(
          d, count, x + begin, [=](FloatVector v) HWY_ATTR { return gradient(v, evens); }, chunk);
    }
  }
}

template <class T>
void row_loss(const CrossEntropyTask& task, std::int64_t n) {
  const CrossEntropyOptions& options = task.options;
  const float cap = options.soft_cap;
  const double smoothing = options.label_smoothing;
  const std::size_t classes = std::size_t(task.logits.dim(1));
  T* const x = task.logits.as<T>() + n * std::int64_t(classes);
  const std::int64_t target = task.targets.as<std::int32_t>()[n];
  expect(target >= 0 && target < std::int64_t(classes), "cross_entropy: no such target");
  const RowSums row = sum_row(x, classes, options);
  const float tangent = cap != 0 ? std::tanh(static_cast<float>(x[target]) / cap) : 0;
  const float logit = cap != 0 ? cap * tangent : static_cast<float>(x[target]);
  const double log_sum = double(row.maximum) + std::log(row.exponentials);
  const double weight = options.class_weights ? options.class_weights.as<float>()[target] : 1.0f;
  const double own = (1 - smoothing) * weight, even = smoothing / double(classes);
  double loss = own * (log_sum - double(logit));
  if (smoothing != 0) loss += even * (row.weights * log_sum - row.logits);
  task.row_loss.as<float>()[n] = float(loss);
  if (task.prediction) task.prediction.as<std::int32_t>()[n] = row.argmax;
  if (task.after == LogitsAfter::kept) return;
  const double scale = options.gradient_scale;
  const GradientParts parts{
      .pull = scale * (own + even * row.weights), .even = scale * even, .own = scale * own};
  write_gradient(x, task, float(log_sum), parts);
  const double p = std::exp(double(logit) - log_sum);
  const double slope = 1 - double(tangent) * double(tangent);
  x[target] = T(float((parts.pull * p - parts.even * weight - parts.own) * slope));
}

void loss_rows(const CrossEntropyTask& task, std::int64_t first, std::int64_t last) {
  visit_float(task.logits.dtype(), [&]<class T>() {
    for (std::int64_t n = first; n < last; ++n) row_loss<T>(task, n);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace elenchus::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus::ops {
namespace {

HWY_EXPORT(loss_rows);
}  // namespace

void cross_entropy(Stream& stream, Tensor row_loss, Tensor prediction, Tensor logits,
                   ConstTensor targets, LogitsAfter after, const CrossEntropyOptions& options) {
  expect(logits.shape().rank() == 2, "cross_entropy: logits is not [N, V]");
  const Shape rows{logits.dim(0)};
  expect(row_loss.shape() == rows && row_loss.dtype() == DType::f32,
         "cross_entropy: row_loss is not f32 [N]");
  expect(!prediction || (prediction.shape() == rows && prediction.dtype() == DType::i32),
         "cross_entropy: prediction is not i32 [N]");
  expect(targets.shape() == rows && targets.dtype() == DType::i32,
         "cross_entropy: targets is not i32 [N]");
  expect(!options.class_weights || (options.class_weights.shape() == Shape{logits.dim(1)} &&
                                    options.class_weights.dtype() == DType::f32),
         "cross_entropy: class_weights is not f32 [V]");
  if (stream.dry()) return;
  if constexpr (kCudaBuilt)
    if (stream.on_cuda())
      return cuda::cross_entropy(stream, row_loss, prediction, logits, targets, after, options);
  const CrossEntropyTask task{row_loss, prediction, logits, targets, after, options};
  for_chunks(stream.pool(), logits.dim(0), rows_per_task(logits.dim(1)),
             [&](auto first, auto last) {
               HWY_DYNAMIC_DISPATCH(loss_rows)
               (task, first, last);
             });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
