#pragma once
// What holds for any bytes given as a CSV file.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/csv_reader.h"

namespace elenchus {

/// The records of a file that can be read, its header first; those with a fault are left out.
inline std::vector<std::vector<std::string>> read_csv(const std::filesystem::path& path) {
  constexpr std::size_t kFieldLimit = 4096;
  CsvReader reader(path, kFieldLimit);
  std::vector<std::vector<std::string>> records = {reader.columns()};
  std::int64_t line = 1;
  for (std::int64_t number = 0;; ++number) {
    try {
      std::optional<std::vector<std::string>> record = reader.next();
      if (!record) return records;
      expect(record->size() == reader.columns().size(), "a record has a field for each column");
      records.push_back(std::move(*record));
    } catch (const RowError& error) {
      expect(!error.code.empty(), "a fault has a code");
    }
    expect(reader.place().number == number && reader.place().line > line, "records are counted");
    line = reader.place().line;
  }
}

/// Each record is refused with a code or has a field of valid UTF-8 for each column, and what was
/// read is read again from what csv_line() writes. `path` is a file that may be overwritten.
inline void check_csv_reader(const std::filesystem::path& path, const std::uint8_t* bytes,
                             std::size_t size) {
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes), size});
  std::vector<std::vector<std::string>> records;
  try {
    records = read_csv(path);
  } catch (const InputError&) {
    return;
  }
  // Behind a blank line, for a header may look like the beginning of another kind of file.
  std::string again = "\n";
  for (const auto& record : records) {
    for (const std::string& field : record)
      expect(!find_invalid_utf8(field), "a field is valid UTF-8");
    again += csv_line(record);
  }
  write_file_atomically(path, again);
  expect(read_csv(path) == records, "what is written is read as it was");
}

}  // namespace elenchus
