#include "data/csv_reader.h"

#include <set>

#include "base/file.h"

namespace elenchus {
namespace {

constexpr int kEnd = CharacterSource::kEnd;

bool ends_line(int c) { return c == '\n' || c == '\r' || c == kEnd; }

}  // namespace

CsvReader::CsvReader(const std::filesystem::path& path, std::size_t field_limit)
    : source_(path), field_limit_(field_limit) {
  std::optional<Record> header = read_record();
  if (!header)
    throw InputError(
        cat(source_.name(), ": is empty, expected a line with the columns' names, then rows"));
  try {
    columns_ = header->fields;
    check(*header);
  } catch (const RowError& error) {
    throw InputError(cat(source_.name(), ": line ", place_.line, ": ", error.what()));
  }
  std::set<std::string_view> names;
  for (const std::string& name : columns_)
    if (!names.insert(name).second)
      throw InputError(cat(source_.name(), ": line ", place_.line, ": the column '",
                           printable(name), "' is there twice, expected each name once"));
  next_number_ = 0;
}

std::optional<std::vector<std::string>> CsvReader::next() {
  std::optional<Record> record = read_record();
  if (!record) return std::nullopt;
  check(*record);
  return std::move(record->fields);
}

void CsvReader::check(const Record& record) const {
  if (record.too_large)
    throw RowError("field_too_large", cat("a field is longer than ", field_limit_, " bytes"));
  if (record.nul) throw RowError("csv_nul", "found a NUL byte, expected text");
  for (std::size_t i = 0; i < record.fields.size(); ++i)
    if (const auto at = find_invalid_utf8(record.fields[i]))
      throw RowError("invalid_utf8",
                     cat("field ", i + 1, ": byte ", *at, " is not UTF-8 text: '",
                         printable(std::string_view(record.fields[i]).substr(*at, 8)), "'"));
  if (record.fields.size() != columns_.size())
    throw RowError("csv_fields",
                   cat("found ", record.fields.size(), " fields, expected ", columns_.size(),
                       ", as the header has; a field with commas, quotes or line breaks needs "
                       "quotes around it"));
}

std::optional<CsvReader::Record> CsvReader::read_record() {
  while (source_.peek() == '\n' || source_.peek() == '\r') source_.take();
  if (source_.peek() == kEnd) return std::nullopt;
  place_ = {.number = next_number_++, .line = source_.line()};
  Record record;
  while (read_field(record)) continue;
  return record;
}

/// Reads a field and the comma or line end behind it. False: the record is at its end.
bool CsvReader::read_field(Record& record) {
  std::string field;
  if (source_.peek() == '"') read_quoted(record, field);
  while (source_.peek() != ',' && !ends_line(source_.peek())) {
    append(record, field, char(source_.peek()));
    source_.take();
  }
  record.fields.push_back(std::move(field));
  const int end = source_.peek();
  if (end == kEnd) return false;
  source_.take();
  if (end == '\r' && source_.peek() == '\n') source_.take();
  return end == ',';
}

void CsvReader::read_quoted(Record& record, std::string& field) {
  const std::int64_t opened = source_.line();
  source_.take();
  for (;;) {
    const int c = source_.peek();
    if (c == kEnd)
      throw InputError(cat(source_.name(), ": line ", opened,
                           ": the quote that opens here is not closed before the end of the file; "
                           "a quote inside a quoted field is written twice"));
    source_.take();
    if (c == '"') {
      if (source_.peek() != '"') return;
      source_.take();
    }
    append(record, field, char(c));
  }
}

void CsvReader::append(Record& record, std::string& field, char c) const {
  record.nul |= c == '\0';
  record.too_large |= field.size() >= field_limit_;
  if (!record.too_large) field += c;
}

std::string csv_line(const std::vector<std::string>& fields) {
  if (fields.size() == 1 && fields[0].empty()) return "\"\"\n";  // a blank line is no record
  std::string out;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) out += ',';
    if (fields[i].find_first_of(",\"\r\n") == std::string::npos) {
      out += fields[i];
      continue;
    }
    out += '"';
    for (const char c : fields[i]) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    out += '"';
  }
  return out + "\n";
}

}  // namespace elenchus
