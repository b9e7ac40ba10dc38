#include "train/memory_use.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace elenchus {
namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;

/// 0 where /proc is not there.
std::int64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (!file) return 0;
  long all = 0, resident = 0;
  const int read = std::fscanf(file, "%ld %ld", &all, &resident);
  std::fclose(file);
  return read == 2 ? std::int64_t(resident) * sysconf(_SC_PAGESIZE) : 0;
}

/// The most that was resident since this program began; getrusage's ru_maxrss remembers what ran in
/// the process before. 0 where /proc is not there.
std::int64_t peak_bytes() {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (!file) return 0;
  long kilobytes = 0;
  for (char line[256]; std::fgets(line, sizeof line, file);)
    if (std::sscanf(line, "VmHWM: %ld kB", &kilobytes) == 1) break;
  std::fclose(file);
  return std::int64_t(kilobytes) * 1024;
}

}  // namespace

MemoryUse measure_memory(const Stream& stream) {
  MemoryUse memory;
  memory.process_bytes = resident_bytes();
  // The kernel brings the two up to date at different times.
  memory.process_peak_bytes = std::max(memory.process_bytes, peak_bytes());
  if (stream.on_cuda()) memory.device_bytes = std::int64_t(stream.allocated_bytes());
  return memory;
}

std::string memory_text(const MemoryUse& memory) {
  std::string text =
      fmt::format("memory {:.2f} GiB, peak {:.2f} GiB", double(memory.process_bytes) / kGiB,
                  double(memory.process_peak_bytes) / kGiB);
  if (memory.device_bytes)
    text += fmt::format(", device {:.2f} GiB", double(*memory.device_bytes) / kGiB);
  return text;
}

}  // namespace elenchus
