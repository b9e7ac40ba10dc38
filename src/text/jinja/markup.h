#pragma once
// MarkupSafe's Markup: a string that counts as safe in HTML. What is put beside it or into it is
// escaped, as Python's markupsafe does it, even where a template is not escaped by itself.

#include "text/jinja/value.h"

namespace elenchus::jinja {

/// The same text as Markup.
Value as_markup(const Text& text);
/// Markup of str(value), with & < > ' " as HTML writes them; Markup itself stays as it is.
Value escape(Budget& budget, const Value& value);
/// The text with those characters escaped, also of Markup. What came from the input stays marked.
Value escape_all(const Text& text);
/// What a method of `origin` gives: the texts that it made are Markup if `origin` is.
Value made_from(const Text& origin, Value made);

}  // namespace elenchus::jinja
