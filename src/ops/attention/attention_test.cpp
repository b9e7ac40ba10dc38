#include "ops/attention/attention.h"

#include <numeric>

#include "testing/devices.h"
#include "testing/gradcheck.h"

namespace elenchus {
namespace {

using ops::AttentionShape;
using testing::Complex;
using testing::complex_step_gradient;
using testing::expect_close;
using testing::Held;
using testing::random_values;
using testing::rounded;

/// A batch of sequences of the given lengths.
struct Batch {
  std::vector<std::int32_t> starts = {0};
  Batch(std::initializer_list<int> lengths) {
    for (const int n : lengths) starts.push_back(starts.back() + n);
  }
  std::int64_t rows() const { return starts.back(); }
};

template <class S>
std::vector<S> reference(const std::vector<S>& qkv, const Batch& batch, const AttentionShape& a) {
  std::vector<S> out(std::size_t(batch.rows() * a.heads * a.head_dim));
  const auto at = [&](std::int64_t row, std::int64_t head) {
    return qkv.data() + row * a.row() + head * a.head_dim;
  };
  for (std::size_t s = 0; s + 1 < batch.starts.size(); ++s)
    for (std::int64_t i = batch.starts[s]; i < batch.starts[s + 1]; ++i)
      for (std::int64_t h = 0; h < a.heads; ++h) {
        const std::int64_t kv = h / (a.heads / a.kv_heads);
        std::int64_t first = batch.starts[s];
        if (a.window > 0) first = std::max(first, i - a.window + 1);
        S weight = 0;
        S* const sum = out.data() + (i * a.heads + h) * a.head_dim;
        for (std::int64_t j = first; j <= i; ++j) {
          const S* const k = at(j, a.heads + kv);
          const S* const v = at(j, a.heads + a.kv_heads + kv);
          S score = std::inner_product(k, k + a.head_dim, at(i, h), S(0)) * double(a.scale);
          if (a.soft_cap > 0) score = double(a.soft_cap) * std::tanh(score / double(a.soft_cap));
          const S e = std::exp(score);
          weight += e;
          for (std::int64_t c = 0; c < a.head_dim; ++c) sum[c] += e * v[c];
        }
        for (std::int64_t c = 0; c < a.head_dim; ++c) sum[c] /= weight;
      }
  return out;
}

/// Tensors of one call.
struct Layer {
  Stream& stream;
  Batch batch;
  AttentionShape shape;
  DType dtype;
  Held device_starts{stream, batch.starts};
  Held out{stream, {batch.rows(), shape.heads* shape.head_dim}, dtype};
  Held log_sum_exp{stream, {batch.rows(), shape.heads}, DType::f32};
  Arena arena{stream, std::size_t{64} << 20};

  Sequences sequences() const { return {device_starts, batch.starts}; }
  Held load(std::span<const double> qkv) {
    return {stream, {batch.rows(), shape.row()}, dtype, qkv};
  }
  std::vector<double> forward(std::span<const double> qkv) {
    ops::attention_forward(stream, arena, out, log_sum_exp, load(qkv), sequences(), shape);
    return out.values();
  }
  std::vector<double> backward(std::span<const double> qkv, std::span<const double> dout) {
    const Held dqkv(stream, {batch.rows(), shape.row()}, dtype);
    const Held hdout(stream, out.tensor().shape(), dtype, dout);
    ops::attention_backward(stream, arena, dqkv, hdout, out, log_sum_exp, load(qkv), sequences(),
                            shape);
    return dqkv.values();
  }
};

constexpr AttentionShape kGrouped{.heads = 6, .kv_heads = 2, .head_dim = 8, .scale = 0.5f};

class Attention : public testing::OnDevice {
 protected:
  Layer layer(const Batch& batch, const AttentionShape& shape) {
    return {stream(), batch, shape, dtype()};
  }
  void compare_forward(const Batch& batch, const AttentionShape& shape) {
    const auto qkv = rounded(random_values(batch.rows() * shape.row(), 1, 2), dtype());
    expect_close(layer(batch, shape).forward(qkv), reference(qkv, batch, shape), tolerance());
  }
  void compare_backward(const Batch& batch, const AttentionShape& shape) {
    const auto qkv = rounded(random_values(batch.rows() * shape.row(), 1, 2), dtype());
    const auto dout =
        rounded(random_values(batch.rows() * shape.heads * shape.head_dim, 2), dtype());
    Layer l = layer(batch, shape);
    l.forward(qkv);
    const auto expected = complex_step_gradient(
        qkv, dout, [&](const std::vector<Complex>& x) { return reference(x, batch, shape); });
    // `out` comes rounded into the gradient, times scores of a few units.
    expect_close(l.backward(qkv, dout), expected, tolerance(8));
  }
};

TEST_P(Attention, MatchesTheReference) {
  compare_forward({1}, kGrouped);
  compare_forward({31, 1, 0, 33}, kGrouped);
  compare_forward({130}, {.heads = 2, .kv_heads = 1, .head_dim = 64, .scale = 0.125f});
  compare_forward({200, 64}, {.heads = 2, .kv_heads = 2, .head_dim = 20, .scale = 0.3f});
}

TEST_P(Attention, CapsItsScores) {
  compare_forward({70, 5}, {.heads = 2, .kv_heads = 1, .head_dim = 8, .scale = 2, .soft_cap = 3});
}

TEST_P(Attention, SeesExactlyTheWindow) {
  for (const std::int64_t window : {1, 2, 63, 64, 65, 66, 129, 150, 1000})
    compare_forward({150},
                    {.heads = 1, .kv_heads = 1, .head_dim = 4, .scale = 1, .window = window});
}

TEST_P(Attention, BackwardMatchesComplexStep) {
  compare_backward({5, 1, 3}, kGrouped);
  compare_backward({17}, {.heads = 2, .kv_heads = 1, .head_dim = 5, .scale = 1, .soft_cap = 2});
  compare_backward({19}, {.heads = 1, .kv_heads = 1, .head_dim = 4, .scale = 1, .window = 7});
}

TEST_P(Attention, BackwardMatchesComplexStepAcrossBlocks) {
  compare_backward({66}, {.heads = 2, .kv_heads = 1, .head_dim = 2, .scale = 1});
  compare_backward(
      {90}, {.heads = 1, .kv_heads = 1, .head_dim = 1, .scale = 1, .soft_cap = 4, .window = 40});
}

TEST_P(Attention, PackedSequencesHaveTheBitsOfSequencesAlone) {
  const Batch batch{70, 3, 130};
  const std::int64_t wide = kGrouped.row(), narrow = kGrouped.heads * kGrouped.head_dim;
  const auto qkv = random_values(batch.rows() * wide, 1, 2);
  const auto dout = random_values(batch.rows() * narrow, 2);
  Layer packed = layer(batch, kGrouped);
  const auto out = packed.forward(qkv), dqkv = packed.backward(qkv, dout);
  for (std::size_t s = 0; s < 3; ++s) {
    const std::size_t first = std::size_t(batch.starts[s]);
    const std::size_t count = std::size_t(batch.starts[s + 1]) - first;
    const auto part = [&](std::span<const double> all, std::int64_t width) {
      return all.subspan(first * std::size_t(width), count * std::size_t(width));
    };
    const auto same = [](const std::vector<double>& a, std::span<const double> b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    Layer alone = layer({int(count)}, kGrouped);
    EXPECT_TRUE(same(alone.forward(part(qkv, wide)), part(out, narrow)));
    EXPECT_TRUE(same(alone.backward(part(qkv, wide), part(dout, narrow)), part(dqkv, wide)));
  }
}

TEST_P(Attention, CachedDecodingEqualsTheWholeForward) {
  for (const std::int64_t window : {0, 5})
    for (const float cap : {0.0f, 3.0f}) {
      AttentionShape shape = kGrouped;
      shape.window = window;
      shape.soft_cap = cap;
      // Two sequences of 90 and 20 rows: all but 3 or 10 rows at once, then few, then one by one.
      const Batch batch{90, 20};
      const auto qkv = rounded(random_values(batch.rows() * shape.row(), 1, 2), dtype());
      const auto whole = layer(batch, shape).forward(qkv);
      const Shape cache{3, 96, shape.kv_heads, shape.head_dim};
      const Held keys(stream(), cache, dtype()), values(stream(), cache, dtype());
      std::vector<std::int32_t> lengths = {0, 0};
      for (const std::vector<int>& counts :
           std::vector<std::vector<int>>{{80, 10}, {6, 9}, {1, 0}, {1, 1}, {2, 0}}) {
        const Batch step{counts[0], counts[1]};
        std::vector<double> rows, expected;
        for (std::size_t s = 0; s < 2; ++s) {
          const auto take = [&](const std::vector<double>& all, std::int64_t width,
                                std::vector<double>& to) {
            const auto from = all.begin() + (batch.starts[s] + lengths[s]) * width;
            to.insert(to.end(), from, from + counts[s] * width);
          };
          take(qkv, shape.row(), rows);
          take(whole, shape.heads * shape.head_dim, expected);
        }
        Layer l = layer(step, shape);
        ops::attention_cached(stream(), l.arena, l.out, l.load(rows), keys, values, l.sequences(),
                              Held(stream(), lengths), lengths, shape);
        expect_close(l.out.values(), expected, std::max(1e-5, tolerance()));
        for (std::size_t s = 0; s < 2; ++s) lengths[s] += counts[s];
      }
    }
}

TEST_P(Attention, ThrowsOnWrongShapes) {
  Layer l = layer({4, 3}, kGrouped);
  const Held qkv(stream(), {7, kGrouped.row()}, dtype());
  const Held narrow(stream(), {7, kGrouped.row() - 1}, dtype());
  const auto forward = [&](ConstTensor x, const Sequences& sequences, AttentionShape shape) {
    ops::attention_forward(stream(), l.arena, l.out, l.log_sum_exp, x, sequences, shape);
  };
  AttentionShape odd = kGrouped;
  odd.kv_heads = 4;
  const std::vector<std::int32_t> short_starts = {0, 4, 6};
  EXPECT_THROW(forward(narrow, l.sequences(), kGrouped), InternalError);
  EXPECT_THROW(forward(qkv, l.sequences(), odd), InternalError);
  EXPECT_THROW(forward(qkv, {l.device_starts, short_starts}, kGrouped), InternalError);
  const Held cache(stream(), {2, 4, 2, 8}, dtype());
  const std::vector<std::int32_t> lengths = {1, 0};
  EXPECT_THROW(ops::attention_cached(stream(), l.arena, l.out, qkv, cache, cache, l.sequences(),
                                     Held(stream(), lengths), lengths, kGrouped),
               InternalError);
}

INSTANTIATE_TEST_SUITE_P(Devices, Attention, testing::every_device_and_float(), testing::case_name);

TEST(AttentionCpu, HasTheSameBitsForAnyNumberOfThreads) {
  const Batch batch{70, 3, 130};
  const auto qkv = random_values(batch.rows() * kGrouped.row(), 1, 2);
  const auto dout = random_values(batch.rows() * kGrouped.heads * kGrouped.head_dim, 2);
  const auto run = [&](int threads) {
    const auto stream = Stream::open({}, threads);
    Layer l{*stream, batch, kGrouped, DType::f32};
    auto out = l.forward(qkv);
    const auto dqkv = l.backward(qkv, dout);
    out.insert(out.end(), dqkv.begin(), dqkv.end());
    return out;
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 7}) EXPECT_EQ(run(threads), one);
}

TEST(AttentionDry, TouchesNothingAndTakesWhatBackwardNeeds) {
  const Batch batch{4, 3};
  const auto dry = Stream::open_dry({}), cpu = Stream::open({}, 1);
  Arena planned(*dry, std::size_t{1} << 30), used(*cpu, std::size_t{1} << 20);
  const auto starts = testing::dry_tensor(*dry, {3}, DType::i32);
  const Tensor qkv = testing::dry_tensor(*dry, {7, kGrouped.row()});
  const Tensor out = testing::dry_tensor(*dry, {7, kGrouped.heads * kGrouped.head_dim});
  const Tensor sums = testing::dry_tensor(*dry, {7, kGrouped.heads});
  const Sequences sequences{starts, batch.starts};
  ops::attention_forward(*dry, planned, out, sums, qkv, sequences, kGrouped);
  ops::attention_backward(*dry, planned, qkv, out, out, sums, qkv, sequences, kGrouped);
  EXPECT_EQ(planned.mark(), 0u);

  const auto zeros = [&](const Tensor& like) {
    return Held(*cpu, like.shape(), DType::f32, std::vector<double>(std::size_t(like.elements())));
  };
  ops::attention_backward(*cpu, used, zeros(qkv), zeros(out), zeros(out), zeros(sums), zeros(qkv),
                          {Held(*cpu, batch.starts), batch.starts}, kGrouped);
  EXPECT_EQ(planned.peak_bytes(), used.peak_bytes());

  const Tensor cache = testing::dry_tensor(*dry, {2, 8, 2, 8});
  const std::vector<std::int32_t> lengths = {1, 0};
  ops::attention_cached(*dry, planned, out, qkv, cache, cache, sequences,
                        testing::dry_tensor(*dry, {2}, DType::i32), lengths, kGrouped);
}

}  // namespace
}  // namespace elenchus
