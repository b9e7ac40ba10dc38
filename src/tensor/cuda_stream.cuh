#pragma once
// What a stream is on a CUDA device: its queue, its cuBLASLt handle and their memory. Included by
// .cu and .cuh files only.

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <typeindex>
#include <vector>

#include "tensor/dry_stream.h"
#include "tensor/work_parts.h"

namespace elenchus {

/// Throws DeviceError unless `status` is success: out_of_resources for memory, else device_failed.
void check_cuda(cudaError_t status, const char* what);
/// The same for cuBLASLt.
void check_cublas(cublasStatus_t status, const char* what);

/// One product as cuBLASLt's search for an algorithm sees it.
struct ProductKey {
  std::int64_t m, n, k, lda, ldb, ldc;
  int dtype, result_dtype, transposed_a, transposed_b, alignment;
  bool accumulates;
  auto tied() const {
    return std::tie(m, n, k, lda, ldb, ldc, dtype, result_dtype, transposed_a, transposed_b,
                    alignment, accumulates);
  }
  bool operator<(const ProductKey& other) const { return tied() < other.tied(); }
};

/// What an op keeps with a stream of a CUDA device, dry or not, for the stream's life: a library's
/// handle, plans made by it.
class Resident {
 public:
  virtual ~Resident() = default;
};
using Residents = std::map<std::type_index, std::unique_ptr<Resident>>;

/// A dry stream whose ops may ask the device's libraries what a call would take.
class CudaDryStream final : public DryStream {
 public:
  using DryStream::DryStream;
  Residents& residents() { return residents_; }

 private:
  Residents residents_;
};

/// When a queue goes over from one part of the work to the next.
class PartTimeline {
 public:
  explicit PartTimeline(cudaStream_t queue) : queue_(queue) { mark(WorkPart::other); }
  ~PartTimeline();
  PartTimeline(const PartTimeline&) = delete;
  PartTimeline& operator=(const PartTimeline&) = delete;
  WorkPart current() const { return marks_.back().part; }
  /// What is queued from here on belongs to `part`. A failure is kept for seconds().
  void mark(WorkPart part) noexcept;
  /// Waits for the queue. DeviceError.
  PartSeconds seconds();

 private:
  struct Mark {
    cudaEvent_t event;
    WorkPart part;
  };
  cudaStream_t queue_;
  std::vector<Mark> marks_;
  cudaError_t status_ = cudaSuccess;
};

class CudaStream final : public Stream {
 public:
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

  /// DeviceError: the device cannot be used. `device` exists.
  explicit CudaStream(Device device);
  ~CudaStream() override;
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  void copy(Tensor dst, ConstTensor src) override;
  void zero(Tensor dst) override;
  void* allocate(std::size_t bytes) override;
  void free(void* memory, std::size_t bytes) noexcept override;
  void synchronize() override;

  cudaStream_t queue() const { return queue_; }
  cublasLtHandle_t products() const { return products_; }
  void* workspace() const { return workspace_; }
  int multiprocessors() const { return multiprocessors_; }
  /// Compute capability: 75 is Turing, 80 Ampere, 90 Hopper.
  int capability() const { return capability_; }
  /// Most shared memory that a block may ask for.
  int block_shared_bytes() const { return block_shared_bytes_; }
  /// Algorithms chosen before, by product.
  std::map<ProductKey, cublasLtMatmulAlgo_t>& algorithms() { return algorithms_; }
  Residents& residents() { return residents_; }
  /// Where the parts of the work are noted; empty while they are not.
  std::optional<PartTimeline>& timeline() { return timeline_; }
  /// At least `bytes` of device memory, 256-byte aligned, for one op on this stream: the next op
  /// may overwrite it.
  std::byte* scratch(std::size_t bytes);

 private:
  cudaStream_t queue_ = nullptr;
  cublasLtHandle_t products_ = nullptr;
  void* workspace_ = nullptr;
  std::byte* scratch_memory_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  int multiprocessors_ = 0, capability_ = 0, block_shared_bytes_ = 0;
  std::map<ProductKey, cublasLtMatmulAlgo_t> algorithms_;
  Residents residents_;
  std::optional<PartTimeline> timeline_;
};

/// Notes that what is queued while it lives is `part`; an inner one interrupts an outer one.
class WorkTimer {
 public:
  WorkTimer(CudaStream& device, WorkPart part) : timeline_(device.timeline()) {
    if (!timeline_) return;
    outer_ = timeline_->current();
    timeline_->mark(part);
  }
  ~WorkTimer() {
    if (timeline_) timeline_->mark(outer_);
  }
  WorkTimer(const WorkTimer&) = delete;
  WorkTimer& operator=(const WorkTimer&) = delete;

 private:
  std::optional<PartTimeline>& timeline_;
  WorkPart outer_ = WorkPart::other;
};

/// The CUDA side of a stream on a CUDA device; makes its device the calling thread's.
CudaStream& cuda_side(Stream& stream);

/// What ops keep with a stream of a CUDA device, dry or not.
Residents& residents_of(Stream& stream);
/// The stream's T, made from its device at first use.
template <class T>
T& resident(Stream& stream) {
  std::unique_ptr<Resident>& place = residents_of(stream)[typeid(T)];
  if (!place) place = std::make_unique<T>(stream.device());
  return static_cast<T&>(*place);
}

}  // namespace elenchus
