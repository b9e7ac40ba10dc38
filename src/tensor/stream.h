#pragma once
// The one handle to a device.

#include <cstdint>
#include <functional>
#include <memory>

#include "base/parallel.h"
#include "tensor/tensor.h"

namespace elenchus {

/// An ordered queue of work on one device, and the only handle to that device.
/// Work on one stream runs in call order; nothing else is promised until synchronize().
class Stream {
 public:
  /// UserError: no such device, or not in this build. `threads` is for the CPU: 0 takes every core.
  static std::unique_ptr<Stream> open(Device device, int threads = 0);
  /// A stream for a device on which nothing runs: ops check their contracts and return, memory is
  /// address space only. One training step on it measures the arena exactly, before anything is
  /// loaded.
  static std::unique_ptr<Stream> open_dry(Device device);
  virtual ~Stream() = default;
  bool dry() const { return dry_; }
  Device device() const { return device_; }
  bool on_cuda() const { return device_.kind == Device::Kind::cuda; }
  /// Copies elements; either side may be host memory. Shapes and dtypes agree.
  virtual void copy(Tensor dst, ConstTensor src) = 0;
  /// Sets every byte to zero.
  virtual void zero(Tensor dst) = 0;
  virtual void* allocate(
      std::size_t bytes) = 0;  // 256-byte aligned; DeviceError when memory is short
  virtual void free(void* memory, std::size_t bytes) noexcept = 0;  // as many as were asked for
  virtual void synchronize() = 0;
  /// Bytes that allocate() has handed out and not taken back: buffers, arenas and the workers'
  /// scratch.
  std::size_t allocated_bytes() const { return allocated_bytes_; }
  /// The CPU's threads. InternalError on another device.
  ThreadPool& pool() const {
    expect(pool_ != nullptr, "only the CPU has a thread pool");
    return *pool_;
  }
  /// Scratch of one CPU worker, kWorkerScratchBytes long, 256-byte aligned. Contents do not outlive
  /// the task.
  std::byte* worker_scratch(int worker) const {
    return scratch_ + std::size_t(worker) * kWorkerScratchBytes;
  }
  static constexpr std::size_t kWorkerScratchBytes = std::size_t{2} << 20;

 protected:
  explicit Stream(Device device, bool dry = false) : device_(device), dry_(dry) {}
  Device device_;
  bool dry_;
  std::unique_ptr<ThreadPool> pool_;
  std::byte* scratch_ = nullptr;
  std::size_t allocated_bytes_ = 0;
};

/// Memory that lives as long as its owner: weights, parameters, moments. Frees itself.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Stream& stream, Shape shape, DType dtype)
      : stream_(&stream), shape_(shape), dtype_(dtype) {
    data_ = stream.allocate(std::size_t(shape.elements()) * size_of(dtype));
  }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(stream_, other.stream_);
    std::swap(data_, other.data_);
    std::swap(shape_, other.shape_);
    std::swap(dtype_, other.dtype_);
    return *this;
  }
  ~Buffer() {
    if (data_) stream_->free(data_, tensor().bytes());
  }
  Tensor tensor() const { return {data_, shape_, dtype_, stream_ ? stream_->device() : Device{}}; }

 private:
  Stream* stream_ = nullptr;
  void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::f32;
};

}  // namespace elenchus
