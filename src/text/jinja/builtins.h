#pragma once
// Filters, tests, methods and global functions by name.

#include <initializer_list>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace elenchus::jinja {

/// Null where there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
/// A method of the value. Methods that change a list or a dict, and all else that is not plain
/// data, are not there.
const Builtin* find_method(const Value& value, std::string_view name);
Value call_method(Interpreter& interpreter, const Method& method, const Arguments& arguments);
const Function* find_function(std::string_view name);

/// The arguments of a call, each at the place of its parameter. InputError for too many, unknown or
/// doubled ones.
class Bound {
 public:
  Bound(Budget& budget, std::string_view callee, const Arguments& arguments,
        std::initializer_list<std::string_view> parameters, std::size_t required = 0);
  /// Null if it was not given.
  const Value* operator[](std::size_t i) const { return values_[i]; }
  Value value(std::size_t i, Value fallback = {}) const;
  std::int64_t integer(std::size_t i, std::int64_t fallback) const;
  bool flag(std::size_t i, bool fallback) const;
  /// Null if it was not given, or none. InputError if it is no string.
  const Text* text(std::size_t i) const;

 private:
  Budget& budget_;
  std::string_view callee_;
  std::vector<const Value*> values_;
};

}  // namespace elenchus::jinja
