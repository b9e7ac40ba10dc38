#include "train/log_rows.h"

#include <fmt/core.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

namespace fs = std::filesystem;

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

bool try_append(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file.write(bytes.data(), std::streamsize(bytes.size()));
  file.flush();
  return bool(file);
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
