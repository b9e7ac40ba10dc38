#include <array>

#include "testing/parity.h"

namespace elenchus {
namespace {

TEST(CudaDevice, ThatDoesNotExistIsTheUsersToFix) {
  try {
    (void)Stream::open({Device::Kind::cuda, 99});
    FAIL() << "a stream on cuda:99";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("model.device"), std::string::npos) << error.what();
  }
}

class CudaStreamTest : public testing::CudaParity {};

TEST_F(CudaStreamTest, CopiesBothWaysAndSetsToZero) {
  const std::array<float, 5> values = {1, -2, 3, 4, 5};
  std::array<float, 5> back{};
  const Buffer a(cuda(), {5}, DType::f32), b(cuda(), {5}, DType::f32);
  cuda().copy(a.tensor(), ConstTensor(values.data(), {5}, DType::f32));
  cuda().copy(b.tensor(), a.tensor());
  cuda().zero(a.tensor());
  cuda().copy(Tensor(back.data(), {5}, DType::f32), b.tensor());
  cuda().synchronize();
  EXPECT_EQ(back, values);
  cuda().copy(Tensor(back.data(), {5}, DType::f32), a.tensor());
  cuda().synchronize();
  EXPECT_EQ(back, (std::array<float, 5>{}));
  EXPECT_THROW(cuda().copy(a.tensor().rows(0, 4), b.tensor()), InternalError);
}

TEST_F(CudaStreamTest, CountsWhatItHandsOut) {
  const std::size_t before = cuda().allocated_bytes();
  {
    const Buffer buffer(cuda(), {1000}, DType::bf16);
    EXPECT_EQ(cuda().allocated_bytes(), before + 2000);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.tensor().data()) % 256, 0u);
  }
  EXPECT_EQ(cuda().allocated_bytes(), before);
}

TEST_F(CudaStreamTest, SaysWhatWasAskedForWhenMemoryIsShortAndGoesOn) {
  try {
    (void)cuda().allocate(std::size_t{1} << 50);
    FAIL() << "a pebibyte";
  } catch (const DeviceError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::out_of_resources);
    EXPECT_NE(std::string(error.what()).find("1125899906842624"), std::string::npos);
  }
  const Buffer buffer(cuda(), {4}, DType::f32);
  cuda().zero(buffer.tensor());
  cuda().synchronize();
}

}  // namespace
}  // namespace elenchus
