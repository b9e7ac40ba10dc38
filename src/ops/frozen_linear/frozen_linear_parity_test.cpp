// Products with frozen weights on CUDA against those on the CPU.

#include <deque>

#include "ops/frozen_linear/frozen_linear.h"
#include "ops/nf4/nf4.h"
#include "testing/gradcheck.h"
#include "testing/parity.h"

namespace elenchus {
namespace {

using ops::LinearPart;
using testing::Held;
using testing::random_values;
using testing::relative_error;
using testing::rounded;

enum class Format { dense, nf4 };

struct PartSpec {
  std::int64_t out;
  Format format;
  DType dtype = DType::f32;  // of a dense weight
  bool bias = false;
  std::int64_t rank = 0;
};

/// The same group of projections on any device.
class Group {
 public:
  Group(Stream& stream, std::int64_t in, const std::vector<PartSpec>& specs, DType activations)
      : in(in), stream_(stream) {
    for (const PartSpec& spec : specs) add(spec, activations);
  }
  std::int64_t in, out = 0, rank = 0;
  std::vector<LinearPart> parts;
  std::vector<Tensor> db;

 private:
  Tensor hold(Shape shape, DType dtype, std::uint64_t seed) {
    held_.emplace_back(stream_, shape, dtype, random_values(shape.elements(), seed));
    return held_.back();
  }
  Tensor room(std::int64_t count, DType dtype) {
    held_.emplace_back(stream_, Shape{count}, dtype);
    return held_.back();
  }
  FrozenWeight quantized(Shape shape, std::uint64_t seed) {
    const ops::Nf4Sizes sizes(shape.elements());
    const ops::Nf4Storage storage{room(sizes.code_bytes, DType::u8),
                                  room(sizes.scale_codes, DType::u8),
                                  room(sizes.scale_scales, DType::f32)};
    const Tensor map = room(256, DType::f32);
    stream_.copy(map, ConstTensor(ops::dynamic_map().data(), {256}, DType::f32));
    Nf4Weight weight{shape, storage.codes, storage.scale_codes, storage.scale_scales, map};
    weight.scale_offset = ops::quantize_nf4(stream_, storage, hold(shape, DType::f32, seed));
    return weight;
  }
  void add(const PartSpec& spec, DType activations) {
    const Shape shape{spec.out, in};
    const std::uint64_t seed = 100 + 10 * parts.size();
    if (spec.format == Format::nf4)
      weights_.push_back(quantized(shape, seed));
    else
      weights_.push_back(DenseWeight{hold(shape, spec.dtype, seed)});
    LinearPart part{.weight = &weights_.back()};
    if (spec.bias) part.bias = hold({spec.out}, activations, seed + 1);
    db.emplace_back();
    if (spec.rank > 0) {
      part.lora_b = hold({spec.out, spec.rank}, DType::f32, seed + 2);
      part.lora_scale = 0.5f + float(parts.size());
      db.back() = hold({spec.out, spec.rank}, DType::f32, seed + 3);
    }
    parts.push_back(part);
    out += spec.out;
    rank += spec.rank;
  }
  Stream& stream_;
  std::deque<FrozenWeight> weights_;
  std::deque<Held> held_;
};

/// What the three ops give for a group.
struct Results {
  std::vector<double> y, dx, dxa;
  std::vector<std::vector<double>> db;
};

Results run(Stream& stream, std::int64_t in, const std::vector<PartSpec>& specs, std::int64_t rows,
            DType dtype) {
  Group group(stream, in, specs, dtype);
  Arena scratch(stream, std::size_t{64} << 20);
  const auto tensor = [&](std::int64_t columns, std::uint64_t seed) {
    return Held(stream, {rows, columns}, dtype, random_values(rows * columns, seed));
  };
  const Held x = tensor(in, 1), dy = tensor(group.out, 2), xa = tensor(group.rank, 3);
  const Held y(stream, {rows, group.out}, dtype), dx(stream, {rows, in}, dtype);
  const Held dxa(stream, {rows, group.rank}, dtype);
  const Held a(stream, {group.rank, in}, DType::f32, random_values(group.rank * in, 4));
  const bool adapted = group.rank > 0;
  const auto if_adapted = [&](const Held& t) { return adapted ? ConstTensor(t) : ConstTensor(); };
  ops::frozen_linear_forward(stream, scratch, y, x, group.parts, if_adapted(xa));
  if (adapted) ops::lora_b_backward(stream, scratch, dxa, group.db, dy, xa, group.parts);
  ops::frozen_linear_backward(stream, scratch, dx, dy, group.parts, if_adapted(xa), if_adapted(a));
  EXPECT_EQ(scratch.mark(), 0u);
  Results results{y.values(), dx.values(), dxa.values(), {}};
  for (const Tensor& db : group.db)
    if (db) {
      std::vector<float> host(std::size_t(db.elements()));
      stream.copy(Tensor(host.data(), db.shape(), DType::f32), db);
      stream.synchronize();
      results.db.emplace_back(host.begin(), host.end());
    }
  return results;
}

const std::vector<std::vector<PartSpec>> kGroups = {
    {{7, Format::nf4}},
    {{64, Format::nf4, DType::f32, true, 16},
     {33, Format::nf4},
     {32, Format::nf4, DType::f32, false, 8}},
    {{256, Format::nf4, DType::f32, false, 16}, {128, Format::nf4, DType::f32, false, 16}},
    {{40, Format::dense, DType::f32, true}, {65, Format::dense, DType::f32, true, 3}},
    {{40, Format::dense, DType::bf16, true, 4}, {65, Format::dense, DType::bf16, false, 3}},
    {{31, Format::dense, DType::f16}, {1, Format::dense, DType::bf16, true, 1}},
};

/// The difference relative to the expected values, or to values of one where those cancel.
double error_of(const std::vector<double>& found, const std::vector<double>& wanted) {
  double size = 0;
  for (const double v : wanted) size += v * v;
  const double ones = double(wanted.size());
  return relative_error(found, wanted) * std::min(1.0, std::sqrt(size / std::max(1.0, ones)));
}

class FrozenLinearCuda : public testing::CudaParity {
 protected:
  void compare(std::int64_t in, const std::vector<PartSpec>& specs, std::int64_t rows,
               DType dtype) {
    const Results found = run(cuda(), in, specs, rows, dtype);
    const Results wanted = run(cpu(), in, specs, rows, dtype);
    // 16-bit: weights, LoRA factors and results are each rounded once more than on the CPU.
    const double tolerance = dtype == DType::f32 ? 2e-6 : 3 * testing::epsilon_of(dtype);
    const std::string where = cat("in ", in, " rows ", rows, " ", name_of(dtype));
    EXPECT_LE(error_of(found.y, wanted.y), tolerance) << "y, " << where;
    EXPECT_LE(error_of(found.dx, wanted.dx), tolerance) << "dx, " << where;
    EXPECT_LE(error_of(found.dxa, wanted.dxa), tolerance) << "dxa, " << where;
    ASSERT_EQ(found.db.size(), wanted.db.size());
    for (std::size_t i = 0; i < found.db.size(); ++i)
      EXPECT_LE(error_of(found.db[i], wanted.db[i]), tolerance) << "db, " << where;
  }
};

TEST_F(FrozenLinearCuda, AgreesWithTheCpu) {
  for (const auto& specs : kGroups)
    for (const std::int64_t in : {1, 31, 64, 192})
      for (const std::int64_t rows : {0, 1, 33, 129})
        for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
          compare(in, specs, rows, dtype);
}

TEST_F(FrozenLinearCuda, AgreesWithTheCpuWhereLoraIsJoinedEitherWay) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    compare(64, kGroups[2], 127, dtype);   // more outputs than inputs
    compare(576, kGroups[2], 127, dtype);  // and the reverse
  }
}

TEST_F(FrozenLinearCuda, RepeatsItsBits) {
  const Results first = run(cuda(), 576, kGroups[2], 1000, DType::bf16);
  for (int i = 0; i < 5; ++i) {
    const Results again = run(cuda(), 576, kGroups[2], 1000, DType::bf16);
    EXPECT_EQ(again.y, first.y);
    EXPECT_EQ(again.dx, first.dx);
    EXPECT_EQ(again.dxa, first.dxa);
    EXPECT_EQ(again.db, first.db);
  }
}

TEST(FrozenLinearDry, PlansTheScratchOfACudaDevice) {
  const auto cuda = testing::open_cuda_or_null();
  if (!cuda) GTEST_SKIP() << "no CUDA device, or no CUDA back end in this build";
  const auto dry = Stream::open_dry(cuda->device());
  Group group(*cuda, 64, kGroups[2], DType::bf16);
  const std::int64_t rows = 33;
  const auto peaks = [&](Stream& stream) {
    Arena scratch(stream, std::size_t{8} << 20);
    const auto tensor = [&](std::int64_t columns) {
      return Tensor(stream.allocate(std::size_t(rows * columns * 2)), {rows, columns}, DType::bf16,
                    stream.device());
    };
    const Tensor x = tensor(64), y = tensor(384), xa = tensor(32);
    ops::frozen_linear_forward(stream, scratch, y, x, group.parts, xa);
    return scratch.peak_bytes();
  };
  EXPECT_EQ(peaks(*dry), peaks(*cuda));
}

}  // namespace
}  // namespace elenchus
