#pragma once
// How much memory a run holds.

#include <cstdint>
#include <optional>
#include <string>

#include "tensor/stream.h"

namespace elenchus {

/// Memory in use at one moment.
struct MemoryUse {
  std::int64_t process_bytes = 0;            ///< resident on the host
  std::int64_t process_peak_bytes = 0;       ///< the most that ever was
  std::optional<std::int64_t> device_bytes;  ///< allocated on the device, if it is not the host
};

MemoryUse measure_memory(const Stream& stream);

/// "memory 0.31 GiB, peak 0.45 GiB", and the device's where there is one.
std::string memory_text(const MemoryUse& memory);

}  // namespace elenchus
