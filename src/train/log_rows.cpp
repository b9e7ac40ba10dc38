#include "train/log_rows.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

/// A descriptor that closes itself. Failures are values: a log is not worth a run.
class OpenFile {
 public:
  OpenFile(const fs::path& path, int flags)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (ok()) ::close(descriptor_);
  }
  bool ok() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  bool write_at(std::uint64_t offset, std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), off_t(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      offset += std::uint64_t(written);
      bytes.remove_prefix(std::size_t(written));
    }
    return true;
  }

 private:
  int descriptor_;
};

}  // namespace

std::optional<double> row_number(const Json& row, std::string_view key) {
  const Json* value = row.find(key);
  if (!value) return std::nullopt;
  if (value->is_number()) return value->as_number(key);
  return std::numeric_limits<double>::quiet_NaN();
}

std::int64_t row_step(const Json& row) {
  const Json* step = row.find("step");
  return step && step->is_integer() ? step->as_integer("step") : 0;
}

std::set<std::int64_t> steps_with(const Json::Array& rows, std::string_view key) {
  std::set<std::int64_t> steps;
  for (const Json& row : rows)
    if (row.find(key)) steps.insert(row_step(row));
  return steps;
}

std::string row_key(std::string_view metric) {
  return metric == "eval_loss" ? std::string(metric) : cat("eval_", metric);
}

std::string duration_text(double seconds) {
  const std::int64_t all = std::isfinite(seconds) && seconds > 0 ? std::int64_t(seconds) : 0;
  const std::int64_t days = all / 86400, hours = all / 3600 % 24;
  const std::string clock = fmt::format("{}:{:02}:{:02}", hours, all / 60 % 60, all % 60);
  if (days == 0) return clock;
  return fmt::format("{} day{}, {}", days, days == 1 ? "" : "s", clock);
}

fs::path progress_folder(const fs::path& output_dir) {
  std::error_code error;
  const fs::path folder = output_dir / "training_progress";
  fs::create_directories(folder, error);
  return error ? fs::path() : folder;
}

bool try_write_file(const fs::path& path, std::string_view bytes) {
  try {
    write_file_atomically(path, bytes);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool try_write_at(const fs::path& path, std::uint64_t offset, std::string_view bytes) {
  const OpenFile file(path, O_WRONLY);
  return file.ok() && file.write_at(offset, bytes);
}

bool try_append(const fs::path& path, std::string_view bytes) {
  const OpenFile file(path, O_WRONLY | O_CREAT);
  const off_t end = file.ok() ? ::lseek(file.descriptor(), 0, SEEK_END) : -1;
  if (end < 0) return false;
  const bool written = file.write_at(std::uint64_t(end), bytes);
  // Half a line would spoil the next one as well.
  if (!written && ::ftruncate(file.descriptor(), end) != 0) return false;
  return written;
}

std::string try_read_file(const fs::path& path) {
  try {
    std::error_code error;
    return fs::exists(path, error) ? read_text_file(path) : std::string();
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace elenchus
