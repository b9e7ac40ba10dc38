#pragma once
// Which back ends this build holds, as ops ask for it: if constexpr (kCudaBuilt) if
// (stream.on_cuda()) ...

#include "tensor/device_streams.h"
