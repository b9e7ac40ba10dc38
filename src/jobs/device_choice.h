#pragma once
// Where a run takes place, and in which type it computes.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "models/model_config.h"
#include "tensor/tensor.h"

namespace elenchus {

struct DeviceChoice {
  Device device;
  int threads = 1;                  ///< of the CPU
  std::size_t available_bytes = 0;  ///< memory of the device that is free
  std::string name() const;         ///< "cpu", "cuda:0"
};

/// Bytes of "4GiB", "500MB", "2048": decimal units of 1000, binary ones of 1024; none if it is no such text.
std::optional<std::size_t> memory_size(std::string_view text);

/// model.device: auto (the first GPU if this build and machine have one, else the CPU), cpu, cuda
/// or cuda:N. UserError: another word, or a device that is not there. `threads` 0 takes every core.
/// `max_memory` caps what is free: {"cpu": "24GiB", "0": "4GiB"}.
DeviceChoice choose_device(const std::string& wanted, int threads,
                           const std::map<std::string, std::string>& max_memory = {});

/// The type of activations: what the first of `wishes` that is not auto says, else what is fastest:
/// bfloat16 on a GPU, float32 on the CPU, where 16 bits only save memory (all sums are f32 on both).
DType choose_compute(Device device, std::initializer_list<ComputeType> wishes);

}  // namespace elenchus
