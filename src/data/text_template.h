#pragma once
// data.text_template: text with {column} in place of a row's values.

#include <string>
#include <string_view>
#include <vector>

namespace elenchus {

/// A piece of a template: its own text, or the name of a column.
struct TemplatePiece {
  std::string text;
  bool column = false;
};

/// "Question: {question}" as its pieces; {{ and }} stand for braces. A brace without its partner is
/// text.
std::vector<TemplatePiece> template_pieces(std::string_view pattern);

}  // namespace elenchus
