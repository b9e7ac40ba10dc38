#pragma once

#include "ops/blockwise8/dynamic_map.h"

namespace elenchus::ops {

/// The maps of both moments; small enough to be an argument of a kernel.
struct MomentMaps {
  float m[256], v[256];
  MomentMaps() {
    for (std::size_t i = 0; i < 256; ++i) {
      m[i] = dynamic_map()[i];
      v[i] = unsigned_dynamic_map()[i];
    }
  }
};

}  // namespace elenchus::ops
