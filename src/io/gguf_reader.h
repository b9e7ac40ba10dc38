#pragma once
// The header of a GGUF file, value by value.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/byte_source.h"
#include "io/gguf.h"

namespace elenchus {

/// Reads the header front to back through a buffer, and never past the end of the file.
class GgufReader {
 public:
  explicit GgufReader(const ByteSource& bytes) : bytes_(bytes) {}

  std::uint64_t position() const { return start_ + used_; }
  std::uint64_t left() const { return bytes_.size() - position(); }

  [[noreturn]] void fail(const std::string& what) const { fail_at(position(), what); }
  [[noreturn]] void fail_at(std::uint64_t position, const std::string& what) const {
    throw InputError(cat(bytes_.description(), ": at byte ", position, ": ", what));
  }

  template <class T>
  T number() {
    T value;
    take(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  std::string string();
  std::string name();
  GgufValue value();

 private:
  // The numbers of GGUF's value types.
  enum class ValueType : std::uint32_t {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    string,
    array,
    u64,
    i64,
    f64
  };

  static std::uint64_t least_bytes(ValueType type);

  void take(std::span<std::byte> out);
  ValueType value_type();
  bool boolean();
  GgufValue scalar(ValueType type);
  std::int64_t integer(ValueType type);
  GgufValue array();

  const ByteSource& bytes_;
  std::vector<std::byte> buffer_;
  std::uint64_t start_ = 0;  // where the buffer begins in the file
  std::size_t used_ = 0;
};

}  // namespace elenchus
