#pragma once

#include <vector>

#include "models/decoder_config.h"

namespace elenchus {

/// Cosine and sine of every position and frequency, as transformers computes them: frequencies in
/// f32, angles in f32.
struct RopeTables {
  std::vector<float> cosine, sine;  ///< [positions, D/2]
};

/// inv_freq[i] = theta^(-2i/D), then scaled by kind: linear and llama3 (arXiv:2407.21783), yarn
/// (arXiv:2309.00071). Dynamic changes theta by the length, as transformers for a batch whose
/// longest row has all `positions`.
/// LongRoPE (arXiv:2402.13753) has factors for sequences up to the original length and others for
/// longer ones.   rotary_dim: D, what is turned of a head
enum class RopeReach { near, far };
RopeTables rope_tables(const RopeConfig& config, std::int64_t rotary_dim, std::int64_t positions,
                       RopeReach reach = RopeReach::near);

}  // namespace elenchus
