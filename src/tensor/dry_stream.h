#pragma once
// The stream on which nothing runs.

#include "tensor/stream.h"

namespace elenchus {

/// Hands out address space and runs nothing: a step on it measures the memory that a step takes.
class DryStream : public Stream {
 public:
  explicit DryStream(Device device) : Stream(device, true) {}
  void copy(Tensor dst, ConstTensor src) override {
    expect(dst.shape() == src.shape() && dst.dtype() == src.dtype(), "copy: tensors differ");
  }
  void zero(Tensor) override {}
  void* allocate(std::size_t bytes) override {
    // Addresses only ever get compared and offset, so one never-mapped region after the other will
    // do.
    void* const address = reinterpret_cast<void*>(next_);
    next_ += (bytes / kAlignment + 1) * kAlignment;
    allocated_bytes_ += bytes;
    return address;
  }
  void free(void*, std::size_t bytes) noexcept override { allocated_bytes_ -= bytes; }
  void synchronize() override {}

 private:
  static constexpr std::size_t kAlignment = 256;
  std::uintptr_t next_ = std::uintptr_t{1} << 44;
};

}  // namespace elenchus
