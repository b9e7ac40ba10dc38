#include "bench/fma_peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_peak.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace elenchus::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// `rounds` times twelve independent chains; gives the operations done, and a value so that none is
/// left out.
double multiply_add(std::int64_t rounds, float* out) {
  const hn::ScalableTag<float> d;
  const auto scale = hn::Set(d, 0.999f), shift = hn::Set(d, 0.001f);
  // Each chain starts elsewhere, or the compiler would see that they are one.
  auto a = hn::Set(d, 1.0f), b = hn::Set(d, 1.1f), c = hn::Set(d, 1.2f), e = hn::Set(d, 1.3f);
  auto f = hn::Set(d, 1.4f), g = hn::Set(d, 1.5f), h = hn::Set(d, 1.6f), i = hn::Set(d, 1.7f);
  auto j = hn::Set(d, 1.8f), k = hn::Set(d, 1.9f), l = hn::Set(d, 2.0f), m = hn::Set(d, 2.1f);
  for (std::int64_t round = 0; round < rounds; ++round) {
    a = hn::MulAdd(a, scale, shift), b = hn::MulAdd(b, scale, shift),
    c = hn::MulAdd(c, scale, shift);
    e = hn::MulAdd(e, scale, shift), f = hn::MulAdd(f, scale, shift),
    g = hn::MulAdd(g, scale, shift);
    h = hn::MulAdd(h, scale, shift), i = hn::MulAdd(i, scale, shift),
    j = hn::MulAdd(j, scale, shift);
    k = hn::MulAdd(k, scale, shift), l = hn::MulAdd(l, scale, shift),
    m = hn::MulAdd(m, scale, shift);
  }
  for (const auto v : {b, c, e, f, g, h, i, j, k, l, m}) a = hn::Add(a, v);
  *out = hn::GetLane(a);
  return 2.0 * 12 * double(hn::Lanes(d)) * double(rounds);
}

}  // namespace elenchus::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace elenchus {

HWY_EXPORT(multiply_add);

double fma_peak_gflops(ThreadPool& pool) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t kRounds = 4'000'000;
  std::vector<float> sinks(std::size_t(pool.threads()) * 64);
  double best = 0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    std::vector<double> operations(std::size_t(pool.threads()));
    const auto began = Clock::now();
    pool.run(pool.threads(), [&](std::int64_t t, int) {
      operations[std::size_t(t)] =
          HWY_DYNAMIC_DISPATCH(multiply_add)(kRounds, &sinks[std::size_t(t) * 64]);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    double all = 0;
    for (const double n : operations) all += n;
    best = std::max(best, all / seconds * 1e-9);
  }
  return best;
}

}  // namespace elenchus
#endif
