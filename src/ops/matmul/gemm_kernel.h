#pragma once
// The register-blocked inner loop of every CPU matrix product, for the best instruction set of this
// machine.

#include <cstdint>

namespace elenchus::ops {

/// What one call multiplies at most: `rows` of A by panels of `columns` of B.
struct KernelShape {
  int rows, columns;
};
KernelShape kernel_shape();
/// The largest `rows` of any instruction set.
inline constexpr int kMaxKernelRows = 12;
/// The most segments in one strip.
inline constexpr int kMaxSegments = 16;

/// A run of the inner dimension. Strides in elements. Element (k, n) of B, n in panel p = n /
/// kernel columns, lies at b[p * panel_stride + k * b_stride + n % kernel columns].
struct StripSegment {
  const float* a;
  std::int64_t row_stride, depth_stride;
  const float* b;
  std::int64_t b_stride, panel_stride;
  std::int64_t depth;
};

/// c[r, n] = beta c[r, n] + bias[n] + sum over segments and k of a[r, k] b[k, n]
/// for `rows` <= kernel rows and any number of columns. Each element is one chain of fused
/// multiply-adds in the order of the segments, whatever the sizes. beta 0 does not read c.
/// B is read up to the next multiple of half a panel.
struct Strip {
  const StripSegment* segments;
  int segment_count;
  std::int64_t rows, columns;
  float* c;
  std::int64_t c_stride;
  bool c_transposed;  ///< element (r, n) lies at c[n * c_stride + r]; then without bias
  float beta;
  const float* bias;  ///< null for none
  float* packed_a;    ///< room for kMaxKernelRows * (depth of all segments)
};
void multiply_strip(const Strip& strip);

}  // namespace elenchus::ops
