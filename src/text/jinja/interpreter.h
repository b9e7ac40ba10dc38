#pragma once
// Runs a parsed template over values. One interpreter renders once.

#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "text/jinja/syntax.h"
#include "text/jinja/value.h"

namespace elenchus::jinja {

/// Variables of a template, a loop round or a macro call. Those not found are looked up in the
/// parent.
struct Scope : Counted {
  Scope(Budget& owner, Ref<Scope> scope_parent);
  const Value* find(Symbol symbol) const;
  void set(Symbol symbol, Value value);
  const Ref<Scope> parent;
  const int depth;  ///< how many parents
  std::vector<std::pair<Symbol, Value>> variables;
};

/// A macro with the variables of the place that it was defined in.
struct Macro {
  const MacroSyntax& syntax;
  const Block& body;
  Ref<Scope> scope;
};

/// Counts nested evaluations; InputError past kMaxEvaluationDepth.
class Nested {
 public:
  Nested(int& depth, Budget& budget);
  ~Nested() { --depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  int& depth_;
};

class Interpreter {
 public:
  /// Both outlive the interpreter and every value that it makes.
  Interpreter(const Syntax& syntax, Budget& budget, std::int64_t now_seconds);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// Sets a variable of the template; names that the template does not use are dropped.
  void set_variable(std::string_view name, Value value);
  void run(TextBuilder& output);

  Budget& budget() { return budget_; }
  std::int64_t now_seconds() const { return now_seconds_; }
  /// Calls a function, method, macro, cycler or joiner.
  Value call(const Value& callee, const Arguments& arguments);
  /// For a builtin that applies others, which may do the same.
  Nested nest() { return {evaluation_depth_, budget_}; }
  Namespace& make_namespace();
  /// InputError for a name that begins with '_'.
  void set_attribute(Namespace& space, const std::string& name, Value value);

 private:
  enum class Flow { normal, leave_loop, next_round };

  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow execute_choice(const Statement& statement);
  Flow execute_loop(const Statement& statement);
  std::vector<Value> loop_items(const Statement& statement);
  Flow execute_capture(const Statement& statement);
  Flow execute_filter_block(const Statement& statement);
  Flow execute_with(const Statement& statement);
  Flow execute_call_block(const Statement& statement);
  Flow execute_in_scope(const Block& block);
  /// Runs a block in a scope of its own and gives its output as a text.
  Value capture(const Block& block, Flow& flow);
  void assign(const Target& target, const Value& value);
  Macro* make_macro(const MacroSyntax& syntax, const Block& body);
  Value call_macro(const Macro& macro, const Arguments& arguments);
  void bind_parameters(const Macro& macro, const Arguments& arguments);
  bool bind_named(const Macro& macro, const Arguments& arguments, std::vector<Dict::Entry>& more);

  Value evaluate(const Expression& expression);
  Value evaluate_constant_or_collection(const Expression& expression);
  Value evaluate_name(const Expression& expression);
  Value evaluate_dict(const Expression& expression);
  Value evaluate_slice(const Expression& expression);
  Value evaluate_call(const Expression& expression);
  Value evaluate_filter_or_test(const Expression& expression, Value subject);
  Value evaluate_concatenation(const Expression& expression);
  Value evaluate_comparison(const Expression& expression);
  Value evaluate_conditional(const Expression& expression);
  std::vector<Value> evaluate_all(const std::vector<ExpressionPtr>& expressions);
  Arguments evaluate_arguments(const CallArguments& arguments);
  /// The filters of a block over its text.
  Value apply_filters(const Expression* filters, Value text);

  const Syntax& syntax_;
  Budget& budget_;
  const std::int64_t now_seconds_;
  std::vector<std::unique_ptr<Macro>> macros_;
  std::deque<Namespace> namespaces_;
  std::vector<Value> literals_;  // string literals, made when first used
  Ref<Scope> root_;
  Ref<Scope> scope_;
  TextBuilder* output_ = nullptr;
  int evaluation_depth_ = 0;
  int macro_depth_ = 0;
  int loop_depth_ = 0;
  Symbol loop_symbol_ = -1, caller_symbol_ = -1, varargs_symbol_ = -1, kwargs_symbol_ = -1;
};

}  // namespace elenchus::jinja
