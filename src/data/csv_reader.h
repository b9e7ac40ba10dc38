#pragma once
// CSV files, a record at a time: RFC 4180, read as Python's csv module reads it.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/character_source.h"
#include "data/conversation.h"

namespace elenchus {

/// Reads one file with a header; memory for one record and a buffer. Fields may be quoted, with
/// commas, line breaks and doubled quotes in them; a quote inside an unquoted field is text, as is
/// what follows a closing quote. Blank lines are none.
class CsvReader {
 public:
  static constexpr std::size_t kFieldLimitBytes = std::size_t{16} << 20;

  /// Reads the header. InputError: cannot be read, empty, UTF-16, or a header that has no name or
  /// the same name twice.
  explicit CsvReader(const std::filesystem::path& path, std::size_t field_limit = kFieldLimitBytes);
  const std::vector<std::string>& columns() const { return columns_; }
  /// The fields of the next record, one for each column, or nothing at the end. RowError: csv_fields
  /// (another number of fields), csv_nul, field_too_large, invalid_utf8; the next call goes on
  /// behind the record. InputError: a quote that is not closed, by the line that opens it.
  std::optional<std::vector<std::string>> next();
  /// Place of the record that next() gave or failed at last.
  RowPlace place() const { return place_; }
  std::string sha256() const { return source_.sha256(); }

 private:
  struct Record {
    std::vector<std::string> fields;
    bool nul = false, too_large = false;
  };
  std::optional<Record> read_record();
  bool read_field(Record& record);
  void read_quoted(Record& record, std::string& field);
  void append(Record& record, std::string& field, char c) const;
  void check(const Record& record) const;

  CharacterSource source_;
  std::size_t field_limit_;
  std::vector<std::string> columns_;
  std::int64_t next_number_ = 0;
  RowPlace place_;
};

/// One record as a line of CSV with LF: fields with commas, quotes or line breaks are quoted.
std::string csv_line(const std::vector<std::string>& fields);

}  // namespace elenchus
