#pragma once
// A template's source to its syntax tree.

#include <string_view>

#include "text/jinja/syntax.h"

namespace elenchus::jinja {

/// InputError "chat template: line N: ..." for a syntax error or a limit passed.
Syntax parse(std::string_view source);

}  // namespace elenchus::jinja
