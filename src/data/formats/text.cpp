// {"text": "..."} (data.text_column), or text made of several keys by data.text_template. Every
// token is trained on, and special tokens written in the text count.

#include "base/file.h"
#include "data/formats/catalogue.h"
#include "data/formats/turns.h"

namespace elenchus {
namespace {

bool recognises(const Json& row, const RowColumns& columns) {
  return row.is_object() && (columns.text_template || row.find(columns.text_column) != nullptr);
}

/// `pattern` with each {key} replaced by that key's text; {{ and }} stand for braces.
std::string fill_in(const std::string& pattern, const Json& row) {
  std::string out;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if ((c == '{' || c == '}') && at + 1 < pattern.size() && pattern[at + 1] == c) {
      out += c;
      ++at;
      continue;
    }
    const std::size_t close = c == '{' ? pattern.find('}', at) : pattern.npos;
    if (close == pattern.npos) {
      out += c;
      continue;
    }
    out += text_of(row, std::string_view(pattern).substr(at + 1, close - at - 1));
    at = close;
  }
  return out;
}

Conversation parse(const Json& row, const RowColumns& columns) {
  expect_object(row);
  Conversation out;
  out.text = columns.text_template ? fill_in(*columns.text_template, row)
                                   : text_of(row, columns.text_column);
  if (out.text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw RowError("text_empty",
                   cat(printable(columns.text_column), ": expected text, found none"));
  return out;
}

}  // namespace

const DataFormat kTextFormat = {"text", recognises, parse, "text"};

}  // namespace elenchus
