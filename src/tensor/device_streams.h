#pragma once
// Where the CUDA back end of a build is asked for. The project's one #ifdef on back ends.

#include <cstddef>
#include <memory>

#include "tensor/stream.h"

namespace elenchus {

#ifdef ELENCHUS_CUDA
inline constexpr bool kCudaBuilt = true;
#else
inline constexpr bool kCudaBuilt = false;
#endif

/// A stream on a CUDA device. UserError: there is no such device, or no driver. In stream_cuda.cu.
std::unique_ptr<Stream> open_cuda_stream(Device device);
/// A dry stream for a CUDA device. In stream_cuda.cu.
std::unique_ptr<Stream> open_dry_cuda_stream(Device device);
/// CUDA devices that this machine has; 0 without a driver. In stream_cuda.cu.
int cuda_device_count();
/// Memory of a device, in bytes.
struct DeviceMemory {
  std::size_t free = 0, all = 0;
};
/// A CUDA device's memory. UserError: there is no such device. In stream_cuda.cu.
DeviceMemory cuda_memory(Device device);
/// What this process may take of a CUDA device, the context that it starts there included. UserError:
/// there is no such device. In free_memory_cuda.cu.
std::size_t cuda_free_bytes(Device device);

/// Host memory that copies to and from CUDA devices run at full speed with.
struct PinnedDeleter {
  void operator()(std::byte* memory) const noexcept;
};
using PinnedMemory = std::unique_ptr<std::byte[], PinnedDeleter>;
/// DeviceError when memory is short; UserError in a build without CUDA. In stream.cpp.
PinnedMemory allocate_pinned(std::size_t bytes);
/// What these two rest on, in stream_cuda.cu.
std::byte* allocate_pinned_bytes(std::size_t bytes);
void free_pinned_bytes(std::byte* memory) noexcept;

}  // namespace elenchus
