#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/output_file.h"

namespace elenchus {
namespace {

std::string holder_of(int descriptor) {
  char text[256];
  const ssize_t count = ::pread(descriptor, text, sizeof text, 0);
  if (count <= 0) return "another process";
  std::string holder(text, std::size_t(count));
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  return printable(holder, 200);
}

std::string own_name() {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return cat("process ", ::getpid(), " on ", host[0] == '\0' ? "this machine" : host, "\n");
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw file_error("create the folder", folder, error.value());
  const std::filesystem::path path = folder / ".lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) throw file_error("open", path, errno);
  int taken = 0;
  do {
    taken = ::flock(descriptor_, LOCK_EX | LOCK_NB);
  } while (taken != 0 && errno == EINTR);
  const int reason = errno;
  if (taken == 0) {
    // Who holds it is only for the message of the next process: where the disk does not take it,
    // the lock holds all the same.
    const std::string name = own_name();
    [[maybe_unused]] const bool written =
        ::ftruncate(descriptor_, 0) == 0 &&
        ::pwrite(descriptor_, name.data(), name.size(), 0) == ssize_t(name.size());
    return;
  }
  const std::string holder = reason == EWOULDBLOCK ? holder_of(descriptor_) : std::string();
  ::close(descriptor_);
  if (reason != EWOULDBLOCK) throw file_error("lock", path, reason);
  throw UserError(cat(printable(folder.native(), 512), ": the folder is in use by ", holder,
                      "; wait for it to end, or choose another output_dir"),
                  ExitCode::folder_in_use);
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace elenchus
