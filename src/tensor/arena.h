#pragma once
// The stack that holds one step's activations.

#include "tensor/stream.h"

namespace elenchus {

/// Backward runs layers in reverse order, so memory is freed in reverse order of allocation:
/// alloc() bumps a pointer, leaving a Scope rewinds it. peak_bytes() of a step on a dry stream is
/// the memory plan.
class Arena {
 public:
  /// Allocates `capacity_bytes` at once. On a dry stream that is address space only.
  Arena(Stream& stream, std::size_t capacity_bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Uninitialised, 256-byte aligned. DeviceError says what was asked and what was left.
  Tensor alloc(Shape shape, DType dtype);
  std::size_t mark() const { return used_; }
  void rewind(std::size_t mark) { used_ = mark; }
  std::size_t peak_bytes() const { return peak_; }
  std::size_t left_bytes() const { return capacity_ - used_; }

  /// Rewinds to where it was opened.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
    ~Scope() { arena_.rewind(mark_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    std::size_t mark_;
  };

 private:
  Stream& stream_;
  std::byte* memory_ = nullptr;
  std::size_t capacity_;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace elenchus
