#pragma once
// Files of rows, a row at a time: a JSON array or JSON Lines, told apart by content.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/character_source.h"
#include "data/conversation.h"

namespace elenchus {

/// The text of one row, unparsed.
struct RawRow {
  std::string text;
  std::int64_t number = 0;  ///< from 0
  std::int64_t line = 0;    ///< where it begins, from 1
};

/// Reads one file from beginning to end; memory for one row and a buffer. A UTF-8 byte order mark
/// is skipped, lines may end in LF, CRLF or CR, blank lines are none.
class RowReader {
 public:
  static constexpr std::size_t kRowLimitBytes = std::size_t{16} << 20;

  /// InputError: cannot be read, empty, UTF-16, or begins neither with '[' nor with '{'.
  explicit RowReader(const std::filesystem::path& path, std::size_t row_limit = kRowLimitBytes);
  /// The next row, or nothing at the end. RowError row_too_large; the next call goes on behind the
  /// row. InputError: an array that is not closed, or has something else than rows and commas.
  std::optional<RawRow> next();
  /// SHA-256 of the bytes read: the whole file's once next() gave nothing.
  std::string sha256() const { return source_.sha256(); }
  /// Place of the row that next() gave or failed at last.
  RowPlace place() const { return place_; }

 private:
  void skip_blanks();
  void finish_file();
  std::optional<RawRow> next_line();
  std::optional<RawRow> next_element();
  RawRow begin_row();
  void append(RawRow& row, char c);
  RawRow finished(RawRow row);

  CharacterSource source_;
  std::size_t row_limit_;
  bool array_ = false, array_open_ = false, done_ = false, too_large_ = false;
  std::int64_t next_number_ = 0;
  RowPlace place_;
};

/// The row as JSON. RowError: invalid_utf8, or invalid_json with line and column in the file.
Json parse_row(const RawRow& row);

}  // namespace elenchus
