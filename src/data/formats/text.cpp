// {"text": "..."} (data.text_column), or text made of several keys by data.text_template. Every
// token is trained on. Special tokens count where data.text_template writes them; in a row's values
// they stay text.

#include "base/file.h"
#include "data/formats/catalogue.h"
#include "data/formats/turns.h"

namespace elenchus {
namespace {

bool recognises(const Json& row, const RowColumns& columns) {
  return row.is_object() && (columns.text_template || row.find(columns.text_column) != nullptr);
}

/// The text of `pattern` with each {key} replaced by that key's text; {{ and }} stand for braces.
Conversation fill_in(const std::string& pattern, const Json& row) {
  Conversation out;
  std::size_t literal = 0;  // where the pattern's own text begins
  const auto end_literal = [&] {
    if (literal < out.text.size()) out.from_template.push_back({literal, out.text.size()});
  };
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if ((c == '{' || c == '}') && at + 1 < pattern.size() && pattern[at + 1] == c) {
      out.text += c;
      ++at;
      continue;
    }
    const std::size_t close = c == '{' ? pattern.find('}', at) : pattern.npos;
    if (close == pattern.npos) {
      out.text += c;
      continue;
    }
    end_literal();
    out.text += text_of(row, std::string_view(pattern).substr(at + 1, close - at - 1));
    literal = out.text.size();
    at = close;
  }
  end_literal();
  return out;
}

Conversation parse(const Json& row, const RowColumns& columns) {
  expect_object(row);
  Conversation out;
  if (columns.text_template)
    out = fill_in(*columns.text_template, row);
  else
    out.text = text_of(row, columns.text_column);
  if (out.text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw RowError("text_empty",
                   cat(printable(columns.text_column), ": expected text, found none"));
  return out;
}

}  // namespace

const DataFormat kTextFormat = {"text", recognises, parse, "text"};

}  // namespace elenchus
