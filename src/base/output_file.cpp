#include "base/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "base/file.h"

namespace elenchus {

DeviceError file_error(std::string_view what, const std::filesystem::path& path, int error_number) {
  std::string message = cat("could not ", what, " ", printable(path.native(), 512), ": ",
                            std::strerror(error_number));
  if (error_number == ENOSPC || error_number == EDQUOT)
    message += "; free some space and try again";
  return DeviceError(message, ExitCode::out_of_resources);
}

OutputFile::OutputFile(const std::filesystem::path& path, std::uint64_t expected_bytes)
    : path_(path) {
  do {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) throw file_error("create", path_, errno);
  if (expected_bytes == 0) return;
  int error = 0;
  do {
    error = ::posix_fallocate(descriptor_, 0, off_t(expected_bytes));
  } while (error == EINTR);
  // Some file systems cannot reserve; then a full disk shows while writing.
  if (error == 0 || error == EOPNOTSUPP || error == EINVAL || error == ENOSYS) return;
  ::close(descriptor_);
  descriptor_ = -1;
  throw file_error(cat("reserve ", expected_bytes, " bytes for"), path_, error);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  expect(descriptor_ >= 0, "OutputFile::write after finish");
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), off_t(size_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw file_error("write", path_, errno);
    if (written == 0) throw file_error("write", path_, ENOSPC);
    size_ += std::uint64_t(written);
    bytes = bytes.subspan(std::size_t(written));
  }
}

void OutputFile::finish() {
  expect(descriptor_ >= 0, "OutputFile::finish called twice");
  // Reserved space beyond what was written is not part of the file.
  int resized = 0;
  do {
    resized = ::ftruncate(descriptor_, off_t(size_));
  } while (resized != 0 && errno == EINTR);
  if (resized != 0) throw file_error("set the size of", path_, errno);
  if (::fsync(descriptor_) != 0) throw file_error("sync", path_, errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0 && errno != EINTR) throw file_error("close", path_, errno);
}

void write_file_atomically(const std::filesystem::path& path, std::uint64_t expected_bytes,
                           const std::function<void(const ByteSink&)>& produce) {
  const std::filesystem::path temporary = with_nonce(path, ".tmp-");
  try {
    OutputFile file(temporary, expected_bytes);
    produce([&](std::span<const std::byte> bytes) { file.write(bytes); });
    file.finish();
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw file_error("replace", path, errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder(parent_of(path));
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw file_error("open the folder", folder, errno);
  const int synced = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  // EINVAL: a file system whose folders cannot be synced.
  if (synced != 0 && error != EINVAL) throw file_error("sync the folder", folder, error);
}

std::filesystem::path parent_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::filesystem::path with_nonce(const std::filesystem::path& path, std::string_view ending) {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  std::filesystem::path result = path;
  result += cat(ending, ::getpid(), "-", now);
  return result;
}

}  // namespace elenchus
