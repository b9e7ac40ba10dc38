#pragma once
// What a format says about one value, and a value so formatted: shared by `%` and format().

#include <cstdint>
#include <string>

#include "text/jinja/value.h"

namespace elenchus::jinja {

/// What a format says about one value.
struct Spec {
  std::string fill = " ";
  char align = '\0';  ///< '<', '>', '^' or '=' (fill after the sign)
  char sign = '\0';   ///< before numbers that are not negative: '+', ' ' or none
  bool alternate = false;
  std::string group;  ///< between thousands
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = '\0';
};

/// The number that stands at `at`, which moves past it; none is 0. InputError above the longest
/// text.
std::int64_t read_number(Budget& budget, const std::string& bytes, std::size_t& at);
/// Appends a text padded to the width.
void append_padded(TextBuilder& out, const Value& text, const Spec& spec, char default_align);
/// Appends a value as the format asks. InputError where the format does not fit the value.
void append_value(TextBuilder& out, const Value& value, const Spec& spec);

}  // namespace elenchus::jinja
