#include "jobs/device_choice.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "tensor/device_streams.h"

namespace elenchus {
namespace {

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

std::size_t read_number(const std::string& path) {
  std::ifstream file(path);
  std::size_t value = 0;
  return file >> value ? value : kUnlimited;
}

/// Cache of files that a control group would give up before it runs short.
std::size_t reclaimable(const std::string& group) {
  std::ifstream stat(group + "/memory.stat");
  std::size_t value = 0;
  for (std::string key; stat >> key >> value;)
    if (key == "inactive_file") return value;
  return 0;
}

/// What this process's control group, and those above it, leave.
std::size_t left_by_control_groups() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line, group;
  while (std::getline(groups, line))
    if (line.starts_with("0::")) group = line == "0::/" ? "" : line.substr(3);
  std::size_t least = kUnlimited;
  while (true) {
    const std::string folder = "/sys/fs/cgroup" + group;
    const std::size_t limit = read_number(folder + "/memory.max");
    if (limit != kUnlimited) {
      const std::size_t current = read_number(folder + "/memory.current");
      const std::size_t used =
          current == kUnlimited ? 0 : current - std::min(current, reclaimable(folder));
      least = std::min(least, limit - std::min(limit, used));
    }
    if (group.empty()) return least;
    group.resize(group.rfind('/'));
  }
}

/// Memory this process may take: what the machine has free, or what its control group leaves if that is less.
std::size_t available_host_memory() {
  std::size_t available = kUnlimited;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key, rest; meminfo >> key; std::getline(meminfo, rest)) {
    std::size_t kilobytes = 0;
    if (key == "MemAvailable:" && meminfo >> kilobytes) available = kilobytes * 1024;
  }
  return std::min(available, left_by_control_groups());
}

Device parse_device(const std::string& wanted) {
  if (wanted == "cpu") return {};
  if (wanted == "auto") {
    if constexpr (kCudaBuilt)
      if (cuda_device_count() > 0) return {Device::Kind::cuda, 0};
    return {};
  }
  if (wanted == "cuda") return {Device::Kind::cuda, 0};
  int index = 0;
  const std::string_view digits =
      std::string_view(wanted).substr(std::min<std::size_t>(5, wanted.size()));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (wanted.starts_with("cuda:") && error == std::errc() && end == digits.data() + digits.size())
    return {Device::Kind::cuda, index};
  throw UserError(
      cat("model.device: found \"", printable(wanted), "\"; expected auto, cpu, cuda or cuda:N"));
}

}  // namespace

std::string DeviceChoice::name() const {
  return device.kind == Device::Kind::cpu ? "cpu" : cat("cuda:", device.index);
}

std::optional<std::size_t> memory_size(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return {};
  std::string_view unit = text.substr(std::size_t(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  struct Unit {
    std::string_view name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"", 1},         {"B", 1},       {"KB", 1e3},     {"MB", 1e6},
                             {"GB", 1e9},     {"TB", 1e12},   {"KiB", 0x1p10}, {"MiB", 0x1p20},
                             {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  for (const Unit& known : kUnits)
    if (unit == known.name && number * known.bytes < 0x1p62)
      return std::size_t(number * known.bytes);
  return {};
}

DeviceChoice choose_device(const std::string& wanted, int threads,
                           const std::map<std::string, std::string>& max_memory) {
  DeviceChoice choice{.device = parse_device(wanted),
                      .threads = ThreadPool(threads).threads(),
                      .available_bytes = 0};
  const bool cpu = choice.device.kind == Device::Kind::cpu;
  const auto cap = max_memory.find(cpu ? "cpu" : cat(choice.device.index));
  const std::size_t most =
      cap == max_memory.end() ? kUnlimited : memory_size(cap->second).value_or(kUnlimited);
  if (cpu) {
    choice.available_bytes = std::min(most, available_host_memory());
    return choice;
  }
  if constexpr (kCudaBuilt) {
    choice.available_bytes = std::min(most, cuda_free_bytes(choice.device));
    return choice;
  }
  throw UserError(
      "model.device: this build has no CUDA back end; set it to cpu or auto, or build with "
      "-DELENCHUS_CUDA=ON");
}

DType choose_compute(Device device, std::initializer_list<ComputeType> wishes) {
  for (const ComputeType wish : wishes) switch (wish) {
      case ComputeType::automatic:
        break;
      case ComputeType::float32:
        return DType::f32;
      case ComputeType::float16:
        return DType::f16;
      case ComputeType::bfloat16:
        return DType::bf16;
    }
  return device.kind == Device::Kind::cpu ? DType::f32 : DType::bf16;
}

}  // namespace elenchus
