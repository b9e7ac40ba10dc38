#pragma once
// Comparing one device with another, or with double: sizes of differences, and weights in every
// format.

#include <cmath>
#include <span>
#include <vector>

#include "testing/devices.h"

namespace elenchus::testing {

/// |actual - expected| / |expected|, as vectors; 0 if both are zero, NaN if anything is.
inline double relative_error(std::span<const double> actual, std::span<const double> expected) {
  expect(actual.size() == expected.size(), "vectors of different lengths are compared");
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    difference += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

/// The CUDA device's stream, or null where there is none.
inline std::unique_ptr<Stream> open_cuda_or_null() {
  if constexpr (kCudaBuilt)
    if (cuda_device_count() > 0) return Stream::open({Device::Kind::cuda, 0});
  return nullptr;
}

/// A test with a stream on the CPU and one on a CUDA device; skipped without one.
class CudaParity : public ::testing::Test {
 protected:
  void SetUp() override {
    cuda_ = open_cuda_or_null();
    if (!cuda_) GTEST_SKIP() << "no CUDA device, or no CUDA back end in this build";
    cpu_ = Stream::open({}, 4);
  }
  Stream& cuda() { return *cuda_; }
  Stream& cpu() { return *cpu_; }

 private:
  std::unique_ptr<Stream> cuda_, cpu_;
};

/// The bytes of a tensor, on the host.
inline std::vector<std::byte> bytes_of(Stream& stream, ConstTensor tensor) {
  std::vector<std::byte> host(tensor.bytes());
  stream.copy(Tensor(host.data(), tensor.shape(), tensor.dtype()), tensor);
  stream.synchronize();
  return host;
}

}  // namespace elenchus::testing
