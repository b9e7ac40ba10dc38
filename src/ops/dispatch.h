#pragma once
// Which back ends this build holds. The project's one #ifdef on them.

namespace elenchus::ops {

#ifdef ELENCHUS_CUDA
inline constexpr bool kCudaBuilt = true;
#else
inline constexpr bool kCudaBuilt = false;
#endif

}  // namespace elenchus::ops
