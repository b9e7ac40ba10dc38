#pragma once
// Where the CUDA back end of a build is asked for. The project's one #ifdef on back ends.

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

}  // namespace elenchus
