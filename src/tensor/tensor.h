#pragma once
// Views of contiguous row-major elements on one device. Views never own.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "base/error.h"
#include "tensor/dtype.h"

namespace elenchus {

/// Where memory lies: the host, or a CUDA device by number.
struct Device {
  enum class Kind : std::uint8_t { cpu, cuda };
  Kind kind = Kind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

/// Up to four extents, slowest first.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) {
    expect(extents.size() <= extents_.size(), "a shape has at most four extents");
    for (const std::int64_t extent : extents) extents_[std::size_t(rank_++)] = extent;
  }
  int rank() const { return rank_; }
  /// The extent of an axis; negative axes count from the end.
  std::int64_t operator[](int axis) const {
    if (axis < 0) axis += rank_;
    expect(axis >= 0 && axis < rank_, "no such axis");
    return extents_[std::size_t(axis)];
  }
  std::int64_t elements() const {
    std::int64_t n = rank_ > 0 ? 1 : 0;
    for (int i = 0; i < rank_; ++i) n *= extents_[std::size_t(i)];
    return n;
  }
  /// "[2, 3]"
  std::string text() const {
    std::string out = "[";
    for (int i = 0; i < rank_; ++i)
      out += (i ? ", " : "") + std::to_string(extents_[std::size_t(i)]);
    return out + "]";
  }
  bool operator==(const Shape&) const = default;

 private:
  std::array<std::int64_t, 4> extents_{};
  int rank_ = 0;
};

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<f16>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}

/// A read-only view. Copying copies the view, never the data.
class ConstTensor {
 public:
  ConstTensor() = default;  // empty: tests false
  ConstTensor(const void* data, Shape shape, DType dtype, Device device = {})
      : data_(const_cast<void*>(data)), shape_(shape), dtype_(dtype), device_(device) {}

  explicit operator bool() const { return data_ != nullptr; }
  /// The elements. InternalError if the dtype is not T's.
  template <class T>
  const T* as(Where where = Where::here()) const {
    expect(dtype_ == dtype_of<T>(), "the tensor holds another dtype", where);
    return static_cast<const T*>(data_);
  }
  /// The same as a span.
  template <class T>
  std::span<const T> values(Where where = Where::here()) const {
    return {as<T>(where), std::size_t(elements())};
  }
  const void* data() const { return data_; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int axis) const { return shape_[axis]; }  // negative counts from the end
  std::int64_t elements() const { return shape_.elements(); }
  std::size_t bytes() const { return std::size_t(elements()) * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  /// `count` rows of the first axis, from row `first`.
  ConstTensor rows(std::int64_t first, std::int64_t count) const {
    return {row_address(first, count), row_shape(count), dtype_, device_};
  }
  /// The same elements in another shape.
  ConstTensor reshaped(Shape shape) const {
    expect(shape.elements() == elements(), "reshaped to another number of elements");
    return {data_, shape, dtype_, device_};
  }

 protected:
  void* row_address(std::int64_t first, std::int64_t count) const {
    expect(first >= 0 && count >= 0 && first + count <= dim(0), "rows outside the tensor");
    const std::size_t row_bytes = dim(0) ? bytes() / std::size_t(dim(0)) : 0;
    return static_cast<std::byte*>(data_) + std::size_t(first) * row_bytes;
  }
  Shape row_shape(std::int64_t count) const {
    switch (shape_.rank()) {
      case 1:
        return {count};
      case 2:
        return {count, dim(1)};
      case 3:
        return {count, dim(1), dim(2)};
      default:
        return {count, dim(1), dim(2), dim(3)};
    }
  }
  void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::f32;
  Device device_;
};

/// The writable view. A signature says what it writes: Tensor is written, ConstTensor is read.
class Tensor : public ConstTensor {
 public:
  Tensor() = default;
  Tensor(void* data, Shape shape, DType dtype, Device device = {})
      : ConstTensor(data, shape, dtype, device) {}
  template <class T>
  T* as(Where where = Where::here()) const {
    expect(dtype_ == dtype_of<T>(), "the tensor holds another dtype", where);
    return static_cast<T*>(data_);
  }
  template <class T>
  std::span<T> values(Where where = Where::here()) const {
    return {as<T>(where), std::size_t(elements())};
  }
  void* data() const { return data_; }
  Tensor rows(std::int64_t first, std::int64_t count) const {
    return {row_address(first, count), row_shape(count), dtype_, device_};
  }
  Tensor reshaped(Shape shape) const {
    expect(shape.elements() == elements(), "reshaped to another number of elements");
    return {data_, shape, dtype_, device_};
  }
};

/// Calls f.operator()<T>() with the C++ type behind a floating dtype.
template <class F>
decltype(auto) visit_float(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::f16:
      return f.template operator()<f16>();
    case DType::bf16:
      return f.template operator()<bf16>();
    default:
      throw InternalError("visit_float: not a floating dtype");
  }
}

}  // namespace elenchus
