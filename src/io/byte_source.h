#pragma once
// Bytes that a reader takes by position: a file, or memory in tests.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace elenchus {

/// Something of fixed size that is read by position, from several threads at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Its path, ready for a message.
  virtual std::string description() const = 0;
  virtual std::uint64_t size() const = 0;
  /// Fills `out` from byte `offset`. InputError if the bytes are not there.
  virtual void read(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

/// A file on disk. InputError as InputFile.
std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path);

/// Bytes in memory.
std::unique_ptr<ByteSource> memory_bytes(std::vector<std::byte> bytes, std::string description);

}  // namespace elenchus
