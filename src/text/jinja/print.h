#pragma once
// Values as text, as Python prints them.

#include <string>

#include "text/jinja/value.h"

namespace elenchus::jinja {

/// str(value): a text itself, else what `{{ value }}` prints. All of it is marked as input if any
/// text in it is.
Value to_text(Budget& budget, const Value& value);
/// Appends str(value).
void print(TextBuilder& out, const Value& value);
/// repr(value), with the mark.
Value to_repr(Budget& budget, const Value& value);
/// repr(float): the fewest digits that read back equal.
std::string print_real(double value);

struct JsonStyle {
  bool ascii_only = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
/// json.dumps(value).
Value to_json(Budget& budget, const Value& value, const JsonStyle& style);
/// `text % arguments`. A single value counts as a tuple of one.
Value format_percent(Budget& budget, const Text& text, const Value& arguments);
/// text.format(arguments).
Value format_braces(Budget& budget, const Text& text, const Arguments& arguments);

}  // namespace elenchus::jinja
