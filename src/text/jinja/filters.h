#pragma once
// The two tables of filters, joined by find_filter.

#include <span>

#include "text/jinja/builtins.h"

namespace elenchus::jinja {

std::span<const Builtin> text_filters();
std::span<const Builtin> sequence_filters();

}  // namespace elenchus::jinja
