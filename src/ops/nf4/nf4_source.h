#pragma once
// What CPU kernels read of an NF4 weight.

#include <cstdint>

#include "ops/nf4/nf4.h"

namespace elenchus::ops {

/// The addresses behind an Nf4Weight.
struct Nf4Source {
  explicit Nf4Source(const Nf4Weight& w)
      : in(w.shape[1]),
        values(kNf4Values.data()),
        codes(w.codes.as<std::uint8_t>()),
        absmax(w.absmax ? w.absmax.as<float>() : nullptr),
        scale_codes(absmax ? nullptr : w.scale_codes.as<std::uint8_t>()),
        scale_scales(absmax ? nullptr : w.scale_scales.as<float>()),
        scale_map(absmax ? nullptr : w.scale_map.as<float>()),
        scale_offset(w.scale_offset) {}
  std::int64_t in;
  const float* values;
  const std::uint8_t* codes;
  const float* absmax;  // or null
  const std::uint8_t* scale_codes;
  const float *scale_scales, *scale_map;
  float scale_offset;

  float scale(std::int64_t block) const {
    if (absmax) return absmax[block];
    const float centred = scale_map[scale_codes[block]] * scale_scales[block / kNf4NestedBlock];
    return centred + scale_offset;
  }
  float value(std::int64_t i) const {
    const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
    return values[code] * scale(i / kNf4Block);
  }
};

}  // namespace elenchus::ops
