#pragma once
// Where a run takes place, and in which type it computes.

#include <string>

#include "models/model_config.h"
#include "tensor/tensor.h"

namespace elenchus {

struct DeviceChoice {
  Device device;
  int threads = 1;                  ///< of the CPU
  std::size_t available_bytes = 0;  ///< memory of the device that is free
  std::string name() const;         ///< "cpu", "cuda:0"
};

/// model.device: auto (the first GPU if this build and machine have one, else the CPU), cpu, cuda
/// or cuda:N. UserError: another word, or a device that is not there. `threads` 0 takes every core.
DeviceChoice choose_device(const std::string& wanted, int threads);

/// The type of activations: what the first of `wishes` that is not auto says, else bfloat16. The
/// CPU computes in float32 whatever is wished.
DType choose_compute(Device device, std::initializer_list<ComputeType> wishes);

}  // namespace elenchus
