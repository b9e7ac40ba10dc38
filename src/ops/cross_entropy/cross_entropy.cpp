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
  double logits = 0;
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

/// The logits as the loss sees them, in f32, and their slope against what is stored.
struct Capped {
  FloatVector value, slope;
};
template <bool kCaps>
HWY_INLINE Capped capped(Floats d, FloatVector x, float cap) {
  if constexpr (!kCaps) return {x, hn::Set(d, 1.0f)};
  const auto t = vec::tanh(d, hn::Div(x, hn::Set(d, cap)));
  return {hn::Mul(t, hn::Set(d, cap)), hn::NegMulAdd(t, t, hn::Set(d, 1.0f))};
}

/// Largest logit of a chunk, merged into `row`. Indices count from `first`.
template <class T, bool kCaps>
void find_maximum(const T* x, std::size_t n, std::int32_t first, float cap, RowSums& row) {
  const Floats d;
  const hn::RebindToSigned<Floats> integers;
  auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto at = hn::Set(integers, first);
  vec::for_vectors(d, n, [&](std::size_t i, auto extent) HWY_ATTR {
    const auto v = capped<kCaps>(d, vec::load(d, x + i, extent), cap).value;
    const auto index = hn::Iota(integers, first + std::int32_t(i));
    auto larger = hn::Gt(v, best);
    if constexpr (std::is_same_v<decltype(extent), vec::Part>)
      larger = hn::And(larger, hn::FirstN(d, extent.count));
    best = hn::IfThenElse(larger, v, best);
    at = hn::IfThenElse(hn::RebindMask(integers, larger), index, at);
  });
  best_lane(d, best, at, row);
}

/// Sum of exp(logit - maximum), and of the logits themselves where kSmooths.
template <class T, bool kCaps, bool kSmooths>
void add_exponentials(const T* x, std::size_t n, float cap, RowSums& row) {
  const Floats d;
  const bool nothing = row.maximum == -std::numeric_limits<float>::infinity();
  const auto maximum = hn::Set(d, nothing ? 0.0f : row.maximum);
  const auto f = [=](FloatVector acc, FloatVector v)
                     HWY_ATTR { return hn::Add(acc, vec::exp(d, hn::Sub(v, maximum))); };
  const std::size_t whole = n / hn::Lanes(d) * hn::Lanes(d);
  row.exponentials += vec::sum(
      d, whole,
      [=](FloatVector acc, FloatVector v)
          HWY_ATTR { return f(acc, capped<kCaps>(d, v, cap).value); },
      x);
  if constexpr (kSmooths)
    row.logits += vec::sum(
        d, n,
        [=](FloatVector acc, FloatVector v)
            HWY_ATTR { return hn::Add(acc, capped<kCaps>(d, v, cap).value); },
        x);
  for (std::size_t i = whole; i < n; ++i) {
    const auto one = vec::load(d, x + i, vec::Part{1});
    row.exponentials += hn::GetLane(f(hn::Zero(d), capped<kCaps>(d, one, cap).value));
  }
}

/// x = slope (weight (softmax(x) - smoothing / V)): the gradient but for its target's share.
template <class T, bool kCaps>
void write_gradient(T* x, std::size_t n, float cap, float log_sum, float weight, float smoothing) {
  const Floats d;
  const auto log_sums = hn::Set(d, log_sum), weights = hn::Set(d, weight);
  const auto even = hn::Set(d, smoothing / float(n));
  vec::transform(
      d, n, x,
      [=](FloatVector v) HWY_ATTR {
        const Capped logit = capped<kCaps>(d, v, cap);
        const auto p = vec::exp(d, hn::Sub(logit.value, log_sums));
        return hn::Mul(hn::Mul(weights, hn::Sub(p, even)), logit.slope);
      },
      x);
}

template <class T, bool kCaps>
void row_loss(const CrossEntropyTask& task, std::int64_t n) {
  constexpr std::size_t kChunk = 4096;
  const auto& options = task.options;
  const float cap = options.soft_cap, smoothing = options.label_smoothing;
  const std::size_t classes = std::size_t(task.logits.dim(1));
  T* const x = task.logits.as<T>() + n * std::int64_t(classes);
  const std::int64_t target = task.targets.as<std::int32_t>()[n];
  expect(target >= 0 && target < std::int64_t(classes), "cross_entropy: no such target");
  RowSums row;
  for (std::size_t begin = 0; begin < classes; begin += kChunk) {
    const std::size_t count = std::min(kChunk, classes - begin);
    const float before = row.maximum;
    find_maximum<T, kCaps>(x + begin, count, std::int32_t(begin), cap, row);
    if (row.exponentials != 0) row.exponentials *= std::exp(double(before) - double(row.maximum));
    if (smoothing != 0)
      add_exponentials<T, kCaps, true>(x + begin, count, cap, row);
    else
      add_exponentials<T, kCaps, false>(x + begin, count, cap, row);
  }
  const float stored = static_cast<float>(x[target]);
  const float tangent = kCaps ? std::tanh(stored / cap) : 0;
  const float logit = kCaps ? cap * tangent : stored;
  const double log_sum = double(row.maximum) + std::log(row.exponentials);
  const float weight = options.class_weights ? options.class_weights.as<float>()[target] : 1.0f;
  const double mean = log_sum - row.logits / double(classes);
  const double loss = (1 - double(smoothing)) * (log_sum - double(logit)) +
                      (smoothing != 0 ? double(smoothing) * mean : 0.0);
  task.row_loss.as<float>()[n] = float(double(weight) * loss);
  if (task.prediction) task.prediction.as<std::int32_t>()[n] = row.argmax;
  if (task.after == LogitsAfter::kept) return;
  const float scale = weight * options.gradient_scale;
  write_gradient<T, kCaps>(x, classes, cap, float(log_sum), scale, smoothing);
  const float slope = kCaps ? 1 - tangent * tangent : 1.0f;
  const float p = std::exp(float(double(logit) - log_sum));
  x[target] = T((p - (1 - smoothing) - smoothing / float(classes)) * scale * slope);
}

void loss_rows(const CrossEntropyTask& task, std::int64_t first, std::int64_t last) {
  visit_float(task.logits.dtype(), [&]<class T>() {
    for (std::int64_t n = first; n < last; ++n) {
      if (task.options.soft_cap != 0)
        row_loss<T, true>(task, n);
      else
        row_loss<T, false>(task, n);
    }
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
             [&](auto first, auto last) { HWY_DYNAMIC_DISPATCH(loss_rows)
                                          (task, first, last); });
}

}  // namespace elenchus::ops
#endif  // HWY_ONCE
