// The memory of a CUDA device that is free before this process has put anything there.

#include <dlfcn.h>

#include <algorithm>
#include <optional>

#include "tensor/cuda_stream.cuh"
#include "tensor/device_streams.h"

namespace elenchus {
namespace {

/// The driver's management library (NVML), loaded where it is there. Asking CUDA itself would start
/// a context, which takes half a GiB: a good part of a small card.
class ManagementLibrary {
 public:
  ManagementLibrary() : handle_(::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    ready_ = find("nvmlInit_v2", init_) && find("nvmlShutdown", shutdown_) &&
             find("nvmlDeviceGetHandleByPciBusId_v2", device_by_bus_) &&
             find("nvmlDeviceGetMemoryInfo", memory_of_) && init_() == kSuccess;
  }
  ~ManagementLibrary() {
    if (ready_) shutdown_();
    if (handle_) ::dlclose(handle_);
  }
  ManagementLibrary(const ManagementLibrary&) = delete;
  ManagementLibrary& operator=(const ManagementLibrary&) = delete;

  std::optional<DeviceMemory> memory(const char* bus) const {
    void* device = nullptr;
    Memory found{};
    if (!ready_ || device_by_bus_(bus, &device) != kSuccess ||
        memory_of_(device, &found) != kSuccess)
      return {};
    return DeviceMemory{.free = found.free, .all = found.total};
  }

 private:
  static constexpr int kSuccess = 0;
  struct Memory {  // nvmlMemory_t
    unsigned long long total, free, used;
  };
  template <class Function>
  bool find(const char* name, Function& function) const {
    void* const symbol = handle_ ? ::dlsym(handle_, name) : nullptr;
    function = reinterpret_cast<Function>(symbol);
    return symbol != nullptr;
  }

  void* handle_;
  bool ready_ = false;
  int (*init_)() = nullptr;
  int (*shutdown_)() = nullptr;
  int (*device_by_bus_)(const char*, void**) = nullptr;
  int (*memory_of_)(void*, Memory*) = nullptr;
};

}  // namespace

std::size_t cuda_free_bytes(Device device) {
  char bus[32] = {};
  std::optional<DeviceMemory> before;
  if (cudaDeviceGetPCIBusId(bus, sizeof bus, device.index) == cudaSuccess)
    before = ManagementLibrary().memory(bus);
  const DeviceMemory with_context = cuda_memory(device);
  // Of a card cut into instances (MIG) the library tells the whole one's memory.
  if (!before || before->all > with_context.all + with_context.all / 16) return with_context.free;
  return std::clamp(before->free, with_context.free, with_context.all);
}

}  // namespace elenchus
