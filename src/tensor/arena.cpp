#include "tensor/arena.h"

#include <algorithm>

namespace elenchus {

Arena::Arena(Stream& stream, std::size_t capacity_bytes)
    : stream_(stream),
      memory_(static_cast<std::byte*>(stream.allocate(capacity_bytes))),
      capacity_(capacity_bytes) {}

Arena::~Arena() { stream_.free(memory_, capacity_); }

Tensor Arena::alloc(Shape shape, DType dtype) {
  constexpr std::size_t kAlignment = 256;
  const std::size_t bytes = std::size_t(shape.elements()) * size_of(dtype);
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (rounded > capacity_ - used_)
    throw DeviceError(cat("the activation arena is full: ", bytes, " bytes were asked for, ",
                          capacity_ - used_, " of ", capacity_, " are left"));
  Tensor tensor(memory_ + used_, shape, dtype, stream_.device());
  used_ += rounded;
  peak_ = std::max(peak_, used_);
  return tensor;
}

}  // namespace elenchus
