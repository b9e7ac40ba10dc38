#pragma once

#include "base/parallel.h"

namespace elenchus {

/// The machine's f32 multiply-add peak in GFLOP/s over all threads of the pool, best of several
/// tries: independent accumulators in registers, no memory.
double fma_peak_gflops(ThreadPool& pool);

}  // namespace elenchus
