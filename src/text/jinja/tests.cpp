// Jinja's tests: `value is name`.
#include <algorithm>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

using Test = bool (*)(Budget&, const Value&);

// A test of the value alone.
template <Test test>
Value alone(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "test", arguments, {});
  return test(interpreter.budget(), value);
}

// A test that compares the value with its argument.
template <Operator by>
Value compared(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "test", arguments, {"other"}, 1);
  return compare(interpreter.budget(), by, value, *bound[0]);
}

std::int64_t remainder_of(Budget& budget, const Value& value, const Value& by) {
  const Value remainder = arithmetic(budget, Operator::modulo, value, by);
  if (!remainder.number()) budget.fail(cat("a ", type_name(value), " has no remainder"));
  return *remainder.number() == 0 ? 0 : *remainder.number() == 1 ? 1 : 2;
}

Value is_divisible(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "divisibleby", arguments, {"num"}, 1);
  return remainder_of(interpreter.budget(), value, *bound[0]) == 0;
}

Value is_same(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "sameas", arguments, {"other"}, 1);
  return type_name(value) == type_name(*bound[0]) && equal(value, *bound[0]);
}

Value is_filter(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "filter", arguments, {});
  return value.text() && find_filter(value.text()->bytes) != nullptr;
}

Value is_test(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound(interpreter.budget(), "test", arguments, {});
  return value.text() && find_test(value.text()->bytes) != nullptr;
}

bool is_callable(Budget&, const Value& value) {
  return value.is_undefined() || value.as<Method>() || value.function() ||
         value.as_owned<Macro>() || value.as<Joiner>() || value.as<Loop>();
}

bool is_iterable(Budget&, const Value& value) {
  return value.is_undefined() || value.text() || value.sequence() || value.dict() ||
         value.as<Loop>();
}

bool is_sequence(Budget&, const Value& value) {
  const Sequence* sequence = value.sequence();
  return value.is_undefined() || value.text() || value.dict() ||
         (sequence && sequence->indexable());
}

bool is_integer(Budget&, const Value& value) {
  return value.integer().has_value() && !value.is_boolean();
}

bool has_case_of(Budget& budget, const Value& value, Case wanted) {
  return has_case(*to_text(budget, value).text(), wanted);
}

constexpr Builtin kTests[] = {
    {"!=", compared<Operator::not_equal>},
    {"<", compared<Operator::less>},
    {"<=", compared<Operator::less_equal>},
    {"==", compared<Operator::equal>},
    {">", compared<Operator::greater>},
    {">=", compared<Operator::greater_equal>},
    {"boolean", alone<[](Budget&, const Value& v) { return v.is_boolean(); }>},
    {"callable", alone<is_callable>},
    {"defined", alone<[](Budget&, const Value& v) { return !v.is_undefined(); }>},
    {"divisibleby", is_divisible},
    {"eq", compared<Operator::equal>},
    {"equalto", compared<Operator::equal>},
    {"escaped", alone<[](Budget&, const Value& v) { return v.text() && v.text()->markup(); }>},
    {"even", alone<[](Budget& b, const Value& v) { return remainder_of(b, v, 2) == 0; }>},
    {"false", alone<[](Budget&, const Value& v) { return v.is_boolean() && !truth(v); }>},
    {"filter", is_filter},
    {"float", alone<[](Budget&, const Value& v) { return v.is_real(); }>},
    {"ge", compared<Operator::greater_equal>},
    {"greaterthan", compared<Operator::greater>},
    {"gt", compared<Operator::greater>},
    {"in", compared<Operator::in>},
    {"integer", alone<is_integer>},
    {"iterable", alone<is_iterable>},
    {"le", compared<Operator::less_equal>},
    {"lessthan", compared<Operator::less>},
    {"lower", alone<[](Budget& b, const Value& v) { return has_case_of(b, v, Case::lower); }>},
    {"lt", compared<Operator::less>},
    {"mapping", alone<[](Budget&, const Value& v) { return v.dict() != nullptr; }>},
    {"ne", compared<Operator::not_equal>},
    {"none", alone<[](Budget&, const Value& v) { return v.is_none(); }>},
    {"number", alone<[](Budget&, const Value& v) { return v.number().has_value(); }>},
    {"odd", alone<[](Budget& b, const Value& v) { return remainder_of(b, v, 2) == 1; }>},
    {"sameas", is_same},
    {"sequence", alone<is_sequence>},
    {"string", alone<[](Budget&, const Value& v) { return v.text() != nullptr; }>},
    {"test", is_test},
    {"true", alone<[](Budget&, const Value& v) { return v.is_boolean() && truth(v); }>},
    {"undefined", alone<[](Budget&, const Value& v) { return v.is_undefined(); }>},
    {"upper", alone<[](Budget& b, const Value& v) { return has_case_of(b, v, Case::upper); }>},
};

}  // namespace

const Builtin* find_test(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTests), std::end(kTests),
                                   [name](const Builtin& test) { return test.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace elenchus::jinja
