#pragma once
// Files read and written so that a fault leaves either the old bytes or the new ones, never a mix.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace elenchus {

/// A regular file open for reading by position (pread: a file that shrinks gives an error, not a
/// SIGBUS).
class InputFile {
 public:
  /// InputError: missing, unreadable, a folder, a pipe or a device. The message names the path.
  explicit InputFile(const std::filesystem::path& path);
  InputFile(InputFile&&) noexcept;
  InputFile& operator=(InputFile&&) noexcept;
  ~InputFile();
  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Fills `out` from byte `offset`. InputError if the file ends before, or changed since it was
  /// opened.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t identity_[4] = {};  // device, inode, modification time in seconds and nanoseconds
};

/// The whole of a small file as text. InputError as InputFile, or if it is larger than
/// `limit_bytes`.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit_bytes = 1u << 30);

/// Writes a file at its final name in one step: temporary file beside it, fsync, rename, fsync of
/// the folder. DeviceError: disk full or unwritable; then the old file, if any, is as it was and no
/// temporary file is left.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// `text` for a message: control bytes and invalid UTF-8 escaped, at most `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 64);

/// Whether `text` is well-formed UTF-8 (no surrogates, no overlong forms); gives the first bad byte
/// otherwise.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

}  // namespace elenchus
