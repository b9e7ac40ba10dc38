#include "text/jinja/interpreter.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace elenchus::jinja {
namespace {

// Puts a value back when it goes out of scope, also when an error passes.
template <class T>
class Restore {
 public:
  explicit Restore(T& place) : place_(place), saved_(place) {}
  Restore(T& place, T value) : Restore(place) { place_ = std::move(value); }
  ~Restore() { place_ = std::move(saved_); }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T& place_;
  T saved_;
};

Symbol find_symbol(const Syntax& syntax, std::string_view name) {
  const auto found = std::find(syntax.names.begin(), syntax.names.end(), name);
  return found == syntax.names.end() ? -1 : Symbol(found - syntax.names.begin());
}

}  // namespace

Scope::Scope(Budget& owner, Ref<Scope> scope_parent)
    : Counted(owner), parent(std::move(scope_parent)), depth(parent ? parent->depth + 1 : 0) {
  if (depth > kMaxEvaluationDepth)
    owner.fail(cat("scopes nested more than ", kMaxEvaluationDepth, " deep"));
  hold(sizeof(*this));
}

const Value* Scope::find(Symbol symbol) const {
  for (const Scope* scope = this; scope; scope = scope->parent.get())
    for (const auto& [name, value] : scope->variables)
      if (name == symbol) return &value;
  return nullptr;
}

void Scope::set(Symbol symbol, Value value) {
  for (auto& [name, old] : variables) {
    if (name != symbol) continue;
    old = std::move(value);
    return;
  }
  hold(sizeof(variables[0]));
  variables.emplace_back(symbol, std::move(value));
}

Interpreter::Interpreter(const Syntax& syntax, Budget& budget, std::int64_t now_seconds)
    : syntax_(syntax),
      budget_(budget),
      now_seconds_(now_seconds),
      literals_(std::size_t(syntax.literals)),
      root_(make<Scope>(budget, Ref<Scope>())),
      scope_(root_),
      loop_symbol_(find_symbol(syntax, "loop")),
      caller_symbol_(find_symbol(syntax, "caller")),
      varargs_symbol_(find_symbol(syntax, "varargs")),
      kwargs_symbol_(find_symbol(syntax, "kwargs")) {}

// Namespaces and macros are owned here and only pointed to by values, so that no cycle of
// references can be left.
Interpreter::~Interpreter() = default;

void Interpreter::set_variable(std::string_view name, Value value) {
  const Symbol symbol = find_symbol(syntax_, name);
  if (symbol >= 0) root_->set(symbol, std::move(value));
}

void Interpreter::run(TextBuilder& output) {
  output_ = &output;
  execute(syntax_.body);
}

Namespace& Interpreter::make_namespace() {
  budget_.hold(sizeof(Namespace));
  return namespaces_.emplace_back();
}

Interpreter::Flow Interpreter::execute(const Block& block) {
  for (const Statement& statement : block) {
    const Flow flow = execute(statement);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  const Nested nested(evaluation_depth_, budget_);
  budget_.line = statement.line;
  budget_.spend();
  switch (statement.kind) {
    case Statement::Kind::text:
      output_->append(statement.literal);
      return Flow::normal;
    case Statement::Kind::output:
      print(*output_, evaluate(*statement.expressions[0]));
      return Flow::normal;
    case Statement::Kind::choice:
      return execute_choice(statement);
    case Statement::Kind::loop:
      return execute_loop(statement);
    case Statement::Kind::assignment:
      assign(statement.target, evaluate(*statement.expressions[0]));
      return Flow::normal;
    case Statement::Kind::capture:
      return execute_capture(statement);
    case Statement::Kind::macro:
      scope_->set(statement.symbol, make_macro(statement.macro, statement.blocks[0]));
      return Flow::normal;
    case Statement::Kind::call_block:
      return execute_call_block(statement);
    case Statement::Kind::filter_block:
      return execute_filter_block(statement);
    case Statement::Kind::with:
      return execute_with(statement);
    case Statement::Kind::scope:
      return execute_in_scope(statement.blocks[0]);
    case Statement::Kind::leave_loop:
      return Flow::leave_loop;
    case Statement::Kind::next_round:
      return Flow::next_round;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_choice(const Statement& statement) {
  for (std::size_t i = 0; i < statement.expressions.size(); ++i)
    if (truth(evaluate(*statement.expressions[i]))) return execute(statement.blocks[i]);
  return statement.blocks.size() > statement.expressions.size() ? execute(statement.blocks.back())
                                                                : Flow::normal;
}

std::vector<Value> Interpreter::loop_items(const Statement& statement) {
  std::vector<Value> items = iterate(budget_, evaluate(*statement.expressions[0]));
  const Expression* condition = statement.expressions[1].get();
  if (!condition) return items;
  std::vector<Value> kept;
  const Restore scope(scope_);
  for (Value& item : items) {
    budget_.spend();
    scope_ = make<Scope>(budget_, scope_);
    assign(statement.target, item);
    if (truth(evaluate(*condition))) kept.push_back(std::move(item));
    scope_ = scope_->parent;
  }
  return kept;
}

Interpreter::Flow Interpreter::execute_loop(const Statement& statement) {
  std::vector<Value> items = loop_items(statement);
  if (items.empty())
    return statement.blocks.size() > 1 ? execute_in_scope(statement.blocks[1]) : Flow::normal;
  const Restore scope(scope_);
  const int outer_depth = loop_depth_;
  const Restore depth(loop_depth_, outer_depth + 1);
  const Ref<Scope> outer = scope_;
  const Ref<Loop> loop = make<Loop>(budget_, std::move(items), loop_depth_ - 1);
  bool any_whole = false;  // a round that neither `break` nor `continue` ended
  for (std::size_t i = 0; i < loop->items.size(); ++i) {
    budget_.spend();
    loop->index0 = std::int64_t(i);
    scope_ = make<Scope>(budget_, outer);
    if (loop_symbol_ >= 0) scope_->set(loop_symbol_, loop);
    assign(statement.target, loop->items[i]);
    const Flow flow = execute(statement.blocks[0]);
    any_whole |= flow == Flow::normal;
    if (flow == Flow::leave_loop) break;
  }
  if (any_whole || statement.blocks.size() < 2) return Flow::normal;
  // Jinja's own reading of `else`: no round came to its end.
  scope_ = outer;
  loop_depth_ = outer_depth;
  return execute_in_scope(statement.blocks[1]);
}

Interpreter::Flow Interpreter::execute_in_scope(const Block& block) {
  const Restore scope(scope_, make<Scope>(budget_, scope_));
  return execute(block);
}

Value Interpreter::capture(const Block& block, Flow& flow) {
  TextBuilder captured(budget_);
  const Restore output(output_, &captured);
  flow = execute_in_scope(block);
  return captured.finish();
}

Value Interpreter::apply_filters(const Expression* filters, Value text) {
  if (!filters) return text;
  return evaluate_filter_or_test(*filters, apply_filters(filters->parts[0].get(), std::move(text)));
}

Interpreter::Flow Interpreter::execute_capture(const Statement& statement) {
  Flow flow;
  Value text = capture(statement.blocks[0], flow);
  if (flow == Flow::normal)
    assign(statement.target, apply_filters(statement.expressions[0].get(), std::move(text)));
  return flow;
}

Interpreter::Flow Interpreter::execute_filter_block(const Statement& statement) {
  Flow flow;
  Value text = capture(statement.blocks[0], flow);
  if (flow == Flow::normal)
    print(*output_, apply_filters(statement.expressions[0].get(), std::move(text)));
  return flow;
}

Interpreter::Flow Interpreter::execute_with(const Statement& statement) {
  const std::vector<Value> values = evaluate_all(statement.expressions);
  const Restore scope(scope_, make<Scope>(budget_, scope_));
  for (std::size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
  return execute(statement.blocks[0]);
}

Interpreter::Flow Interpreter::execute_call_block(const Statement& statement) {
  const Expression& call_expression = *statement.expressions[0];
  const Value callee = evaluate(*call_expression.parts[0]);
  Arguments arguments = evaluate_arguments(call_expression.arguments);
  arguments.named.emplace_back("caller", make_macro(statement.macro, statement.blocks[0]));
  print(*output_, call(callee, arguments));
  return Flow::normal;
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) {
    const Value* holder = scope_->find(target.symbol);
    Namespace* space = holder ? holder->as_owned<Namespace>() : nullptr;
    if (!space)
      budget_.fail(cat("cannot set an attribute of '", syntax_.names[std::size_t(target.symbol)],
                       "': it is no namespace"));
    return set_attribute(*space, target.attribute, value);
  }
  if (!target.is_tuple) return scope_->set(target.symbol, value);
  require_defined(budget_, value);
  const std::vector<Value> items = iterate(budget_, value);
  if (items.size() != target.targets.size())
    budget_.fail(
        cat("cannot unpack ", items.size(), " values into ", target.targets.size(), " names"));
  for (std::size_t i = 0; i < items.size(); ++i) assign(target.targets[i], items[i]);
}

void Interpreter::set_attribute(Namespace& space, const std::string& name, Value value) {
  if (name.starts_with('_'))
    budget_.fail(cat("a namespace cannot hold '", printable(name), "': it begins with '_'"));
  for (auto& [old_name, old] : space.attributes) {
    budget_.spend();
    if (old_name != name) continue;
    old = std::move(value);
    return;
  }
  budget_.hold(sizeof(space.attributes[0]) + name.size());
  space.attributes.emplace_back(name, std::move(value));
}

Macro* Interpreter::make_macro(const MacroSyntax& syntax, const Block& body) {
  budget_.hold(sizeof(Macro) + sizeof(void*));
  macros_.push_back(std::make_unique<Macro>(Macro{syntax, body, scope_}));
  return macros_.back().get();
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  budget_.spend();
  require_defined(budget_, callee);
  if (const Method* method = callee.as<Method>()) return call_method(*this, *method, arguments);
  if (const Function* function = callee.function()) return function->call(*this, arguments);
  if (const Macro* macro = callee.as_owned<Macro>()) return call_macro(*macro, arguments);
  if (Joiner* joiner = callee.as<Joiner>())
    return std::exchange(joiner->used, true) ? joiner->separator : make_text(budget_, "");
  budget_.fail(cat("a ", type_name(callee), " cannot be called"));
}

const std::string& macro_name(const Macro& macro) { return macro.syntax.name; }

Value Interpreter::call_macro(const Macro& macro, const Arguments& arguments) {
  if (macro_depth_ >= kMaxMacroDepth)
    budget_.fail(cat("macros called more than ", kMaxMacroDepth, " deep"));
  TextBuilder captured(budget_);
  const Restore depth(macro_depth_, macro_depth_ + 1);
  const Restore loops(loop_depth_, 0);
  const Restore scope(scope_, make<Scope>(budget_, macro.scope));
  const Restore output(output_, &captured);
  const Restore line(budget_.line);
  bind_parameters(macro, arguments);
  execute(macro.body);
  return captured.finish();
}

bool Interpreter::bind_named(const Macro& macro, const Arguments& arguments,
                             std::vector<Dict::Entry>& more) {
  const std::vector<Parameter>& parameters = macro.syntax.parameters;
  bool has_caller = false;
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find_if(
        parameters.begin(), parameters.end(),
        [wanted = std::string_view(name)](const Parameter& p) { return p.name == wanted; });
    if (found != parameters.end()) {
      if (std::size_t(found - parameters.begin()) < arguments.positional.size())
        budget_.fail(cat("macro '", macro.syntax.name, "': argument '", name, "' is given twice"));
      scope_->set(found->symbol, value);
    } else if (name == "caller" && macro.syntax.takes_caller) {
      scope_->set(caller_symbol_, value);
      has_caller = true;
    } else if (macro.syntax.takes_named) {
      set_entry(budget_, more, make_text(budget_, name), value);
    } else {
      budget_.fail(cat("macro '", macro.syntax.name, "' has no argument '", printable(name), "'"));
    }
  }
  return has_caller;
}

void Interpreter::bind_parameters(const Macro& macro, const Arguments& arguments) {
  const std::vector<Parameter>& parameters = macro.syntax.parameters;
  const std::size_t shared = std::min(parameters.size(), arguments.positional.size());
  for (std::size_t i = 0; i < shared; ++i)
    scope_->set(parameters[i].symbol, arguments.positional[i]);
  if (arguments.positional.size() > shared && !macro.syntax.takes_more)
    budget_.fail(cat("macro '", macro.syntax.name, "' takes at most ", shared, " arguments"));
  std::vector<Dict::Entry> more_named;
  const bool has_caller = bind_named(macro, arguments, more_named);
  if (macro.syntax.takes_caller && !has_caller)
    scope_->set(caller_symbol_, make_undefined(budget_, "there is no 'caller'"));
  if (macro.syntax.takes_more)
    scope_->set(varargs_symbol_,
                make_sequence(budget_, SequenceKind::tuple,
                              {arguments.positional.begin() + std::ptrdiff_t(shared),
                               arguments.positional.end()}));
  if (macro.syntax.takes_named)
    scope_->set(kwargs_symbol_, make<Dict>(budget_, std::move(more_named)));
  for (std::size_t i = shared; i < parameters.size(); ++i) {
    const auto& set = scope_->variables;
    const Parameter& parameter = parameters[i];
    const bool given = std::any_of(set.begin(), set.end(), [&parameter](const auto& variable) {
      return variable.first == parameter.symbol;
    });
    if (given) continue;
    scope_->set(parameter.symbol, parameter.fallback
                                      ? evaluate(*parameter.fallback)
                                      : make_undefined(budget_, cat("parameter '", parameter.name,
                                                                    "' was not given")));
  }
}

}  // namespace elenchus::jinja
