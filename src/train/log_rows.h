#pragma once
// Reading rows of log_history, and small pieces of text that several callbacks write.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"

namespace elenchus {

/// A number of a row: empty where it was not measured, NaN where it is null.
std::optional<double> row_number(const Json& row, std::string_view key);

/// The row's optimizer step; 0 if it has none.
std::int64_t row_step(const Json& row);

/// The steps of the rows that have `key`: "loss" for training, "eval_loss" for evaluations.
std::set<std::int64_t> steps_with(const Json::Array& rows, std::string_view key);

/// The key of a metric in an evaluation's row: "eval_" + name, but "eval_loss" for itself.
std::string row_key(std::string_view metric);

/// "0:01:02", or "2 days, 3:04:05".
std::string duration_text(double seconds);

/// OUTPUT_DIR/training_progress, created if need be. Empty path if it cannot be.
std::filesystem::path progress_folder(const std::filesystem::path& output_dir);

/// Writes a file in one step; false where that fails.
bool try_write_file(const std::filesystem::path& path, std::string_view bytes);

/// Writes `bytes` over an existing file from `offset` on; false where that fails, and the file may
/// hold a part of them then.
bool try_write_at(const std::filesystem::path& path, std::uint64_t offset, std::string_view bytes);

/// Adds to the end of a file; false where that fails, and then none of it is there.
bool try_append(const std::filesystem::path& path, std::string_view bytes);

/// The whole of a file; empty where there is none.
std::string try_read_file(const std::filesystem::path& path);

}  // namespace elenchus
