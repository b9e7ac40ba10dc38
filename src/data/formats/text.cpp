// {"text": "..."} (data.text_column), or text made of several keys by data.text_template. Every
// token is trained on. Special tokens count where data.text_template writes them; in a row's values
// they stay text.

#include "base/file.h"
#include "data/formats/catalogue.h"
#include "data/formats/turns.h"
#include "data/text_template.h"

namespace elenchus {
namespace {

bool recognises(const Json& row, const RowColumns& columns) {
  return row.is_object() && (columns.text_template || row.find(columns.text_column) != nullptr);
}

/// The text of `pattern` with each {key} replaced by that key's text.
Conversation fill_in(const std::string& pattern, const Json& row) {
  Conversation out;
  for (const TemplatePiece& piece : template_pieces(pattern)) {
    const std::size_t begin = out.text.size();
    out.text += piece.column ? text_of(row, piece.text) : piece.text;
    if (!piece.column) out.from_template.push_back({begin, out.text.size()});
  }
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
