#include "jobs/output_choice.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/output_file.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

std::string shown(const fs::path& path) { return printable(path.native(), 512); }

/// Whether a system call failed because of which path was given, not because the machine failed.
bool is_wrong_path(int error) {
  constexpr int kErrors[] = {ENOTDIR, ENOENT, EACCES,       EPERM, EROFS,
                             EISDIR,  ELOOP,  ENAMETOOLONG, EEXIST};
  for (const int each : kErrors)
    if (each == error) return true;
  return false;
}

/// Throws unless a file can be made in the folder, by making one and removing it.
void try_to_write(const fs::path& file, std::string_view option) {
  const fs::path trial = with_nonce(file, ".tmp-");
  const int descriptor = ::open(trial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  const int reason = errno;
  if (descriptor >= 0) {
    ::close(descriptor);
    ::unlink(trial.c_str());
    return;
  }
  if (!is_wrong_path(reason)) throw file_error("write in the folder of", file, reason);
  throw UserError(cat(option, ": ", shown(file), " cannot be written: its folder: ",
                      std::strerror(reason), "; name a file in a folder that can be written to"));
}

/// What a path stands for behind its links, also where nothing is there yet: a file is written
/// through a link, as a shell does it.
fs::path behind_links(fs::path file) {
  constexpr int kMostLinks = 40;  // as Linux
  std::error_code error;
  for (int i = 0; i < kMostLinks && fs::is_symlink(file, error); ++i) {
    const fs::path target = fs::read_symlink(file, error);
    if (error) break;
    file = parent_of(file) / target;
  }
  const fs::path plain = fs::weakly_canonical(file, error);
  return error ? file : plain;
}

/// Whether `file` is `read`, or lies in it if that is a folder.
bool is_part_of(const fs::path& file, const fs::path& read) {
  std::error_code ignored;
  return fs::equivalent(file, read, ignored) ||
         (fs::is_directory(read, ignored) && fs::exists(file, ignored) &&
          *fs::weakly_canonical(file, ignored)
                  .lexically_relative(fs::weakly_canonical(read, ignored))
                  .begin() != "..");
}

}  // namespace

fs::path choose_output_file(const fs::path& asked, std::string_view option,
                            const std::vector<fs::path>& read) {
  if (asked.empty()) throw UserError(cat(option, ": found nothing, expected a file to write"));
  std::error_code error;
  const fs::path file = behind_links(asked);
  const fs::file_status status = fs::status(file, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw UserError(cat(option, ": ", shown(asked), " is ",
                        fs::is_directory(status) ? "a folder" : "no file (a device or a pipe)",
                        "; expected a file to write"));
  if (asked.filename().empty())
    throw UserError(cat(option, ": ", shown(asked), " names a folder; expected a file to write"));
  for (const fs::path& each : read)
    if (is_part_of(file, each))
      throw UserError(cat(option, ": ", shown(asked), " is ", shown(each),
                          fs::is_directory(each, error) ? "'s" : "",
                          ", which is read and would be overwritten; name another file"));
  try_to_write(file, option);
  return file;
}

void make_output_folder(const fs::path& folder, std::string_view key) {
  std::error_code error;
  fs::create_directories(folder, error);
  int reason = error.value();
  if (!error && ::access(folder.c_str(), W_OK | X_OK) != 0) reason = errno;
  if (reason == 0) return;
  if (!is_wrong_path(reason)) throw file_error("create the folder", folder, reason);
  throw UserError(cat(key, ": the folder ", shown(folder), " cannot be made or written to: ",
                      std::strerror(reason), "; give another folder, or correct its path"));
}

}  // namespace elenchus
