#pragma once
// A text file byte by byte, with the line it is at.

#include <filesystem>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/sha256.h"

namespace elenchus {

/// Reads one file from beginning to end; memory for a buffer. A UTF-8 byte order mark is skipped;
/// LF, CRLF and CR end a line.
class CharacterSource {
 public:
  static constexpr int kEnd = -1;

  /// InputError: cannot be read, UTF-16, or a Parquet, Arrow or compressed file.
  explicit CharacterSource(const std::filesystem::path& path);
  /// The next byte, or kEnd.
  int peek();
  /// Goes past the byte that peek() gave.
  void take();
  std::int64_t line() const { return line_; }
  /// SHA-256 of the bytes read: the whole file's at its end.
  std::string sha256() const { return hash_.hex(); }
  /// InputError with file and line.
  [[noreturn]] void fail(std::string_view what) const;
  /// The file's name for messages.
  std::string name() const;

 private:
  InputFile file_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::uint64_t offset_ = 0;  // of the byte after the buffer
  std::int64_t line_ = 1;
  bool after_return_ = false;  // the byte before was CR
  Sha256 hash_;
};

}  // namespace elenchus
