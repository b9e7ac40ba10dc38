#pragma once
// A parsed template.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/jinja/value.h"

namespace elenchus::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

/// A name of a variable, as an index into Syntax::names.
using Symbol = int;

enum class Operator {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr all_positional;  ///< `*x`, may be null
  ExpressionPtr all_named;       ///< `**x`, may be null
};

/// `parts` are the operands in order of writing unless said otherwise.
struct Expression {
  enum class Kind {
    none,
    boolean,
    integer,
    real,
    string,
    name,
    list,
    tuple,
    dict,       ///< key, value, key, value, ...
    attribute,  ///< parts[0].text
    item,       ///< parts[0][parts[1]]
    slice,      ///< parts[0][parts[1]:parts[2]:parts[3]], 1 to 3 may be null
    call,       ///< parts[0](arguments)
    filter,     ///< parts[0]|text(arguments); parts[0] is null in a filter block
    test,       ///< parts[0] is text(arguments)
    negated,
    negative,
    positive,
    arithmetic,  ///< parts[0] operators[0] parts[1]
    concatenation,
    comparison,  ///< parts[0] operators[0] parts[1] operators[1] parts[2] ...
    both,
    either,
    conditional  ///< parts[0] if parts[1] else parts[2]; parts[2] may be null
  };
  Kind kind;
  int line = 1;
  int depth = 1;
  std::vector<ExpressionPtr> parts;
  std::vector<Operator> operators;
  CallArguments arguments;
  std::string text;
  std::int64_t integer = 0;  ///< also a boolean, and the slot of a string among the literals
  double real = 0;
  Symbol symbol = 0;
  const Builtin* builtin = nullptr;  ///< the filter or test; null: there is none of that name
};

/// What is assigned to: a variable, an attribute of a namespace, or several of them.
struct Target {
  Symbol symbol = 0;
  std::string attribute;  ///< empty: the variable itself
  bool is_tuple = false;
  std::vector<Target> targets;  ///< of a tuple
};

struct Statement;
using Block = std::vector<Statement>;

struct Parameter {
  Symbol symbol = 0;
  std::string name;
  ExpressionPtr fallback;  ///< may be null
};

/// A macro, or the body of a call block.
struct MacroSyntax {
  std::string name;
  std::vector<Parameter> parameters;
  bool takes_more = false;   ///< uses `varargs`
  bool takes_named = false;  ///< uses `kwargs`
  bool takes_caller = false;
};

struct Statement {
  enum class Kind {
    text,          ///< literal
    output,        ///< expressions[0]
    choice,        ///< expressions[i] chooses blocks[i]; one block more is the else
    loop,          ///< for target in expressions[0] if expressions[1]: blocks[0], else blocks[1]
    assignment,    ///< target = expressions[0]
    capture,       ///< target = blocks[0], through the filter expressions[0], which may be null
    macro,         ///< symbol = macro with body blocks[0]
    call_block,    ///< expressions[0] called with blocks[0] as its caller
    filter_block,  ///< blocks[0] through expressions[0]
    with,          ///< targets[i] = expressions[i] within blocks[0]
    scope,         ///< blocks[0]
    leave_loop,
    next_round
  };
  Kind kind;
  int line = 1;
  std::string literal = {};
  Symbol symbol = 0;
  Target target = {};
  std::vector<Target> targets = {};
  std::vector<ExpressionPtr> expressions = {};
  std::vector<Block> blocks = {};
  MacroSyntax macro = {};
};

struct Syntax {
  Block body;
  std::vector<std::string> names;
  int literals = 0;  ///< how many string literals there are
};

}  // namespace elenchus::jinja
