// Speed of the CPU's matrix products, as a share of the machine's own multiply-add peak.
// Usage: gemm_bench [threads] [wall|busy] [avx2]     busy: by processor time a thread, for a
// machine with other load; imbalance between threads does not show then.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <hwy/targets.h>

#include "base/rng.h"
#include "ops/frozen_linear/frozen_linear.h"
#include "ops/matmul/gemm_kernel.h"
#include "ops/matmul/matmul.h"
#include "ops/nf4/nf4.h"
#include "tensor/arena.h"

namespace elenchus {
namespace {

/// Measures wall time, or processor time divided by the number of threads.
class Clock {
 public:
  Clock(int threads, bool busy) : threads_(threads), busy_(busy) {}

  /// The least time of repetitions over about 0.4 s: other load on the machine only ever adds.
  double best_seconds(const std::function<void()>& work) const {
    double best = seconds_of(work), spent = best;
    for (int i = 0; i < 500 && (spent < 0.4 || i < 3); ++i) {
      const double now = seconds_of(work);
      best = std::min(best, now);
      spent += now;
    }
    return best;
  }

 private:
  double now() const {
    if (busy_) return double(std::clock()) / CLOCKS_PER_SEC / threads_;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  double seconds_of(const std::function<void()>& work) const {
    const double begin = now();
    work();
    return now() - begin;
  }
  int threads_;
  bool busy_;
};

/// An f32 tensor of random values with its memory.
class Matrix {
 public:
  Matrix(Stream& stream, Shape shape) : buffer_(stream, shape, DType::f32) {
    const RandomKey key{.seed = 5};
    std::uint64_t i = 0;
    for (float& value : tensor().values<float>()) value = key.uniform(i++ % 4099) - 0.5f;
  }
  Tensor tensor() const { return buffer_.tensor(); }

 private:
  Buffer buffer_;
};

/// An NF4 weight with its memory.
struct QuantizedMatrix {
  QuantizedMatrix(Stream& stream, std::int64_t out, std::int64_t in)
      : sizes(out * in),
        codes(stream, {sizes.code_bytes}, DType::u8),
        scale_codes(stream, {sizes.scale_codes}, DType::u8),
        scale_scales(stream, {sizes.scale_scales}, DType::f32) {
    const Matrix values(stream, {out, in});
    const ops::Nf4Storage storage{codes.tensor(), scale_codes.tensor(), scale_scales.tensor()};
    const float offset = ops::quantize_nf4(stream, storage, values.tensor());
    weight = Nf4Weight{{out, in},
                       storage.codes,
                       storage.scale_codes,
                       storage.scale_scales,
                       ConstTensor(ops::dynamic_map().data(), {256}, DType::f32),
                       offset};
  }
  ops::Nf4Sizes sizes;
  Buffer codes, scale_codes, scale_scales;
  FrozenWeight weight;
};

class Bench {
 public:
  Bench(int threads, bool busy)
      : clock_(threads, busy),
        stream_(Stream::open({}, threads)),
        scratch_(*stream_, std::size_t{1} << 20) {
    peak_ = measure_peak(threads);
    std::printf("%d thread(s): multiply-add peak %.1f GFLOP/s\n", threads, peak_);
  }

  void group(const char* name, std::int64_t rows, std::int64_t in,
             const std::vector<std::int64_t>& outs, std::int64_t rank) {
    std::vector<std::unique_ptr<QuantizedMatrix>> weights;
    std::vector<Matrix> factors;
    std::vector<ops::LinearPart> parts;
    std::int64_t out = 0;
    for (const std::int64_t columns : outs) {
      weights.push_back(std::make_unique<QuantizedMatrix>(*stream_, columns, in));
      factors.emplace_back(*stream_, Shape{columns, std::max<std::int64_t>(rank, 1)});
      parts.push_back({.weight = &weights.back()->weight,
                       .bias = {},
                       .lora_b = rank ? ConstTensor(factors.back().tensor()) : ConstTensor(),
                       .lora_scale = 2});
      out += columns;
    }
    const std::int64_t all_ranks = rank * std::int64_t(outs.size());
    const Matrix x(*stream_, {rows, in}), y(*stream_, {rows, out}),
        xa(*stream_, {rows, std::max<std::int64_t>(all_ranks, 1)}),
        a(*stream_, {std::max<std::int64_t>(all_ranks, 1), in});
    const auto low = [&](const Matrix& m) { return rank ? m.tensor() : Tensor(); };
    const double flops = 2.0 * double(rows) * double(in * out + out * rank);
    report(std::string(name) + " forward", rows, flops, [&] {
      ops::frozen_linear_forward(*stream_, scratch_, y.tensor(), x.tensor(), parts, low(xa));
    });
    report(std::string(name) + " backward", rows,
           2.0 * double(rows) * double(in * out + in * all_ranks), [&] {
             ops::frozen_linear_backward(*stream_, scratch_, x.tensor(), y.tensor(), parts, low(xa),
                                         low(a));
           });
    if (rank == 0) return;
    std::vector<Matrix> gradients;
    std::vector<Tensor> db;
    for (const std::int64_t columns : outs) {
      gradients.emplace_back(*stream_, Shape{columns, rank});
      db.push_back(gradients.back().tensor());
    }
    const Matrix dxa(*stream_, {rows, all_ranks});
    report(std::string(name) + " lora_b backward", rows, 4.0 * double(rows) * double(out * rank),
           [&] {
             ops::lora_b_backward(*stream_, scratch_, dxa.tensor(), db, y.tensor(), xa.tensor(),
                                  parts);
           });
  }

  void head(std::int64_t rows) {
    const std::int64_t vocabulary = 49152, width = 576;
    const Matrix matrix(*stream_, {vocabulary, width}), x(*stream_, {rows, width}),
        logits(*stream_, {rows, vocabulary});
    const FrozenWeight weight = DenseWeight{matrix.tensor()};
    const ops::LinearPart part{.weight = &weight, .bias = {}, .lora_b = {}, .lora_scale = 0};
    const double flops = 2.0 * double(rows * vocabulary * width);
    report("head f32 forward", rows, flops, [&] {
      ops::frozen_linear_forward(*stream_, scratch_, logits.tensor(), x.tensor(), {&part, 1}, {});
    });
    report("head f32 backward", rows, flops, [&] {
      ops::frozen_linear_backward(*stream_, scratch_, x.tensor(), logits.tensor(), {&part, 1}, {},
                                  {});
    });
  }

  void skinny(const char* name, std::int64_t m, std::int64_t n, std::int64_t k, ops::Transpose ta,
              ops::Transpose tb) {
    const bool a_flip = ta == ops::Transpose::transposed, b_flip = tb == ops::Transpose::transposed;
    const Matrix a(*stream_, a_flip ? Shape{k, m} : Shape{m, k}),
        b(*stream_, b_flip ? Shape{n, k} : Shape{k, n}), c(*stream_, {m, n});
    report(name, m, 2.0 * double(m * n * k),
           [&] { ops::matmul(*stream_, scratch_, c.tensor(), a.tensor(), ta, b.tensor(), tb); });
  }

  /// Rows of x too few to use the multiply-add units: the weights read a second count.
  void decode(const char* name, std::int64_t rows, std::int64_t out, std::int64_t in, bool nf4) {
    const std::unique_ptr<QuantizedMatrix> quantized =
        nf4 ? std::make_unique<QuantizedMatrix>(*stream_, out, in) : nullptr;
    const Matrix dense(*stream_, nf4 ? Shape{1, 1} : Shape{out, in});
    const FrozenWeight weight = nf4 ? quantized->weight : FrozenWeight(DenseWeight{dense.tensor()});
    const ops::LinearPart part{.weight = &weight, .bias = {}, .lora_b = {}, .lora_scale = 0};
    const Matrix x(*stream_, {rows, in}), y(*stream_, {rows, out});
    const double seconds = clock_.best_seconds([&] {
      ops::frozen_linear_forward(*stream_, scratch_, y.tensor(), x.tensor(), {&part, 1}, {});
    });
    std::printf("  %-34s M %5lld  %7.2f G weights/s\n", name, static_cast<long long>(rows),
                double(out * in) / seconds * 1e-9);
  }

  void expand() {
    const QuantizedMatrix quantized(*stream_, 1536, 576);
    const Matrix out(*stream_, {1536, 576});
    const double seconds = clock_.best_seconds([&] {
      ops::dequantize_nf4(*stream_, out.tensor(), std::get<Nf4Weight>(quantized.weight));
    });
    std::printf("  %-34s          %7.2f G weights/s\n", "dequantize_nf4 1536 x 576",
                1536.0 * 576 / seconds * 1e-9);
    const double quantize = clock_.best_seconds([&] {
      ops::quantize_nf4(*stream_,
                        {quantized.codes.tensor(), quantized.scale_codes.tensor(),
                         quantized.scale_scales.tensor()},
                        out.tensor());
    });
    std::printf("  %-34s          %7.2f G weights/s\n", "quantize_nf4 1536 x 576",
                1536.0 * 576 / quantize * 1e-9);
  }

 private:
  /// The kernel on operands that stay in the first-level cache.
  double measure_peak(int threads) {
    const ops::KernelShape shape = ops::kernel_shape();
    const std::int64_t depth = 96;
    std::vector<Matrix> a, b, c;
    for (int t = 0; t < threads; ++t) {
      a.emplace_back(*stream_, Shape{shape.rows, depth});
      b.emplace_back(*stream_, Shape{depth, shape.columns});
      c.emplace_back(*stream_, Shape{shape.rows, shape.columns});
    }
    constexpr int kCalls = 2000;
    const double seconds = clock_.best_seconds([&] {
      stream_->pool().run(threads, [&](std::int64_t t, int) {
        const std::size_t i = std::size_t(t);
        const ops::StripSegment segment{a[i].tensor().as<float>(),
                                        depth,
                                        1,
                                        b[i].tensor().as<float>(),
                                        shape.columns,
                                        0,
                                        depth};
        for (int call = 0; call < kCalls; ++call)
          ops::multiply_strip({.segments = &segment,
                               .segment_count = 1,
                               .rows = shape.rows,
                               .columns = shape.columns,
                               .c = c[i].tensor().as<float>(),
                               .c_stride = shape.columns,
                               .c_transposed = false,
                               .beta = 0,
                               .bias = nullptr,
                               .packed_a = nullptr});
      });
    });
    return 2.0 * kCalls * threads * double(shape.rows * shape.columns * depth) / seconds * 1e-9;
  }

  void report(const std::string& name, std::int64_t rows, double flops,
              const std::function<void()>& work) {
    const double rate = flops / clock_.best_seconds(work) * 1e-9;
    std::printf("  %-34s M %5lld  %7.1f GFLOP/s  %3.0f %%\n", name.c_str(),
                static_cast<long long>(rows), rate, 100 * rate / peak_);
  }

  Clock clock_;
  std::unique_ptr<Stream> stream_;
  Arena scratch_;
  double peak_ = 0;
};

void run(int threads, bool busy) {
  constexpr auto as_is = ops::Transpose::as_is, transposed = ops::Transpose::transposed;
  Bench bench(threads, busy);
  for (const std::int64_t rows : {1024, 256, 100}) {
    bench.group("q|k|v 576 -> 960", rows, 576, {576, 192, 192}, 16);
    bench.group("o 576 -> 576", rows, 576, {576}, 16);
    bench.group("gate|up 576 -> 3072", rows, 576, {1536, 1536}, 16);
    bench.group("down 1536 -> 576", rows, 1536, {576}, 16);
  }
  for (const std::int64_t rows : {256, 128}) bench.head(rows);
  bench.skinny("x A^T, R 48, K 576", 1024, 48, 576, as_is, transposed);
  bench.skinny("x A^T, R 16, K 1536", 1024, 16, 1536, as_is, transposed);
  bench.skinny("dy^T xa [3072,1024] x [1024,16]", 3072, 16, 1024, transposed, as_is);
  bench.skinny("dxa^T x [48,1024] x [1024,576]", 48, 576, 1024, transposed, as_is);
  bench.expand();
  for (const std::int64_t rows : {1, 2, 4, 8, 16}) {
    bench.decode("decode NF4 3072 x 576", rows, 3072, 576, true);
    bench.decode("decode NF4 576 x 1536", rows, 576, 1536, true);
    bench.decode("decode f32 49152 x 576", rows, 49152, 576, false);
  }
}

}  // namespace
}  // namespace elenchus

int main(int argc, char** argv) {
  if (argc > 3 && std::string(argv[3]) == "avx2") hwy::SetSupportedTargetsForTest(HWY_AVX2);
  elenchus::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 2,
                argc > 2 && std::string(argv[2]) == "busy");
  return 0;
}
