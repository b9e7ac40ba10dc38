#pragma once
// What a stream is on a CUDA device: its queue, its cuBLASLt handle and their memory. Included by
// .cu and .cuh files only.

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <map>
#include <tuple>

#include "tensor/stream.h"

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
  /// Algorithms chosen before, by product.
  std::map<ProductKey, cublasLtMatmulAlgo_t>& algorithms() { return algorithms_; }
  /// At least `bytes` of device memory, 256-byte aligned, for one op on this stream: the next op
  /// may overwrite it.
  std::byte* scratch(std::size_t bytes);

 private:
  cudaStream_t queue_ = nullptr;
  cublasLtHandle_t products_ = nullptr;
  void* workspace_ = nullptr;
  std::byte* scratch_memory_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  int multiprocessors_ = 0;
  std::map<ProductKey, cublasLtMatmulAlgo_t> algorithms_;
};

/// The CUDA side of a stream on a CUDA device; makes its device the calling thread's.
CudaStream& cuda_side(Stream& stream);

}  // namespace elenchus
