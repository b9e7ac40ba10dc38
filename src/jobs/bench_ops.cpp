// `elenchus bench op`: the speed of every op at the sizes of Llama-3-8B with 8192 tokens (and
// Gemma-2-2B's attention), beside the bytes it must move or the operations it must do.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/terminal.h"
#include "jobs/device_choice.h"
#include "jobs/jobs.h"
#include "ops/adamw/adamw.h"
#include "ops/attention/attention.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/dropout/dropout.h"
#include "ops/elementwise/elementwise.h"
#include "ops/embedding/embedding.h"
#include "ops/frozen_linear/frozen_linear.h"
#include "ops/gated_mlp/gated_mlp.h"
#include "ops/grad_norm/grad_norm.h"
#include "ops/matmul/matmul.h"
#include "ops/nf4/nf4.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/rope/rope.h"
#include "tensor/arena.h"

namespace elenchus {
namespace {

constexpr std::int64_t kTokens = 8192, kModel = 4096, kHidden = 14336, kRank = 16;

/// Measures, and holds the tensors of one op at a time.
class Bench {
 public:
  Bench(Stream& stream, std::vector<std::string> names)
      : stream_(stream), names_(std::move(names)), scratch_(stream, std::size_t{2} << 30) {}
  Stream& stream() { return stream_; }
  Arena& scratch() { return scratch_; }
  void clear() { buffers_.clear(); }

  Tensor room(Shape shape, DType dtype) {
    buffers_.emplace_back(stream_, shape, dtype);
    return buffers_.back().tensor();
  }
  /// Bell-like values of about `size`, repeated every 2^20 elements.
  Tensor random(Shape shape, DType dtype = DType::bf16, double size = 1) {
    const std::int64_t period =
        std::min<std::int64_t>(std::max<std::int64_t>(1, shape.elements()), 1 << 20);
    const RandomKey key{.seed = 3 + buffers_.size()};
    std::vector<float> host(std::size_t(shape.elements()), 0.0f);
    for (std::size_t i = 0; i < host.size(); ++i) {
      const std::uint64_t at = 2 * (i % std::size_t(period));
      host[i] = i < std::size_t(period)
                    ? float(size) * 1.2f * (key.uniform(at) + key.uniform(at + 1) - 1) * 2
                    : host[i - std::size_t(period)];
    }
    const Tensor wide = room(shape, DType::f32);
    stream_.copy(wide, ConstTensor(host.data(), shape, DType::f32));
    stream_.synchronize();  // before the host's copy goes
    if (dtype == DType::f32) return wide;
    const Tensor out = room(shape, dtype);
    ops::convert(stream_, out, wide);
    stream_.synchronize();
    return out;
  }
  Tensor integers(const std::vector<std::int32_t>& values) {
    const Tensor out = room({std::int64_t(values.size())}, DType::i32);
    stream_.copy(out, ConstTensor(values.data(), out.shape(), DType::i32));
    stream_.synchronize();
    return out;
  }

  bool wanted(const std::string& name) const {
    return names_.empty() || std::ranges::find(names_, name) != names_.end();
  }
  /// The median over rounds of the time of one call, in seconds.
  double seconds(const std::function<void()>& work) {
    work();
    stream_.synchronize();
    const double once = timed(work, 1);
    const int calls = std::clamp(int(0.01 / std::max(once, 1e-7)), 1, 200);
    std::vector<double> rounds;
    for (int i = 0; i < 7; ++i) rounds.push_back(timed(work, calls));
    std::sort(rounds.begin(), rounds.end());
    return rounds[rounds.size() / 2];
  }
  void bytes(const std::string& name, double bytes, const std::function<void()>& work) {
    const double s = seconds(work);
    write_output(fmt::format("{:<44}{:>10.1f} us {:>8.0f} GB/s\n", name, s * 1e6, bytes / s / 1e9));
  }
  void operations(const std::string& name, double count, const std::function<void()>& work) {
    const double s = seconds(work);
    write_output(
        fmt::format("{:<44}{:>10.1f} us {:>8.1f} TFLOP/s\n", name, s * 1e6, count / s / 1e12));
  }

 private:
  double timed(const std::function<void()>& work, int calls) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) work();
    stream_.synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls;
  }
  Stream& stream_;
  std::vector<std::string> names_;
  Arena scratch_;
  std::deque<Buffer> buffers_;
};

void bench_rows(Bench& b) {
  Stream& s = b.stream();
  const double size = double(kTokens * kModel) * 2;
  const Tensor x = b.random({kTokens, kModel}), y = b.random({kTokens, kModel}),
               z = b.random({kTokens, kModel});
  const Tensor weight = b.random({kModel}, DType::f32), rstd = b.room({kTokens}, DType::f32);
  const RandomKey key{.seed = 1, .use = RandomUse::dropout};
  b.bytes("copy", 2 * size, [&] { s.copy(y, x); });
  b.bytes("add", 3 * size, [&] { ops::add(s, y, x, z); });
  b.bytes("rms_norm_forward", 2 * size,
          [&] { ops::rms_norm_forward(s, y, rstd, x, weight, 1e-5f); });
  b.bytes("rms_norm_backward", 4 * size, [&] { ops::rms_norm_backward(s, y, z, x, weight, rstd); });
  b.bytes("dropout", 2 * size, [&] { ops::dropout(s, y, x, 0.1f, key); });
  const Tensor wide = b.room({kTokens, kModel}, DType::f32);
  b.bytes("convert f32 to bf16", 3 * size, [&] { ops::convert(s, y, wide); });
  std::vector<std::int32_t> tokens, positions;
  for (std::int64_t i = 0; i < kTokens; ++i) {
    tokens.push_back(std::int32_t(i * 7919 % 32000));
    positions.push_back(std::int32_t(i % 2048));
  }
  const Tensor table = b.random({32000, kModel}), ids = b.integers(tokens);
  b.bytes("embedding", 2 * size, [&] { ops::embedding_forward(s, y, table, ids); });
  const Tensor qkv = b.random({kTokens, 6144}), places = b.integers(positions);
  const Tensor angles = b.random({2048, 64}, DType::f32);
  b.bytes("rope q and k", double(kTokens) * 40 * 128 * 4, [&] {
    ops::rope_forward(s, qkv, places, angles, angles, {40, 128});
  });
  b.clear();
  const Tensor gate_up = b.random({kTokens, 2 * kHidden}),
               h = b.room({kTokens, kHidden}, DType::bf16);
  const Tensor dh = b.random({kTokens, kHidden}), out = b.room({kTokens, 2 * kHidden}, DType::bf16);
  const double hidden = double(kTokens * kHidden) * 2;
  b.bytes("gated_mlp_forward", 3 * hidden,
          [&] { ops::gated_mlp_forward(s, h, gate_up, ops::Activation::silu); });
  b.bytes("gated_mlp_backward", 6 * hidden,
          [&] { ops::gated_mlp_backward(s, out, h, dh, gate_up, ops::Activation::silu); });
  b.clear();
}

void bench_loss_and_step(Bench& b) {
  Stream& s = b.stream();
  constexpr std::int64_t kRows = 2048, kVocabulary = 128256, kParams = 41943040;
  {
    const Tensor logits = b.random({kRows, kVocabulary});
    const Tensor loss = b.room({kRows}, DType::f32);
    const Tensor targets = b.integers(std::vector<std::int32_t>(std::size_t(kRows), 77));
    b.bytes("cross_entropy with gradient", double(kRows * kVocabulary) * 4,
            [&] { ops::cross_entropy(s, loss, {}, logits, targets, ops::LogitsAfter::gradient); });
    b.clear();
  }
  const Tensor w = b.random({kParams}, DType::f32), m = b.random({kParams}, DType::f32);
  const Tensor v = b.room({kParams}, DType::f32), g = b.random({kParams}, DType::f32);
  s.zero(v);
  b.bytes("adamw_step", double(kParams) * 28,
          [&] { ops::adamw_step(s, w, m, v, g, {.learning_rate = 1e-4}); });
  b.bytes("sum_of_squares", double(kParams) * 4, [&] { (void)ops::sum_of_squares(s, g); });
  b.clear();
}

Nf4Weight quantized(Bench& b, Shape shape) {
  const ops::Nf4Sizes sizes(shape.elements());
  const ops::Nf4Storage storage{b.room({sizes.code_bytes}, DType::u8),
                                b.room({sizes.scale_codes}, DType::u8),
                                b.room({sizes.scale_scales}, DType::f32)};
  const Tensor map = b.room({256}, DType::f32);
  b.stream().copy(map, ConstTensor(ops::dynamic_map().data(), {256}, DType::f32));
  Nf4Weight weight{shape, storage.codes, storage.scale_codes, storage.scale_scales, map};
  weight.scale_offset = ops::quantize_nf4(b.stream(), storage, b.random(shape, DType::f32, 0.02));
  return weight;
}

void bench_nf4(Bench& b) {
  const Nf4Weight weight = quantized(b, {2 * kHidden, kModel});
  const Tensor out = b.room(weight.shape, DType::bf16);
  b.bytes("dequantize_nf4 28672 x 4096", double(weight.shape.elements()) * 2.516,
          [&] { ops::dequantize_nf4(b.stream(), out, weight); });
  b.clear();
}

/// A group of adapted NF4 projections, as in training.
void bench_group(Bench& b, const std::string& name, std::int64_t in,
                 const std::vector<std::int64_t>& outs) {
  Stream& s = b.stream();
  std::deque<FrozenWeight> weights;
  std::vector<ops::LinearPart> parts;
  std::vector<Tensor> db;
  std::int64_t out = 0;
  for (const std::int64_t rows : outs) {
    weights.push_back(quantized(b, {rows, in}));
    parts.push_back({.weight = &weights.back(),
                     .lora_b = b.random({rows, kRank}, DType::f32, 0.01),
                     .lora_scale = 2});
    db.push_back(b.random({rows, kRank}, DType::f32));
    out += rows;
  }
  const std::int64_t rank = kRank * std::int64_t(outs.size());
  const Tensor x = b.random({kTokens, in}), y = b.room({kTokens, out}, DType::bf16);
  const Tensor dy = b.random({kTokens, out}), dx = b.room({kTokens, in}, DType::bf16);
  const Tensor xa = b.random({kTokens, rank}), dxa = b.room({kTokens, rank}, DType::bf16);
  const Tensor a = b.random({rank, in}, DType::f32, 0.01), da = b.random({rank, in}, DType::f32);
  const double product = 2.0 * double(kTokens) * double(in) * double(out);
  b.operations(name + " forward", product,
               [&] { ops::frozen_linear_forward(s, b.scratch(), y, x, parts, xa); });
  b.operations(name + " backward", product,
               [&] { ops::frozen_linear_backward(s, b.scratch(), dx, dy, parts, dxa, a); });
  b.bytes(name + " x A^T", double(kTokens * in) * 2, [&] {
    ops::matmul(s, b.scratch(), xa, x, ops::Transpose::as_is, a, ops::Transpose::transposed);
  });
  b.bytes(name + " dA", double(kTokens * in) * 2, [&] {
    ops::matmul(s, b.scratch(), da, dxa, ops::Transpose::transposed, x, ops::Transpose::as_is, 1,
                1);
  });
  b.bytes(name + " dxa and dB", double(kTokens * out) * 4,
          [&] { ops::lora_b_backward(s, b.scratch(), dxa, db, dy, xa, parts); });
  b.clear();
}

void bench_attention(Bench& b, const std::string& name, std::int64_t sequences,
                     const ops::AttentionShape& shape) {
  Stream& s = b.stream();
  std::vector<std::int32_t> starts;
  const std::int64_t length = kTokens / sequences;
  for (std::int64_t i = 0; i <= sequences; ++i) starts.push_back(std::int32_t(i * length));
  const Tensor device_starts = b.integers(starts);
  const Sequences packed{device_starts, starts};
  const std::int64_t width = shape.heads * shape.head_dim;
  const Tensor qkv = b.random({kTokens, shape.row()}),
               dqkv = b.room({kTokens, shape.row()}, DType::bf16);
  const Tensor out = b.room({kTokens, width}, DType::bf16), dout = b.random({kTokens, width});
  const Tensor sums = b.room({kTokens, shape.heads}, DType::f32);
  const double forward = 2.0 * double(kTokens) * double(length) * double(width);  // causal: half
  b.operations(name + " forward", forward,
               [&] { ops::attention_forward(s, b.scratch(), out, sums, qkv, packed, shape); });
  b.operations(name + " backward", 2.5 * forward, [&] {
    ops::attention_backward(s, b.scratch(), dqkv, dout, out, sums, qkv, packed, shape);
  });
  b.clear();
}

void run(Stream& stream, std::vector<std::string> names) {
  Bench b(stream, std::move(names));
  if (b.wanted("rows")) bench_rows(b);
  if (b.wanted("step")) bench_loss_and_step(b);
  if (b.wanted("nf4")) bench_nf4(b);
  if (b.wanted("linear")) {
    bench_group(b, "qkv", kModel, {4096, 1024, 1024});
    bench_group(b, "o", kModel, {4096});
    bench_group(b, "gate_up", kModel, {kHidden, kHidden});
    bench_group(b, "down", kHidden, {kModel});
  }
  if (b.wanted("attention")) {
    const ops::AttentionShape llama{.heads = 32, .kv_heads = 8, .head_dim = 128, .scale = 0.088f};
    const ops::AttentionShape gemma{
        .heads = 8, .kv_heads = 4, .head_dim = 256, .scale = 0.0625f, .soft_cap = 50};
    bench_attention(b, "attention 32/8 x 128, 4 x 2048", 4, llama);
    bench_attention(b, "attention 32/8 x 128, 1 x 8192", 1, llama);
    bench_attention(b, "attention 8/4 x 256 capped, 4 x 2048", 4, gemma);
    bench_attention(b, "attention 8/4 x 256 capped, 1 x 8192", 1, gemma);
  }
}

}  // namespace

int bench_ops(const BenchOpsOptions& options) {
  constexpr std::string_view kGroups[] = {"rows", "step", "nf4", "linear", "attention"};
  for (const std::string& name : options.names)
    if (std::ranges::find(kGroups, name) == std::end(kGroups))
      throw UserError(cat("bench op: found ", printable(name),
                          "; expected rows, step, nf4, linear or attention"));
  const DeviceChoice where = choose_device("cuda", 0);
  const std::unique_ptr<Stream> stream = Stream::open(where.device);
  run(*stream, options.names);
  return 0;
}

}  // namespace elenchus
