#include "ops/frozen_linear/frozen_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "ops/nf4/nf4.h"

namespace elenchus::ops {
namespace {

using Values = std::vector<float>;

Values random_values(std::int64_t count, std::uint64_t seed) {
  const RandomKey key{.seed = seed};
  Values values(std::size_t(count), 0.0f);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 2 * key.uniform(i) - 1;
  return values;
}

enum class Format { f32, f16, bf16, nf4 };

struct PartSpec {
  std::int64_t out;
  Format format;
  bool bias = false;
  std::int64_t rank = 0;
};

/// A group of projections, with the weights as the product sees them.
class Group {
 public:
  Group(Stream& stream, std::int64_t in, const std::vector<PartSpec>& specs) : in_(in) {
    for (const PartSpec& spec : specs) add(stream, spec);
  }
  std::span<const LinearPart> parts() const { return parts_; }
  std::int64_t in() const { return in_; }
  std::int64_t out() const { return out_; }
  std::int64_t rank() const { return rank_; }
  const Values& weight(std::size_t part) const { return exact_[part]; }

 private:
  template <class T>
  void add_dense(Values& exact, Shape shape) {
    bytes_.emplace_back(exact.size() * sizeof(T) + 1);
    T* const to = reinterpret_cast<T*>(bytes_.back().data());
    for (std::size_t i = 0; i < exact.size(); ++i) {
      to[i] = T(exact[i]);
      exact[i] = float(to[i]);
    }
    weights_.push_back(DenseWeight{ConstTensor(to, shape, dtype_of<T>())});
  }
  Tensor bytes(std::int64_t count, DType dtype) {
    bytes_.emplace_back(std::size_t(count) * size_of(dtype) + 1);
    return {bytes_.back().data(), {count}, dtype};
  }
  void add_nf4(Stream& stream, Values& exact, Shape shape) {
    const Nf4Sizes sizes(shape.elements());
    const Nf4Storage storage{bytes(sizes.code_bytes, DType::u8),
                             bytes(sizes.scale_codes, DType::u8),
                             bytes(sizes.scale_scales, DType::f32)};
    Nf4Weight weight{shape,
                     storage.codes,
                     storage.scale_codes,
                     storage.scale_scales,
                     ConstTensor(dynamic_map().data(), {256}, DType::f32),
                     0};
    weight.scale_offset =
        quantize_nf4(stream, storage, ConstTensor(exact.data(), shape, DType::f32));
    dequantize_nf4(stream, Tensor(exact.data(), shape, DType::f32), weight);
    weights_.push_back(weight);
  }
  void add(Stream& stream, const PartSpec& spec) {
    const Shape shape{spec.out, in_};
    exact_.push_back(random_values(spec.out * in_, 100 + exact_.size()));
    switch (spec.format) {
      case Format::f32:
        add_dense<float>(exact_.back(), shape);
        break;
      case Format::f16:
        add_dense<f16>(exact_.back(), shape);
        break;
      case Format::bf16:
        add_dense<bf16>(exact_.back(), shape);
        break;
      case Format::nf4:
        add_nf4(stream, exact_.back(), shape);
        break;
    }
    LinearPart part{.weight = &weights_.back()};
    if (spec.bias) {
      extra_.push_back(random_values(spec.out, 200 + extra_.size()));
      part.bias = ConstTensor(extra_.back().data(), {spec.out}, DType::f32);
    }
    if (spec.rank > 0) {
      extra_.push_back(random_values(spec.out * spec.rank, 200 + extra_.size()));
      part.lora_b = ConstTensor(extra_.back().data(), {spec.out, spec.rank}, DType::f32);
      part.lora_scale = 0.5f + float(parts_.size());
    }
    parts_.push_back(part);
    out_ += spec.out;
    rank_ += spec.rank;
  }

  std::int64_t in_, out_ = 0, rank_ = 0;
  std::deque<FrozenWeight> weights_;
  std::deque<std::vector<std::byte>> bytes_;
  std::deque<Values> exact_, extra_;
  std::vector<LinearPart> parts_;
};

Tensor view(Values& v, std::int64_t rows, std::int64_t columns) {
  return {v.data(), {rows, columns}, DType::f32};
}
ConstTensor view(const Values& v, std::int64_t rows, std::int64_t columns) {
  return {v.data(), {rows, columns}, DType::f32};
}
ConstTensor view_or_empty(const Values& v, std::int64_t rows, std::int64_t columns) {
  return columns > 0 ? view(v, rows, columns) : ConstTensor();
}

Values forward(const Group& group, std::int64_t rows, const Values& x, const Values& xa,
               int threads) {
  const auto stream = Stream::open({}, threads);
  Arena scratch(*stream, 1 << 20);
  Values y(std::size_t(rows * group.out()), std::nanf(""));
  frozen_linear_forward(*stream, scratch, view(y, rows, group.out()), view(x, rows, group.in()),
                        group.parts(), view_or_empty(xa, rows, group.rank()));
  EXPECT_EQ(scratch.mark(), 0u);
  return y;
}

Values backward(const Group& group, std::int64_t rows, const Values& dy, const Values& dxa,
                const Values& a, int threads) {
  const auto stream = Stream::open({}, threads);
  Arena scratch(*stream, 1 << 20);
  Values dx(std::size_t(rows * group.in()), std::nanf(""));
  frozen_linear_backward(*stream, scratch, view(dx, rows, group.in()), view(dy, rows, group.out()),
                         group.parts(), view_or_empty(dxa, rows, group.rank()),
                         group.rank() ? view(a, group.rank(), group.in()) : ConstTensor());
  return dx;
}

/// y in double, [rows, out].
std::vector<double> forward_in_double(const Group& group, std::int64_t rows, const Values& x,
                                      const Values& xa) {
  std::vector<double> y(std::size_t(rows * group.out()));
  std::int64_t column = 0, rank = 0;
  for (std::size_t p = 0; p < group.parts().size(); ++p) {
    const LinearPart& part = group.parts()[p];
    const std::int64_t out = shape_of(*part.weight)[0];
    const std::int64_t part_rank = part.lora_b ? part.lora_b.dim(1) : 0;
    for (std::int64_t m = 0; m < rows; ++m)
      for (std::int64_t n = 0; n < out; ++n) {
        double sum = part.bias ? double(part.bias.as<float>()[n]) : 0.0, extra = 0;
        for (std::int64_t k = 0; k < group.in(); ++k)
          sum += double(x[std::size_t(m * group.in() + k)]) *
                 double(group.weight(p)[std::size_t(n * group.in() + k)]);
        for (std::int64_t r = 0; r < part_rank; ++r)
          extra += double(xa[std::size_t(m * group.rank() + rank + r)]) *
                   double(part.lora_b.as<float>()[n * part_rank + r]);
        y[std::size_t(m * group.out() + column + n)] = sum + double(part.lora_scale) * extra;
      }
    column += out;
    rank += part_rank;
  }
  return y;
}

/// Products of values up to 1: each of the `terms` additions rounds a sum of about sqrt(terms).
double tolerance(std::int64_t terms) { return 1.2e-7 * double(terms + 8) * 4; }

void check_forward(std::int64_t in, const std::vector<PartSpec>& specs, std::int64_t rows) {
  const auto stream = Stream::open({}, 1);
  const Group group(*stream, in, specs);
  const Values x = random_values(rows * in, 1), xa = random_values(rows * group.rank(), 2);
  const Values y = forward(group, rows, x, xa, 2);
  const std::vector<double> wanted = forward_in_double(group, rows, x, xa);
  for (std::size_t i = 0; i < y.size(); ++i)
    ASSERT_NEAR(y[i], wanted[i], tolerance(in)) << "rows " << rows << " in " << in << " at " << i;
}

const std::vector<std::vector<PartSpec>> kGroups = {
    {{7, Format::nf4}},
    {{64, Format::nf4, true, 16}, {33, Format::nf4}, {32, Format::nf4, false, 8}},
    {{40, Format::f32, true}, {65, Format::f32, true, 3}},
    {{31, Format::f16}, {1, Format::bf16, true, 1}},
};

TEST(FrozenLinear, ForwardAgreesWithDouble) {
  for (const auto& specs : kGroups)
    for (const std::int64_t in : {1, 31, 64, 100, 192})
      for (const std::int64_t rows : {0, 1, 2, 7, 8, 9, 33}) check_forward(in, specs, rows);
}

TEST(FrozenLinear, ForwardAgreesWithDoubleOverSeveralDepthGroups) {
  for (const std::int64_t rows : {3, 31})
    for (const std::int64_t in : {1536, 2500}) check_forward(in, kGroups[1], rows);
}

TEST(FrozenLinear, FewRowsAgreeWithDouble) {
  for (const auto& specs : kGroups)
    for (const std::int64_t in : {64, 101, 192})
      for (std::int64_t rows = 1; rows < 27; ++rows) check_forward(in, specs, rows);
}

TEST(FrozenLinear, FewRowsHaveTheBitsOfEachAlone) {
  const auto stream = Stream::open({}, 1);
  for (const auto& specs : kGroups) {
    const Group group(*stream, 192, specs);
    const std::int64_t rows = 6;
    const Values x = random_values(rows * group.in(), 1),
                 xa = random_values(rows * group.rank(), 2);
    const Values together = forward(group, rows, x, xa, 2);
    const auto row = [](const Values& all, std::int64_t m, std::int64_t width) {
      return Values(all.begin() + m * width, all.begin() + (m + 1) * width);
    };
    for (std::int64_t m = 0; m < rows; ++m)
      EXPECT_EQ(forward(group, 1, row(x, m, group.in()), row(xa, m, group.rank()), 1),
                row(together, m, group.out()));
  }
}

TEST(FrozenLinear, BackwardAgreesWithDouble) {
  const auto stream = Stream::open({}, 1);
  for (const auto& specs : kGroups)
    for (const std::int64_t in : {1, 31, 64, 100, 192})
      for (const std::int64_t rows : {0, 1, 31}) {
        const Group group(*stream, in, specs);
        const Values dy = random_values(rows * group.out(), 1),
                     dxa = random_values(rows * group.rank(), 2),
                     a = random_values(group.rank() * in, 3);
        const Values dx = backward(group, rows, dy, dxa, a, 2);
        for (std::int64_t m = 0; m < rows; ++m)
          for (std::int64_t k = 0; k < in; ++k) {
            double sum = 0;
            std::int64_t column = 0;
            for (std::size_t p = 0; p < specs.size(); ++p)
              for (std::int64_t n = 0; n < specs[p].out; ++n, ++column)
                sum += double(dy[std::size_t(m * group.out() + column)]) *
                       double(group.weight(p)[std::size_t(n * in + k)]);
            for (std::int64_t r = 0; r < group.rank(); ++r)
              sum += double(dxa[std::size_t(m * group.rank() + r)]) *
                     double(a[std::size_t(r * in + k)]);
            ASSERT_NEAR(dx[std::size_t(m * in + k)], sum, tolerance(group.out() + group.rank()));
          }
      }
}

TEST(FrozenLinear, BackwardIsTheTransposeOfForward) {
  const auto stream = Stream::open({}, 1);
  const Group group(*stream, 1536, {{576, Format::nf4}});
  const std::int64_t rows = 20;
  const Values x = random_values(rows * 1536, 1), dy = random_values(rows * 576, 2);
  const Values y = forward(group, rows, x, {}, 2), dx = backward(group, rows, dy, {}, {}, 2);
  double left = 0, right = 0;
  for (std::size_t i = 0; i < y.size(); ++i) left += double(dy[i]) * double(y[i]);
  for (std::size_t i = 0; i < x.size(); ++i) right += double(dx[i]) * double(x[i]);
  EXPECT_NEAR(left, right, 1e-5 * std::abs(left) + 1e-2);
}

TEST(FrozenLinear, LoraTermIsLinearInXa) {
  const auto stream = Stream::open({}, 1);
  const Group group(*stream, 64, {{48, Format::nf4, false, 16}});
  for (const std::int64_t rows : {2, 40}) {
    const Values x = random_values(rows * 64, 1), none(std::size_t(rows * 16), 0.0f);
    Values once = random_values(rows * 16, 2), twice = once;
    for (float& value : twice) value *= 2;
    const Values y0 = forward(group, rows, x, none, 1), y1 = forward(group, rows, x, once, 1),
                 y2 = forward(group, rows, x, twice, 1);
    for (std::size_t i = 0; i < y0.size(); ++i)
      EXPECT_NEAR(y2[i] - y1[i], y1[i] - y0[i], 1e-5);  // sums of 80 values near 1
  }
}

TEST(FrozenLinear, SameBitsForAnyNumberOfThreads) {
  const auto stream = Stream::open({}, 1);
  const Group group(*stream, 320, {{200, Format::nf4, true, 16}, {77, Format::f32, false, 4}});
  for (const std::int64_t rows : {1, 5, 250}) {
    const Values x = random_values(rows * 320, 1), xa = random_values(rows * 20, 2),
                 dy = random_values(rows * 277, 3), a = random_values(20 * 320, 4);
    const Values y = forward(group, rows, x, xa, 1), dx = backward(group, rows, dy, xa, a, 1);
    for (const int threads : {2, 3, 7}) {
      EXPECT_EQ(forward(group, rows, x, xa, threads), y);
      EXPECT_EQ(backward(group, rows, dy, xa, a, threads), dx);
    }
  }
}

TEST(FrozenLinear, HalfPrecisionActivationsAreSummedInF32) {
  const auto stream = Stream::open({}, 2);
  const Group group(*stream, 100, {{35, Format::nf4, false, 4}});
  Arena scratch(*stream, 1 << 20);
  for (const std::int64_t rows : {3, 20}) {
    Values x = random_values(rows * 100, 1);
    const Values xa = random_values(rows * 4, 2);
    std::vector<bf16> narrow(x.size()), y(std::size_t(rows * 35));
    for (std::size_t i = 0; i < x.size(); ++i) {
      narrow[i] = bf16(x[i]);
      x[i] = float(narrow[i]);
    }
    frozen_linear_forward(*stream, scratch, Tensor(y.data(), {rows, 35}, DType::bf16),
                          ConstTensor(narrow.data(), {rows, 100}, DType::bf16), group.parts(),
                          view(xa, rows, 4));
    const Values wanted = forward(group, rows, x, xa, 1);
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i].bits, bf16(wanted[i]).bits);
  }
  EXPECT_EQ(scratch.mark(), 0u);
}

TEST(FrozenLinear, LoraBBackwardAgreesWithDouble) {
  const auto stream = Stream::open({}, 3);
  const std::vector<PartSpec> specs = {
      {37, Format::nf4, false, 16}, {20, Format::f32}, {130, Format::nf4, false, 5}};
  const Group group(*stream, 64, specs);
  Arena scratch(*stream, 1 << 20);
  for (const std::int64_t rows : {1, 31, 1200}) {
    const Values dy = random_values(rows * group.out(), 1), xa = random_values(rows * 21, 2);
    Values dxa(std::size_t(rows * 21), std::nanf("")), db0 = random_values(37 * 16, 3),
                                                       db2 = random_values(130 * 5, 4);
    const Values db2_before = db2;
    const std::vector<Tensor> db = {view(db0, 37, 16), Tensor(), view(db2, 130, 5)};
    lora_b_backward(*stream, scratch, view(dxa, rows, 21), db, view(dy, rows, group.out()),
                    view(xa, rows, 21), group.parts());
    const LinearPart& last = group.parts()[2];
    for (std::int64_t r = 0; r < 5; ++r) {
      for (std::int64_t m = 0; m < rows; ++m) {
        double sum = 0;
        for (std::int64_t n = 0; n < 130; ++n)
          sum += double(dy[std::size_t(m * 187 + 57 + n)]) *
                 double(last.lora_b.as<float>()[n * 5 + r]);
        EXPECT_NEAR(dxa[std::size_t(m * 21 + 16 + r)], double(last.lora_scale) * sum,
                    tolerance(130));
      }
      for (std::int64_t n = 0; n < 130; ++n) {
        double sum = 0;
        for (std::int64_t m = 0; m < rows; ++m)
          sum +=
              double(dy[std::size_t(m * 187 + 57 + n)]) * double(xa[std::size_t(m * 21 + 16 + r)]);
        EXPECT_NEAR(db2[std::size_t(n * 5 + r)],
                    double(last.lora_scale) * sum + double(db2_before[std::size_t(n * 5 + r)]),
                    tolerance(rows));
      }
    }
  }
}

TEST(FrozenLinear, RefusesWhatDoesNotFit) {
  const auto stream = Stream::open({}, 1);
  const Group group(*stream, 64, {{32, Format::nf4, false, 4}});
  Arena scratch(*stream, 1 << 16);
  Values x(3 * 64), y(3 * 32), xa(3 * 4);
  const auto run = [&](Tensor to, ConstTensor from, ConstTensor low) {
    frozen_linear_forward(*stream, scratch, to, from, group.parts(), low);
  };
  EXPECT_NO_THROW(run(view(y, 3, 32), view(x, 3, 64), view(xa, 3, 4)));
  EXPECT_THROW(run(view(y, 2, 32), view(x, 3, 64), view(xa, 3, 4)), InternalError);
  EXPECT_THROW(run(view(y, 3, 32), view(x, 6, 32), view(xa, 3, 4)), InternalError);
  EXPECT_THROW(run(view(y, 3, 32), view(x, 3, 64), ConstTensor()), InternalError);
  EXPECT_THROW(run(view(x, 3, 32), view(x, 3, 64), view(xa, 3, 4)), InternalError);
  const Tensor dxa(xa.data(), {3, 4}, DType::f32);
  EXPECT_THROW(frozen_linear_backward(*stream, scratch, view(x, 3, 64), view(y, 3, 32),
                                      group.parts(), dxa, ConstTensor()),
               InternalError);
}

}  // namespace
}  // namespace elenchus::ops
