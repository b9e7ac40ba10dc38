#pragma once
// A template's source as tokens, with blanks and line ends trimmed as transformers sets up Jinja:
// trim_blocks, lstrip_blocks, no trailing newline.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace elenchus::jinja {

struct Token {
  enum class Kind {
    text,  ///< template text between tags
    output_begin,
    output_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    symbol,  ///< an operator or a bracket
    end
  };
  Kind kind = Kind::end;
  std::string text;  ///< a string with its escapes resolved; a symbol as written
  std::int64_t integer = 0;
  double real = 0;
  int line = 1;
  bool is(Kind wanted, std::string_view wanted_text) const {
    return kind == wanted && text == wanted_text;
  }
};

/// InputError "chat template: line N: ..." for what is no Jinja. The last token is `end`.
std::vector<Token> tokenize(std::string_view source);

/// The error of line `line`.
[[noreturn]] void fail_at(int line, const std::string& message);

}  // namespace elenchus::jinja
