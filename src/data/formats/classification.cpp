// A text and its class in two columns (data.text_column, data.label_column), or a text made of any
// columns by data.text_template.

#include "data/formats/class_format.h"
#include "data/formats/turns.h"
#include "data/text_template.h"

namespace elenchus {
namespace {

bool recognises(const Json&) { return true; }

std::vector<std::string> keys(const DataConfig& config, Labelled labelled) {
  std::vector<std::string> out;
  if (config.text_template) {
    for (const TemplatePiece& piece : template_pieces(*config.text_template))
      if (piece.column) out.push_back(piece.text);
  } else {
    out.push_back(config.text_column);
  }
  if (labelled == Labelled::yes) out.push_back(config.label_column);
  return out;
}

std::optional<ClassifiedText> parse(const Json& row, const DataConfig& config, Labelled labelled,
                                    AnswerOrder) {
  expect_object(row);
  ClassifiedText out;
  const auto pieces = config.text_template ? template_pieces(*config.text_template)
                                           : std::vector{TemplatePiece{config.text_column, true}};
  for (const TemplatePiece& piece : pieces)
    out.parts.push_back(
        {.text = piece.column ? value_text(row, piece.text) : piece.text, .value = piece.column});
  expect_text(out.parts);
  if (labelled == Labelled::no) return out;
  out.label = value_text(row, config.label_column);
  if (out.label.empty())
    throw RowError("label_missing",
                   cat(config.label_column, ": expected a class number or name, found none"));
  return out;
}

}  // namespace

const ClassFormat kClassificationFormat = {"classification", recognises, keys, parse, {}, false};

}  // namespace elenchus
