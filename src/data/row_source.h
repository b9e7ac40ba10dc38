#pragma once
// Files of rows, whatever their kind: CSV and plain text by their names, else JSON.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "data/conversation.h"

namespace elenchus {

/// Rows of one file as JSON values: of a CSV file an object with a string for each column, of a
/// text file {"text": LINE}.
class RowSource {
 public:
  virtual ~RowSource() = default;
  /// The next row, or nothing at the end. RowError: a row that cannot be read; the next call goes on
  /// behind it. InputError: a file that cannot be read on.
  virtual std::optional<Json> next() = 0;
  /// Place of the row that next() gave or failed at last.
  virtual RowPlace place() const = 0;
  /// SHA-256 of the file, once next() gave nothing.
  virtual std::string sha256() const = 0;
  /// The columns of a CSV file; empty of JSON, where each row has its own keys.
  virtual std::span<const std::string> columns() const = 0;
};

/// A name that ends in .csv is a CSV file, in .txt plain text with a row a line (as Hugging Face's
/// text loader reads it), any other JSON Lines or a JSON array. InputError: a file that cannot be
/// read, or that is empty; Parquet, Arrow and compressed files, by name.
std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path);

}  // namespace elenchus
