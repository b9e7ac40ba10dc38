#pragma once
// Attributes, items, slices and operators of values, as Python and Jinja's sandbox have them.

#include "text/jinja/syntax.h"
#include "text/jinja/value.h"

namespace elenchus::jinja {

/// value.name: an attribute or method, else the item of that name, else undefined. Never one that
/// begins with '_'.
Value get_attribute(Budget& budget, const Value& value, std::string_view name);
/// value[key]: the item, else for a string the attribute of that name, else undefined.
Value get_item(Budget& budget, const Value& value, const Value& key);
/// value[start:stop:step]; none stands for what is left out.
Value get_slice(Budget& budget, const Value& value, const Value& start, const Value& stop,
                const Value& step);
/// The name that a macro was defined by.
const std::string& macro_name(const Macro& macro);
/// How many items or code points. InputError for what has no length.
std::int64_t length_of(Budget& budget, const Value& value);
Value arithmetic(Budget& budget, Operator by, const Value& a, const Value& b);
Value negative(Budget& budget, const Value& value);
bool compare(Budget& budget, Operator by, const Value& a, const Value& b);
/// Python's `item in container`.
bool contains(Budget& budget, const Value& container, const Value& item);

}  // namespace elenchus::jinja
