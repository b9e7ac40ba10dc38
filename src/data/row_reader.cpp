#include "data/row_reader.h"

#include <algorithm>

#include "base/file.h"

namespace elenchus {
namespace {

constexpr int kEnd = CharacterSource::kEnd;

bool is_blank(int c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

RowReader::RowReader(const std::filesystem::path& path, std::size_t row_limit)
    : source_(path), row_limit_(row_limit) {
  skip_blanks();
  if (source_.peek() == kEnd)
    throw InputError(
        cat(source_.name(), ": is empty, expected rows as a JSON array or JSON Lines"));
  array_ = source_.peek() == '[';
}

void RowReader::skip_blanks() {
  while (is_blank(source_.peek())) source_.take();
}

RawRow RowReader::begin_row() {
  too_large_ = false;
  place_ = {.number = next_number_, .line = source_.line()};
  return {.text = {}, .number = next_number_++, .line = source_.line()};
}

void RowReader::append(RawRow& row, char c) {
  if (row.text.size() >= row_limit_) {
    too_large_ = true;
    return;
  }
  row.text += c;
}

RawRow RowReader::finished(RawRow row) {
  if (too_large_)
    throw RowError("row_too_large", cat("the row is longer than ", row_limit_, " bytes"));
  while (!row.text.empty() && is_blank(row.text.back())) row.text.pop_back();
  return row;
}

std::optional<RawRow> RowReader::next() {
  if (done_) return std::nullopt;
  return array_ ? next_element() : next_line();
}

std::optional<RawRow> RowReader::next_line() {
  skip_blanks();
  if (source_.peek() == kEnd) {
    done_ = true;
    return std::nullopt;
  }
  RawRow row = begin_row();
  for (int c = source_.peek(); c != kEnd && c != '\n' && c != '\r'; c = source_.peek()) {
    append(row, char(c));
    source_.take();
  }
  return finished(std::move(row));
}

void RowReader::finish_file() {
  source_.take();  // the closing bracket
  skip_blanks();
  if (source_.peek() != kEnd)
    source_.fail("found more text after the array, expected the end of the file");
  done_ = true;
}

std::optional<RawRow> RowReader::next_element() {
  if (!array_open_) {
    source_.take();
    array_open_ = true;
    skip_blanks();
    if (source_.peek() == ']') {
      finish_file();
      return std::nullopt;
    }
  } else {
    if (source_.peek() == ']') {
      finish_file();
      return std::nullopt;
    }
    source_.take();  // the comma that ended the row before
    skip_blanks();
  }
  if (source_.peek() == ',' || source_.peek() == ']')
    source_.fail(cat("found '", char(source_.peek()), "', expected a row"));
  RawRow row = begin_row();
  std::int64_t depth = 0;
  bool in_string = false, escaped = false;
  for (int c = source_.peek();; c = source_.peek()) {
    if (c == kEnd)
      source_.fail(cat("the file ends inside row ", row.number + 1, ", which begins at line ",
                       row.line, "; expected ']'"));
    if (!in_string && depth == 0 && (c == ',' || c == ']')) break;
    append(row, char(c));
    source_.take();
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return finished(std::move(row));
}

Json parse_row(const RawRow& row) {
  if (const auto at = find_invalid_utf8(row.text))
    throw RowError("invalid_utf8", cat("byte ", *at, " of the row is not UTF-8 text: '",
                                       printable(std::string_view(row.text).substr(*at, 8)), "'"));
  try {
    return Json::parse(row.text, "");
  } catch (const InputError& error) {
    // The parser's message begins with ":LINE:COLUMN: ", counted from the row's beginning.
    const std::string_view message = error.what();
    std::int64_t line = 0, column = 0;
    std::size_t at = 1;
    for (; at < message.size() && message[at] >= '0' && message[at] <= '9'; ++at)
      line = line * 10 + (message[at] - '0');
    for (++at; at < message.size() && message[at] >= '0' && message[at] <= '9'; ++at)
      column = column * 10 + (message[at] - '0');
    const std::string_view rest = message.substr(std::min(at + 2, message.size()));
    throw RowError("invalid_json", cat("line ", row.line + line - 1, ", column ", column,
                                       line == 1 ? " of the row: " : ": ", rest));
  }
}

}  // namespace elenchus
