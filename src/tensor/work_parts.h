#pragma once
// What a device's time goes into.

#include <array>
#include <cstddef>
#include <string_view>

#include "tensor/stream.h"

namespace elenchus {

enum class WorkPart { other, products, dequantisation, attention, elementwise, loss, optimizer };
inline constexpr std::size_t kWorkParts = 7;
constexpr std::string_view name_of(WorkPart part) {
  constexpr std::array<std::string_view, kWorkParts> kNames = {
      "other", "products", "dequantisation", "attention", "elementwise", "loss", "optimizer"};
  return kNames[std::size_t(part)];
}

/// Seconds by WorkPart. "other" is what passed outside every op: copies, and gaps in the queue.
using PartSeconds = std::array<double, kWorkParts>;

/// From here on the stream of a CUDA device notes when which op runs. Slows it a little. In
/// stream_cuda.cu.
void start_timing_parts(Stream& stream);
/// Waits for the work and says what it was since start_timing_parts.
PartSeconds stop_timing_parts(Stream& stream);

}  // namespace elenchus
