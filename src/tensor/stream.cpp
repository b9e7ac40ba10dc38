#include "tensor/stream.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tensor/device_streams.h"
#include "tensor/dry_stream.h"

namespace elenchus {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// Memory from this size on starts at a huge page.
constexpr std::size_t kLarge = 8 * kHugePage;

/// Weights are read from end to end for every token, which is faster by large pages. Only a hint:
/// where the machine has no huge pages nothing changes.
void ask_for_huge_pages(void* memory, std::size_t bytes) {
  (void)::madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
}

/// Runs everything at once on the calling thread and its pool.
class CpuStream final : public Stream {
 public:
  explicit CpuStream(int threads) : Stream({}) {
    pool_ = std::make_unique<ThreadPool>(threads);
    scratch_ =
        static_cast<std::byte*>(allocate(std::size_t(pool_->threads()) * kWorkerScratchBytes));
  }
  ~CpuStream() override { free(scratch_, std::size_t(pool_->threads()) * kWorkerScratchBytes); }

  void copy(Tensor dst, ConstTensor src) override {
    expect(dst.shape() == src.shape() && dst.dtype() == src.dtype(), "copy: tensors differ");
    if (dst.bytes() > 0 && dst.data() != src.data())
      std::memcpy(dst.data(), src.data(), dst.bytes());
  }
  void zero(Tensor dst) override {
    if (dst.bytes() > 0) std::memset(dst.data(), 0, dst.bytes());
  }
  void* allocate(std::size_t bytes) override {
    const std::size_t rounded =
        (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = nullptr;
    if (::posix_memalign(&memory, bytes >= kLarge ? kHugePage : kAlignment, rounded) != 0)
      throw DeviceError(cat("out of memory: ", bytes, " bytes were asked for"));
    if (bytes >= kLarge) ask_for_huge_pages(memory, bytes);
    allocated_bytes_ += bytes;
    return memory;
  }
  void free(void* memory, std::size_t bytes) noexcept override {
    std::free(memory);
    allocated_bytes_ -= bytes;
  }
  void synchronize() override {}
};

}  // namespace

std::unique_ptr<Stream> Stream::open(Device device, int threads) {
  if (device.kind == Device::Kind::cpu) return std::make_unique<CpuStream>(threads);
  if constexpr (kCudaBuilt) return open_cuda_stream(device);
  throw UserError(
      "device: this build has no CUDA back end; set model.device to cpu, or build with "
      "-DELENCHUS_CUDA=ON");
}

void PinnedDeleter::operator()([[maybe_unused]] std::byte* memory) const noexcept {
  if constexpr (kCudaBuilt) free_pinned_bytes(memory);
}

PinnedMemory allocate_pinned([[maybe_unused]] std::size_t bytes) {
  if constexpr (kCudaBuilt) return PinnedMemory(allocate_pinned_bytes(bytes));
  throw UserError("pinned memory: this build has no CUDA back end");
}

std::unique_ptr<Stream> Stream::open_dry(Device device) {
  if constexpr (kCudaBuilt)
    if (device.kind == Device::Kind::cuda) return open_dry_cuda_stream(device);
  return std::make_unique<DryStream>(device);
}

}  // namespace elenchus
