// Expressions of a template to values.
#include "base/error.h"
#include "base/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {

Nested::Nested(int& depth, Budget& budget) : depth_(depth) {
  if (depth_ >= kMaxEvaluationDepth)
    budget.fail(cat("evaluation nested more than ", kMaxEvaluationDepth, " deep"));
  ++depth_;
}

Value Interpreter::evaluate(const Expression& e) {
  using Kind = Expression::Kind;
  const Nested nested(evaluation_depth_, budget_);
  budget_.line = e.line;
  budget_.spend();
  switch (e.kind) {
    case Kind::name:
      return evaluate_name(e);
    case Kind::attribute:
      return get_attribute(budget_, evaluate(*e.parts[0]), e.text);
    case Kind::item: {
      const Value subject = evaluate(*e.parts[0]);
      return get_item(budget_, subject, evaluate(*e.parts[1]));
    }
    case Kind::slice:
      return evaluate_slice(e);
    case Kind::call:
      return evaluate_call(e);
    case Kind::filter:
    case Kind::test:
      return evaluate_filter_or_test(e, evaluate(*e.parts[0]));
    case Kind::negated:
      return !truth(evaluate(*e.parts[0]));
    case Kind::negative:
      return negative(budget_, evaluate(*e.parts[0]));
    case Kind::positive: {
      const Value value = evaluate(*e.parts[0]);
      return negative(budget_, negative(budget_, value));
    }
    case Kind::arithmetic: {
      const Value left = evaluate(*e.parts[0]);
      return arithmetic(budget_, e.operators[0], left, evaluate(*e.parts[1]));
    }
    case Kind::concatenation:
      return evaluate_concatenation(e);
    case Kind::comparison:
      return evaluate_comparison(e);
    case Kind::both: {
      Value left = evaluate(*e.parts[0]);
      return truth(left) ? evaluate(*e.parts[1]) : left;
    }
    case Kind::either: {
      Value left = evaluate(*e.parts[0]);
      return truth(left) ? left : evaluate(*e.parts[1]);
    }
    case Kind::conditional:
      return evaluate_conditional(e);
    default:
      return evaluate_constant_or_collection(e);
  }
}

Value Interpreter::evaluate_constant_or_collection(const Expression& e) {
  using Kind = Expression::Kind;
  switch (e.kind) {
    case Kind::boolean:
      return e.integer != 0;
    case Kind::integer:
      return e.integer;
    case Kind::real:
      return e.real;
    case Kind::string: {
      Value& literal = literals_[std::size_t(e.integer)];
      if (literal.is_none()) literal = make_text(budget_, e.text);
      return literal;
    }
    case Kind::list:
      return make_list(budget_, evaluate_all(e.parts));
    case Kind::tuple:
      return make_sequence(budget_, SequenceKind::tuple, evaluate_all(e.parts));
    case Kind::dict:
      return evaluate_dict(e);
    default:
      return {};
  }
}

Value Interpreter::evaluate_name(const Expression& e) {
  if (const Value* value = scope_->find(e.symbol)) return *value;
  if (const Function* function = find_function(e.text)) return function;
  return make_undefined(budget_, cat("'", printable(e.text), "' is undefined"));
}

Value Interpreter::evaluate_dict(const Expression& e) {
  std::vector<Dict::Entry> entries;
  for (std::size_t i = 0; i < e.parts.size(); i += 2) {
    Value key = evaluate(*e.parts[i]);
    set_entry(budget_, entries, std::move(key), evaluate(*e.parts[i + 1]));
  }
  return make<Dict>(budget_, std::move(entries));
}

Value Interpreter::evaluate_slice(const Expression& e) {
  const Value subject = evaluate(*e.parts[0]);
  Value bounds[3];
  for (std::size_t i = 0; i < 3; ++i)
    if (e.parts[i + 1]) bounds[i] = evaluate(*e.parts[i + 1]);
  return get_slice(budget_, subject, bounds[0], bounds[1], bounds[2]);
}

Value Interpreter::evaluate_call(const Expression& e) {
  const Value callee = evaluate(*e.parts[0]);
  const Arguments arguments = evaluate_arguments(e.arguments);
  budget_.line = e.line;
  return call(callee, arguments);
}

Value Interpreter::evaluate_filter_or_test(const Expression& e, Value subject) {
  if (!e.builtin)
    budget_.fail(cat("there is no ", e.kind == Expression::Kind::filter ? "filter" : "test", " '",
                     printable(e.text), "'"));
  const Arguments arguments = evaluate_arguments(e.arguments);
  budget_.line = e.line;
  return e.builtin->apply(*this, subject, arguments);
}

Value Interpreter::evaluate_concatenation(const Expression& e) {
  TextBuilder builder(budget_);
  for (const ExpressionPtr& part : e.parts) print(builder, evaluate(*part));
  return builder.finish();
}

Value Interpreter::evaluate_comparison(const Expression& e) {
  Value left = evaluate(*e.parts[0]);
  for (std::size_t i = 0; i < e.operators.size(); ++i) {
    Value right = evaluate(*e.parts[i + 1]);
    if (!compare(budget_, e.operators[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate_conditional(const Expression& e) {
  if (truth(evaluate(*e.parts[1]))) return evaluate(*e.parts[0]);
  if (e.parts[2]) return evaluate(*e.parts[2]);
  return make_undefined(budget_, "an 'if' without 'else' was false");
}

std::vector<Value> Interpreter::evaluate_all(const std::vector<ExpressionPtr>& expressions) {
  std::vector<Value> values;
  values.reserve(expressions.size());
  for (const ExpressionPtr& expression : expressions) values.push_back(evaluate(*expression));
  return values;
}

Arguments Interpreter::evaluate_arguments(const CallArguments& syntax) {
  Arguments arguments{evaluate_all(syntax.positional), {}};
  for (const auto& [name, expression] : syntax.named)
    arguments.named.emplace_back(name, evaluate(*expression));
  if (syntax.all_positional)
    for (Value& value : iterate(budget_, evaluate(*syntax.all_positional)))
      arguments.positional.push_back(std::move(value));
  if (!syntax.all_named) return arguments;
  const Value more = evaluate(*syntax.all_named);
  if (!more.dict()) budget_.fail(cat("'**' of a ", type_name(more), ", not of a dict"));
  for (const auto& [key, value] : more.dict()->entries) {
    if (!key.text()) budget_.fail("'**' of a dict with a key that is no string");
    arguments.named.emplace_back(key.text()->bytes, value);
  }
  return arguments;
}

}  // namespace elenchus::jinja
