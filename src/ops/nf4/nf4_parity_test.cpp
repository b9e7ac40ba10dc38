// NF4 on CUDA has the bits of NF4 on the CPU.

#include "ops/nf4/nf4.h"
#include "testing/gradcheck.h"
#include "testing/parity.h"

namespace elenchus {
namespace {

using testing::bytes_of;
using testing::Held;

/// A weight quantised on one device.
struct Quantized {
  Quantized(Stream& stream, Shape shape, const std::vector<double>& values)
      : stream(stream),
        sizes(shape.elements()),
        codes(stream, {sizes.code_bytes}, DType::u8),
        scale_codes(stream, {sizes.scale_codes}, DType::u8),
        scale_scales(stream, {sizes.scale_scales}, DType::f32),
        map(stream, {256}, DType::f32),
        weight{shape, codes.tensor(), scale_codes.tensor(), scale_scales.tensor(), map.tensor()} {
    stream.copy(map.tensor(), ConstTensor(ops::dynamic_map().data(), {256}, DType::f32));
    weight.scale_offset =
        ops::quantize_nf4(stream, {codes.tensor(), scale_codes.tensor(), scale_scales.tensor()},
                          Held(stream, shape, DType::f32, values));
    stream.synchronize();
  }
  std::vector<std::byte> dequantized(DType dtype) const {
    const Held out(stream, weight.shape, dtype);
    ops::dequantize_nf4(stream, out, weight);
    return bytes_of(stream, out);
  }
  Stream& stream;
  ops::Nf4Sizes sizes;
  Buffer codes, scale_codes, scale_scales, map;
  Nf4Weight weight;
};

class Nf4Cuda : public testing::CudaParity {
 protected:
  void compare(Shape shape, double size) {
    std::vector<double> values = testing::random_values(shape.elements(), 5, size);
    // Bell-shaped, with a block of zeros and a block of one value.
    for (double& v : values) v *= v * v;
    for (std::size_t i = 64; i < 192 && i < values.size(); ++i) values[i] = i < 128 ? 0 : size;
    const Quantized cpu_weight(cpu(), shape, values), cuda_weight(cuda(), shape, values);
    EXPECT_EQ(bytes_of(cuda(), cuda_weight.codes.tensor()),
              bytes_of(cpu(), cpu_weight.codes.tensor()));
    EXPECT_EQ(bytes_of(cuda(), cuda_weight.scale_codes.tensor()),
              bytes_of(cpu(), cpu_weight.scale_codes.tensor()));
    EXPECT_EQ(bytes_of(cuda(), cuda_weight.scale_scales.tensor()),
              bytes_of(cpu(), cpu_weight.scale_scales.tensor()));
    EXPECT_EQ(cuda_weight.weight.scale_offset, cpu_weight.weight.scale_offset);
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      EXPECT_EQ(cuda_weight.dequantized(dtype), cpu_weight.dequantized(dtype))
          << shape.text() << " " << name_of(dtype);
    EXPECT_EQ(single(cuda(), shape, values), single(cpu(), shape, values));
  }
  /// The bytes of codes and scales that are not quantised again.
  static std::vector<std::byte> single(Stream& stream, Shape shape,
                                       const std::vector<double>& values) {
    const ops::Nf4Sizes sizes(shape.elements());
    const Held codes(stream, {sizes.code_bytes}, DType::u8),
        absmax(stream, {sizes.scale_codes}, DType::f32);
    ops::Nf4Storage storage;
    storage.codes = codes;
    storage.absmax = absmax;
    ops::quantize_nf4(stream, storage, Held(stream, shape, DType::f32, values));
    std::vector<std::byte> all = bytes_of(stream, codes);
    const std::vector<std::byte> scales = bytes_of(stream, absmax);
    all.insert(all.end(), scales.begin(), scales.end());
    return all;
  }
};

TEST_F(Nf4Cuda, HasTheBitsOfTheCpu) {
  for (const std::int64_t rows : {1, 31, 33})
    for (const std::int64_t columns : {1, 33, 64, 127, 129, 192, 4096})
      compare({rows, columns}, 0.05);
  compare({700, 576}, 0.02);
}

TEST_F(Nf4Cuda, HasTheBitsOfTheCpuForVerySmallWeights) { compare({16, 64}, 1e-30); }

}  // namespace
}  // namespace elenchus
