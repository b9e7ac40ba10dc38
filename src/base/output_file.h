#pragma once
// New files written front to back with every error checked, and the few steps that make a change
// last.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace elenchus {

/// Takes the bytes of a file, in order, in pieces of any size.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// A new file, written from its start. Every failure is a DeviceError that names the path; the file
/// stays where it is then, for the caller to remove.
class OutputFile {
 public:
  /// Creates the file. It must not exist. `expected_bytes` are reserved on the disk at once, so
  /// that a full disk shows before the first byte is written.
  explicit OutputFile(const std::filesystem::path& path, std::uint64_t expected_bytes = 0);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Closes without a sync; what was written may be lost.
  ~OutputFile();
  const std::filesystem::path& path() const { return path_; }
  /// The bytes written so far.
  std::uint64_t size() const { return size_; }
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Syncs to the disk and closes. Nothing may be written afterwards.
  void finish();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// Writes a file at its final name in one step, as write_file_atomically of base/file.h, from the
/// bytes that `produce` gives to its sink. `expected_bytes` (0: unknown) are reserved first.
/// DeviceError.
void write_file_atomically(const std::filesystem::path& path, std::uint64_t expected_bytes,
                           const std::function<void(const ByteSink&)>& produce);

/// The failure of a system call, as an error that says what was tried, on which path, and why it
/// failed.
DeviceError file_error(std::string_view what, const std::filesystem::path& path, int error_number);

/// Makes what was created, renamed or removed in a folder last. DeviceError.
void sync_folder(const std::filesystem::path& folder);

/// The folder that holds `path`; "." for a bare name.
std::filesystem::path parent_of(const std::filesystem::path& path);

/// `path` with an ending that no other process or call uses at this moment: ".tmp-PID-TIME", for
/// `ending` ".tmp-".
std::filesystem::path with_nonce(const std::filesystem::path& path, std::string_view ending);

}  // namespace elenchus
