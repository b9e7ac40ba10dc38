#include "text/jinja/parser.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "text/jinja/expression_parser.h"

namespace elenchus::jinja {
namespace {

using Kind = Statement::Kind;

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), expressions_(tokens_, syntax_) {}

  Syntax run() {
    syntax_.body = parse_until({});
    return std::move(syntax_);
  }

 private:
  Block parse_until(std::initializer_list<std::string_view> ends);
  Block parse_body(std::initializer_list<std::string_view> ends);
  Block parse_whole_body(std::string_view end);
  void parse_tag(Block& block);
  void parse_print(Block& block);
  Statement parse_if();
  Statement parse_for();
  Statement parse_set();
  Statement parse_macro();
  Statement parse_call_block();
  Statement parse_filter_block();
  Statement parse_with();
  Statement parse_scope(const std::string& tag);
  Statement parse_jump(Kind kind);
  Target parse_target(bool with_namespace);
  Target parse_one_target(bool with_namespace);
  std::vector<Parameter> parse_parameters();
  Block parse_macro_body(MacroSyntax& macro, std::string_view end);
  Statement make(Kind kind) const { return {.kind = kind, .line = tokens_.look().line}; }

  Syntax syntax_;
  TokenStream tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

Block StatementParser::parse_until(std::initializer_list<std::string_view> ends) {
  Block block;
  while (true) {
    const Token& token = tokens_.look();
    const int line = token.line;
    if (token.kind == Token::Kind::end) {
      if (ends.size() == 0) return block;
      fail_at(line, cat("the template ends where '{% ", *(ends.end() - 1), " %}' is expected"));
    }
    if (token.kind == Token::Kind::text) {
      block.push_back({.kind = Kind::text, .line = line, .literal = tokens_.next().text});
      continue;
    }
    if (token.kind == Token::Kind::output_begin) {
      tokens_.next();
      Statement output = make(Kind::output);
      output.expressions.push_back(expressions_.parse_tuple(true));
      tokens_.expect(Token::Kind::output_end);
      block.push_back(std::move(output));
      continue;
    }
    tokens_.expect(Token::Kind::block_begin);
    for (const std::string_view end : ends)
      if (tokens_.at_name(end)) return block;
    const Nesting nesting(expressions_.depth(), line);
    parse_tag(block);
    tokens_.expect(Token::Kind::block_end);
  }
}

// The body of a block tag, up to the name of one of `ends`, which stays the next token.
Block StatementParser::parse_body(std::initializer_list<std::string_view> ends) {
  tokens_.skip_symbol(":");
  tokens_.expect(Token::Kind::block_end);
  return parse_until(ends);
}

Block StatementParser::parse_whole_body(std::string_view end) {
  Block body = parse_body({end});
  tokens_.expect_name(end);
  return body;
}

void StatementParser::parse_tag(Block& block) {
  if (tokens_.look().kind != Token::Kind::name) tokens_.fail_expected("the name of a tag");
  const int line = tokens_.look().line;
  const std::string tag = tokens_.next().text;
  if (tag == "print") return parse_print(block);
  Statement statement = [&] {
    if (tag == "if") return parse_if();
    if (tag == "for") return parse_for();
    if (tag == "set") return parse_set();
    if (tag == "macro") return parse_macro();
    if (tag == "call") return parse_call_block();
    if (tag == "filter") return parse_filter_block();
    if (tag == "with") return parse_with();
    if (tag == "generation" || tag == "block") return parse_scope(tag);
    if (tag == "break") return parse_jump(Kind::leave_loop);
    if (tag == "continue") return parse_jump(Kind::next_round);
    for (const std::string_view refused : {"include", "import", "from", "extends"})
      if (tag == refused) fail_at(line, cat("'", tag, "' is not allowed in a chat template"));
    fail_at(line, cat("an unknown or misplaced tag '", printable(tag), "'"));
  }();
  statement.line = line;
  block.push_back(std::move(statement));
}

void StatementParser::parse_print(Block& block) {
  bool first = true;
  while (tokens_.look().kind != Token::Kind::block_end) {
    if (!std::exchange(first, false)) tokens_.expect_symbol(",");
    Statement output = make(Kind::output);
    output.expressions.push_back(expressions_.parse_expression());
    block.push_back(std::move(output));
  }
}

Statement StatementParser::parse_if() {
  Statement choice = make(Kind::choice);
  while (true) {
    choice.expressions.push_back(expressions_.parse_tuple(false));
    choice.blocks.push_back(parse_body({"elif", "else", "endif"}));
    const std::string end = tokens_.next().text;
    if (end == "endif") return choice;
    if (end == "elif") continue;
    choice.blocks.push_back(parse_whole_body("endif"));
    return choice;
  }
}

Statement StatementParser::parse_for() {
  Statement loop = make(Kind::loop);
  loop.target = parse_target(false);
  tokens_.expect_name("in");
  loop.expressions.push_back(expressions_.parse_tuple(false));
  loop.expressions.push_back(tokens_.skip_name("if") ? expressions_.parse_expression() : nullptr);
  tokens_.skip_name("recursive");  // calling `loop` is refused when it happens
  ++loops_;
  loop.blocks.push_back(parse_body({"else", "endfor"}));
  --loops_;
  if (tokens_.next().text == "else") loop.blocks.push_back(parse_whole_body("endfor"));
  return loop;
}

Statement StatementParser::parse_set() {
  Statement set = make(Kind::assignment);
  set.target = parse_target(true);
  if (tokens_.skip_symbol("=")) {
    set.expressions.push_back(expressions_.parse_tuple(true));
    return set;
  }
  set.kind = Kind::capture;
  set.expressions.push_back(expressions_.parse_block_filters(false));
  set.blocks.push_back(parse_whole_body("endset"));
  return set;
}

std::vector<Parameter> StatementParser::parse_parameters() {
  std::vector<Parameter> parameters;
  tokens_.expect_symbol("(");
  while (!tokens_.at_symbol(")")) {
    if (!parameters.empty()) tokens_.expect_symbol(",");
    if (tokens_.at_symbol(")")) break;
    const Token name = tokens_.expect(Token::Kind::name);
    Parameter parameter{expressions_.symbol_of(name.text), name.text, nullptr};
    if (tokens_.skip_symbol("="))
      parameter.fallback = expressions_.parse_expression();
    else if (!parameters.empty() && parameters.back().fallback)
      fail_at(name.line, "a parameter without a default follows one with a default");
    parameters.push_back(std::move(parameter));
  }
  tokens_.expect_symbol(")");
  return parameters;
}

Block StatementParser::parse_macro_body(MacroSyntax& macro, std::string_view end) {
  std::vector<std::string> outer_names = std::exchange(expressions_.names_read(), {});
  const int outer_loops = std::exchange(loops_, 0);
  Block body = parse_whole_body(end);
  loops_ = outer_loops;
  std::vector<std::string>& names = expressions_.names_read();
  const auto reads = [&names](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  macro.takes_more = reads("varargs");
  macro.takes_named = reads("kwargs");
  macro.takes_caller = reads("caller");
  names = std::move(outer_names);
  return body;
}

Statement StatementParser::parse_macro() {
  Statement macro = make(Kind::macro);
  macro.macro.name = tokens_.expect(Token::Kind::name).text;
  macro.symbol = expressions_.symbol_of(macro.macro.name);
  macro.macro.parameters = parse_parameters();
  macro.blocks.push_back(parse_macro_body(macro.macro, "endmacro"));
  return macro;
}

Statement StatementParser::parse_call_block() {
  Statement call = make(Kind::call_block);
  call.macro.name = "caller";
  if (tokens_.at_symbol("(")) call.macro.parameters = parse_parameters();
  call.expressions.push_back(expressions_.parse_expression());
  if (call.expressions[0]->kind != Expression::Kind::call)
    fail_at(call.line, "expected a call after 'call'");
  call.blocks.push_back(parse_macro_body(call.macro, "endcall"));
  return call;
}

Statement StatementParser::parse_filter_block() {
  Statement filter = make(Kind::filter_block);
  filter.expressions.push_back(expressions_.parse_block_filters(true));
  filter.blocks.push_back(parse_whole_body("endfilter"));
  return filter;
}

Statement StatementParser::parse_with() {
  Statement with = make(Kind::with);
  while (tokens_.look().kind != Token::Kind::block_end) {
    if (!with.targets.empty()) tokens_.expect_symbol(",");
    with.targets.push_back(parse_one_target(false));
    tokens_.expect_symbol("=");
    with.expressions.push_back(expressions_.parse_expression());
  }
  with.blocks.push_back(parse_whole_body("endwith"));
  return with;
}

Statement StatementParser::parse_scope(const std::string& tag) {
  Statement scope = make(Kind::scope);
  std::string name;
  if (tag == "block") {
    name = tokens_.expect(Token::Kind::name).text;
    tokens_.skip_name("scoped");
    tokens_.skip_name("required");
  }
  const int outer_loops = std::exchange(loops_, 0);
  scope.blocks.push_back(parse_whole_body("end" + tag));
  loops_ = outer_loops;
  if (tag == "block") tokens_.skip_name(name);
  return scope;
}

Statement StatementParser::parse_jump(Kind kind) {
  if (loops_ == 0) fail_at(tokens_.look().line, "'break' or 'continue' outside of a loop");
  return make(kind);
}

Target StatementParser::parse_one_target(bool with_namespace) {
  if (tokens_.skip_symbol("(")) {
    Target inside = parse_target(with_namespace);
    tokens_.expect_symbol(")");
    return inside;
  }
  const Token name = tokens_.expect(Token::Kind::name);
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"})
    if (name.text == constant) fail_at(name.line, cat("cannot assign to '", constant, "'"));
  Target target;
  target.symbol = expressions_.symbol_of(name.text);
  if (with_namespace && tokens_.skip_symbol("."))
    target.attribute = tokens_.expect(Token::Kind::name).text;
  return target;
}

Target StatementParser::parse_target(bool with_namespace) {
  const Nesting nesting(expressions_.depth(), tokens_.look().line);
  Target first = parse_one_target(with_namespace);
  if (!tokens_.at_symbol(",")) return first;
  Target tuple;
  tuple.is_tuple = true;
  tuple.targets.push_back(std::move(first));
  while (tokens_.skip_symbol(",")) {
    if (tokens_.look().kind != Token::Kind::name && !tokens_.at_symbol("(")) break;
    if (tokens_.at_name("in")) break;
    tuple.targets.push_back(parse_one_target(with_namespace));
  }
  return tuple;
}

}  // namespace

Syntax parse(std::string_view source) {
  if (source.size() > kMaxSourceBytes)
    throw InputError(
        cat("chat template: ", source.size(), " bytes of source, more than ", kMaxSourceBytes));
  return StatementParser(tokenize(source)).run();
}

}  // namespace elenchus::jinja
