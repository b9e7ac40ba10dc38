// Attention on CUDA, where the head size is one of the tensor cores', against f32 on the CPU.

#include "ops/attention/attention.h"
#include "ops/attention/attention_library.h"
#include "tensor/device_streams.h"
#include "testing/gradcheck.h"
#include "testing/parity.h"

namespace elenchus {
namespace {

using ops::AttentionShape;
using testing::Held;
using testing::random_values;
using testing::relative_error;
using testing::rounded;

/// Forward and backward of one layer.
struct Results {
  std::vector<double> out, log_sum_exp, dqkv;
};

class AttentionCuda : public testing::CudaParity {
 protected:
  static Results run(Stream& stream, const std::vector<std::int32_t>& starts,
                     const AttentionShape& shape, DType dtype, DType rounded_to) {
    const std::int64_t rows = starts.back(), width = shape.heads * shape.head_dim;
    const Held qkv(stream, {rows, shape.row()}, dtype,
                   rounded(random_values(rows * shape.row(), 1, 2), rounded_to));
    const Held dout(stream, {rows, width}, dtype,
                    rounded(random_values(rows * width, 2), rounded_to));
    const Held out(stream, {rows, width}, dtype), dqkv(stream, {rows, shape.row()}, dtype);
    const Held sums(stream, {rows, shape.heads}, DType::f32), held_starts(stream, starts);
    Arena scratch(stream, std::size_t{256} << 20);
    const Sequences sequences{held_starts, starts};
    ops::attention_forward(stream, scratch, out, sums, qkv, sequences, shape);
    ops::attention_backward(stream, scratch, dqkv, dout, out, sums, qkv, sequences, shape);
    return {out.values(), sums.values(), dqkv.values()};
  }
  static std::vector<std::int32_t> starts_of(std::initializer_list<int> lengths) {
    std::vector<std::int32_t> starts = {0};
    for (const int n : lengths) starts.push_back(starts.back() + n);
    return starts;
  }
  void compare(std::initializer_list<int> lengths, const AttentionShape& shape) {
    const auto starts = starts_of(lengths);
    for (const DType dtype : {DType::f16, DType::bf16}) {
      const Results found = run(cuda(), starts, shape, dtype, dtype);
      const Results wanted = run(cpu(), starts, shape, DType::f32, dtype);
      // Weights and results are rounded once each, and so are the gradients of scores.
      const double tolerance = 3 * testing::epsilon_of(dtype);
      EXPECT_LE(relative_error(found.out, wanted.out), tolerance);
      EXPECT_LE(relative_error(found.log_sum_exp, wanted.log_sum_exp), 1e-5);
      EXPECT_LE(relative_error(found.dqkv, wanted.dqkv), tolerance);
    }
  }
};

bool cudnn_serves(Stream& stream) {
  if constexpr (kCudaBuilt) return ops::attention_library(stream).starts_with("cuDNN");
  return false;
}

AttentionShape shape_of_heads(std::int64_t head_dim) {
  return {
      .heads = 4, .kv_heads = 2, .head_dim = head_dim, .scale = 1.0f / std::sqrt(float(head_dim))};
}

TEST_F(AttentionCuda, AgreesWithTheCpuForEveryHeadSize) {
  for (const std::int64_t head_dim : {64, 96, 128, 256}) {
    SCOPED_TRACE(head_dim);
    compare({1, 31, 33, 0, 127, 129}, shape_of_heads(head_dim));
    compare({64, 128, 300}, shape_of_heads(head_dim));
  }
}

TEST_F(AttentionCuda, AgreesWithTheCpuWithASoftCap) {
  for (const std::int64_t head_dim : {64, 256}) {
    AttentionShape shape = shape_of_heads(head_dim);
    shape.soft_cap = 2;
    compare({200, 1, 65}, shape);
  }
}

TEST_F(AttentionCuda, AgreesWithTheCpuWithAWindow) {
  for (const std::int64_t head_dim : {64, 256})
    for (const std::int64_t window : {1, 31, 64, 65, 150}) {
      SCOPED_TRACE(window);
      AttentionShape shape = shape_of_heads(head_dim);
      shape.window = window;
      compare({300, 17}, shape);
    }
}

// Long enough for the library's kernels, where it is there.
TEST_F(AttentionCuda, AgreesWithTheCpuOnLongRows) {
  for (const std::int64_t head_dim : {64, 128, 256})
    for (const float soft_cap : {0.0f, 2.0f}) {
      SCOPED_TRACE(cat("heads of ", head_dim, ", soft cap ", soft_cap));
      AttentionShape shape = shape_of_heads(head_dim);
      shape.soft_cap = soft_cap;
      compare({300, 724, 1, 511}, shape);
      compare({256, 256, 256}, shape);
      compare({900}, shape);
    }
}

TEST_F(AttentionCuda, AgreesWithTheCpuOnLongRowsWithAWindow) {
  for (const std::int64_t head_dim : {128, 256})
    for (const float soft_cap : {0.0f, 2.0f}) {
      AttentionShape shape = shape_of_heads(head_dim);
      shape.window = 200;
      shape.soft_cap = soft_cap;
      compare({300, 724, 1, 511}, shape);
      compare({512, 512}, shape);
    }
}

TEST_F(AttentionCuda, PackedSequencesHaveTheBitsOfSequencesAlone) {
  const AttentionShape shape = shape_of_heads(128);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    // The own kernels' promise alone: cuDNN's tiles are chosen by the whole batch's shape.
    if (dtype == DType::bf16 && cudnn_serves(cuda())) continue;
    const auto packed = run(cuda(), starts_of({130, 70}), shape, dtype, DType::bf16);
    const auto alone = run(cuda(), starts_of({130}), shape, dtype, DType::bf16);
    EXPECT_TRUE(std::equal(alone.out.begin(), alone.out.end(), packed.out.begin()));
  }
}

TEST_F(AttentionCuda, RepeatsItsBits) {
  for (const std::int64_t head_dim : {128, 256}) {
    const auto starts = starts_of({700, 324});
    const auto first = run(cuda(), starts, shape_of_heads(head_dim), DType::bf16, DType::bf16);
    for (int i = 0; i < 5; ++i) {
      const auto again = run(cuda(), starts, shape_of_heads(head_dim), DType::bf16, DType::bf16);
      EXPECT_EQ(again.out, first.out);
      EXPECT_EQ(again.dqkv, first.dqkv);
    }
  }
}

}  // namespace
}  // namespace elenchus
