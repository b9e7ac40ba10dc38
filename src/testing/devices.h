#pragma once
// One test text over every device and dtype: TEST_P of a class derived from OnDevice. A device that
// is not there is reported as skipped, never as passed.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/device_streams.h"
#include "tensor/stream.h"

namespace elenchus::testing {

/// Where a test runs and what its tensors hold.
struct DeviceCase {
  Device::Kind kind = Device::Kind::cpu;
  DType dtype = DType::f32;
};

inline std::string case_name(const ::testing::TestParamInfo<DeviceCase>& info) {
  const bool cpu = info.param.kind == Device::Kind::cpu;
  return std::string(cpu ? "cpu_" : "cuda_") + std::string(name_of(info.param.dtype));
}

/// Every device with f32, f16 and bf16.
inline auto every_device_and_float() {
  std::vector<DeviceCase> cases;
  for (const Device::Kind kind : {Device::Kind::cpu, Device::Kind::cuda})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) cases.push_back({kind, dtype});
  return ::testing::ValuesIn(cases);
}
/// Every device with f32.
inline auto every_device() {
  return ::testing::Values(DeviceCase{Device::Kind::cpu}, DeviceCase{Device::Kind::cuda});
}

/// `values` as they come back from storage of that dtype.
inline std::vector<double> rounded(std::span<const double> values, DType dtype) {
  std::vector<double> out;
  visit_float(dtype, [&]<class T>() {
    for (const double v : values) out.push_back(static_cast<float>(T(float(v))));
  });
  return out;
}

/// The relative size of one rounding to that dtype.
inline double epsilon_of(DType dtype) {
  if (dtype == DType::f16) return 0x1p-11;
  return dtype == DType::bf16 ? 0x1p-8 : 0x1p-24;
}

/// A tensor and the memory behind it.
class Held {
 public:
  Held() = default;
  Held(Stream& stream, Shape shape, DType dtype)
      : stream_(&stream), buffer_(stream, shape, dtype) {}
  /// Floats, rounded to `dtype`.
  Held(Stream& stream, Shape shape, DType dtype, std::span<const double> values)
      : Held(stream, shape, dtype) {
    visit_float(dtype, [&]<class T>() {
      std::vector<T> host;
      for (const double v : values) host.push_back(T(float(v)));
      copy_in(host);
    });
  }
  Held(Stream& stream, std::span<const std::int32_t> values)
      : Held(stream, {std::int64_t(values.size())}, DType::i32) {
    copy_in(std::vector<std::int32_t>(values.begin(), values.end()));
  }
  operator Tensor() const { return buffer_.tensor(); }
  operator ConstTensor() const { return buffer_.tensor(); }
  Tensor tensor() const { return buffer_.tensor(); }
  /// The elements on the host.
  std::vector<double> values() const {
    const Tensor tensor = buffer_.tensor();
    std::vector<double> out;
    const auto read = [&]<class T>() {
      std::vector<T> host(std::size_t(tensor.elements()));
      stream_->copy(Tensor(host.data(), tensor.shape(), tensor.dtype()), tensor);
      stream_->synchronize();
      for (const T& v : host) out.push_back(double(static_cast<float>(v)));
    };
    if (tensor.dtype() == DType::i32)
      read.template operator()<std::int32_t>();
    else
      visit_float(tensor.dtype(), read);
    return out;
  }

 private:
  template <class T>
  void copy_in(const std::vector<T>& host) {
    const Tensor tensor = buffer_.tensor();
    expect(std::int64_t(host.size()) == tensor.elements(), "the values do not fill the tensor");
    stream_->copy(tensor, ConstTensor(host.data(), tensor.shape(), tensor.dtype()));
    stream_->synchronize();
  }
  Stream* stream_ = nullptr;
  Buffer buffer_;
};

/// Every |actual - expected| is at most tolerance * (1 + |expected|).
inline void expect_close(std::span<const double> actual, std::span<const double> expected,
                         double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_LE(std::abs(actual[i] - expected[i]), tolerance * (1 + std::abs(expected[i])))
        << "element " << i << ": " << actual[i] << ", expected " << expected[i];
}

/// Opens the stream of its case, or skips.
class OnDevice : public ::testing::TestWithParam<DeviceCase> {
 protected:
  void SetUp() override {
    if (GetParam().kind == Device::Kind::cuda) {
      if constexpr (!kCudaBuilt) GTEST_SKIP() << "this build has no CUDA back end";
      if constexpr (kCudaBuilt)
        if (cuda_device_count() == 0) GTEST_SKIP() << "this machine has no CUDA device";
    }
    stream_ = Stream::open({GetParam().kind, 0}, 2);
  }
  Stream& stream() { return *stream_; }
  DType dtype() const { return GetParam().dtype; }
  /// Room for `roundings` of the dtype and for sums in f32 of values around one.
  double tolerance(double roundings = 2) const {
    return std::max(4e-6, roundings * epsilon_of(dtype()));
  }
  Held floats(Shape shape, std::span<const double> values) {
    return {stream(), shape, DType::f32, values};
  }
  Held tensor(Shape shape, std::span<const double> values) {
    return {stream(), shape, dtype(), values};
  }

 private:
  std::unique_ptr<Stream> stream_;
};

/// Memory of a dry stream cannot be touched: a call that returns wrote nothing and read nothing.
inline Tensor dry_tensor(Stream& dry, Shape shape, DType dtype = DType::f32) {
  return {dry.allocate(std::size_t(shape.elements()) * size_of(dtype)), shape, dtype, dry.device()};
}

}  // namespace elenchus::testing
