#include "data/text_template.h"

namespace elenchus {

std::vector<TemplatePiece> template_pieces(std::string_view pattern) {
  std::vector<TemplatePiece> pieces;
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) pieces.push_back({.text = literal, .column = false});
    literal.clear();
  };
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if ((c == '{' || c == '}') && at + 1 < pattern.size() && pattern[at + 1] == c) {
      literal += c;
      ++at;
      continue;
    }
    const std::size_t close = c == '{' ? pattern.find('}', at) : pattern.npos;
    if (close == pattern.npos) {
      literal += c;
      continue;
    }
    end_literal();
    pieces.push_back({.text = std::string(pattern.substr(at + 1, close - at - 1)), .column = true});
    at = close;
  }
  end_literal();
  return pieces;
}

}  // namespace elenchus
