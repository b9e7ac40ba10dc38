// Time, arithmetic and traffic of the ops at the shapes of a small model (SmolLM2-135M: width 576,
// 9 query and 3 kv heads of 64, MLP 1536, vocabulary 49152).
//   ops_bench [threads]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "ops/adamw/adamw.h"
#include "ops/attention/attention.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/dropout/dropout.h"
#include "ops/elementwise/elementwise.h"
#include "ops/embedding/embedding.h"
#include "ops/gated_mlp/gated_mlp.h"
#include "ops/grad_norm/grad_norm.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"

namespace elenchus {
namespace {

/// The best of several runs, in seconds: others share the machine.
double best_seconds(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9, total = 0;
  for (int i = 0; i < 100 && (i < 5 || total < 0.5); ++i) {
    const auto start = Clock::now();
    call();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

void report(const std::string& name, double amount, const char* unit,
            const std::function<void()>& call) {
  const double seconds = best_seconds(call);
  std::printf("%-34s %9.3f ms %8.1f %s\n", name.c_str(), seconds * 1e3, amount / seconds * 1e-9,
              unit);
}

class Bench {
 public:
  explicit Bench(int threads)
      : stream_(Stream::open({}, threads)), arena_(*stream_, std::size_t{1} << 30) {}

  void run() {
    rows();
    loss();
    optimizer();
    attention("4 x 256", std::vector<int>(4, 256));
    attention("8 x 130", std::vector<int>(8, 130));
    attention("1 x 2048", {2048});
    cached();
  }

 private:
  Buffer noise(Shape shape) {
    Buffer buffer(*stream_, shape, DType::f32);
    const RandomKey key{};
    std::uint64_t i = 0;
    for (float& v : buffer.tensor().values<float>()) v = 2 * key.uniform(i++) - 1;
    return buffer;
  }
  Buffer integers(std::int64_t count, int bound) {
    Buffer buffer(*stream_, {count}, DType::i32);
    std::int32_t i = 0;
    for (std::int32_t& v : buffer.tensor().values<std::int32_t>()) v = i++ % bound;
    return buffer;
  }

  void rows() {
    constexpr std::int64_t N = 1024, C = 576, F = 1536;
    const Buffer x = noise({N, C}), y = noise({N, C}), dy = noise({N, C}), weight = noise({C});
    const Buffer rstd = noise({N}), gate_up = noise({N, 2 * F}), mlp = noise({N, F});
    const Buffer dgate_up = noise({N, 2 * F}), qkv = noise({N, 960}), angles = noise({256, 32});
    const Buffer positions = integers(N, 256), table = noise({49152, C});
    Stream& s = *stream_;
    report("rms_norm_forward", 8.0 * N * C, "GB/s", [&] {
      ops::rms_norm_forward(s, y.tensor(), rstd.tensor(), x.tensor(), weight.tensor(), 1e-5f);
    });
    report("rms_norm_backward", 16.0 * N * C, "GB/s", [&] {
      ops::rms_norm_backward(s, y.tensor(), dy.tensor(), x.tensor(), weight.tensor(),
                             rstd.tensor());
    });
    report("rope_forward", 8.0 * N * 768, "GB/s", [&] {
      ops::rope_forward(s, qkv.tensor(), positions.tensor(), angles.tensor(), angles.tensor(), 12);
    });
    for (const auto act : {ops::Activation::silu, ops::Activation::gelu_tanh}) {
      const std::string name = act == ops::Activation::silu ? " silu" : " gelu";
      report("gated_mlp_forward" + name, 12.0 * N * F, "GB/s",
             [&] { ops::gated_mlp_forward(s, mlp.tensor(), gate_up.tensor(), act); });
      report("gated_mlp_backward" + name, 24.0 * N * F, "GB/s", [&] {
        ops::gated_mlp_backward(s, dgate_up.tensor(), mlp.tensor(), mlp.tensor(), gate_up.tensor(),
                                act);
      });
    }
    report("embedding_forward", 8.0 * N * C, "GB/s",
           [&] { ops::embedding_forward(s, y.tensor(), table.tensor(), positions.tensor()); });
    report("add", 12.0 * N * C, "GB/s", [&] { ops::add(s, y.tensor(), x.tensor(), dy.tensor()); });
    report("dropout", 8.0 * N * C, "GB/s",
           [&] { ops::dropout(s, y.tensor(), x.tensor(), 0.1f, RandomKey{}); });
  }

  void loss() {
    for (const auto& [N, V] : {std::pair<std::int64_t, std::int64_t>{512, 49152}, {64, 256000}}) {
      const Buffer logits = noise({N, V}), losses = noise({N});
      const Buffer targets = integers(N, 1000), best = integers(N, 1);
      const std::string shape = " " + std::to_string(N) + "x" + std::to_string(V);
      report("cross_entropy kept" + shape, 4.0 * double(N * V), "GB/s", [&] {
        ops::cross_entropy(*stream_, losses.tensor(), best.tensor(), logits.tensor(),
                           targets.tensor(), ops::LogitsAfter::kept);
      });
      report("cross_entropy gradient" + shape, 8.0 * double(N * V), "GB/s", [&] {
        ops::cross_entropy(*stream_, losses.tensor(), {}, logits.tensor(), targets.tensor(),
                           ops::LogitsAfter::gradient);
      });
    }
  }

  void optimizer() {
    constexpr std::int64_t n = 1 << 22;
    const Buffer w = noise({n}), m = noise({n}), g = noise({n});
    Buffer v = noise({n});
    for (float& value : v.tensor().values<float>()) value *= value;
    report("adamw_step 4M", 28.0 * n, "GB/s", [&] {
      ops::adamw_step(*stream_, w.tensor(), m.tensor(), v.tensor(), g.tensor(),
                      {.learning_rate = 1e-9});
    });
    report("sum_of_squares 4M", 4.0 * n, "GB/s",
           [&] { (void)ops::sum_of_squares(*stream_, g.tensor()); });
  }

  void attention(const std::string& name, const std::vector<int>& lengths) {
    const ops::AttentionShape shape{.heads = 9, .kv_heads = 3, .head_dim = 64, .scale = 0.125f};
    std::vector<std::int32_t> starts = {0};
    double pairs = 0;
    for (const int n : lengths) {
      starts.push_back(starts.back() + n);
      pairs += 0.5 * n * (n + 1);
    }
    const std::int64_t N = starts.back();
    const ConstTensor device_starts(starts.data(), {std::int64_t(starts.size())}, DType::i32);
    const Sequences sequences{device_starts, starts};
    const Buffer qkv = noise({N, shape.row()}), out = noise({N, 576}), dout = noise({N, 576});
    const Buffer sums = noise({N, 9}), dqkv = noise({N, shape.row()});
    const double product = 2 * pairs * 64 * 9;
    report("attention_forward " + name, 2 * product, "GFLOP/s", [&] {
      ops::attention_forward(*stream_, arena_, out.tensor(), sums.tensor(), qkv.tensor(), sequences,
                             shape);
    });
    report("attention_backward " + name, 5 * product, "GFLOP/s", [&] {
      ops::attention_backward(*stream_, arena_, dqkv.tensor(), dout.tensor(), out.tensor(),
                              sums.tensor(), qkv.tensor(), sequences, shape);
    });
  }

  void cached() {
    const ops::AttentionShape shape{.heads = 9, .kv_heads = 3, .head_dim = 64, .scale = 0.125f};
    for (const auto& [S, length] : {std::pair{1, 256}, {8, 512}, {8, 4000}}) {
      std::vector<std::int32_t> starts(std::size_t(S) + 1), lengths(std::size_t(S), length);
      std::iota(starts.begin(), starts.end(), 0);
      const Sequences sequences{ConstTensor(starts.data(), {S + 1}, DType::i32), starts};
      const Buffer qkv = noise({S, shape.row()}), out = noise({S, 576});
      const Buffer keys = noise({S, 4096, 3, 64}), values = noise({S, 4096, 3, 64});
      report("attention_cached " + std::to_string(S) + " x " + std::to_string(length),
             2.0 * 4 * S * length * 3 * 64, "GB/s", [&] {
               ops::attention_cached(*stream_, arena_, out.tensor(), qkv.tensor(), keys.tensor(),
                                     values.tensor(), sequences,
                                     ConstTensor(lengths.data(), {S}, DType::i32), lengths, shape);
             });
    }
  }

  std::unique_ptr<Stream> stream_;
  Arena arena_;
};

}  // namespace
}  // namespace elenchus

int main(int argc, char** argv) {
  elenchus::Bench(argc > 1 ? std::atoi(argv[1]) : 0).run();
  return 0;
}
