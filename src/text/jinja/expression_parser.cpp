#include "text/jinja/expression_parser.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "text/jinja/builtins.h"

namespace elenchus::jinja {
namespace {

std::string_view describe(Token::Kind kind) {
  switch (kind) {
    case Token::Kind::text:
      return "text";
    case Token::Kind::output_begin:
      return "'{{'";
    case Token::Kind::output_end:
      return "'}}'";
    case Token::Kind::block_begin:
      return "'{%'";
    case Token::Kind::block_end:
      return "'%}'";
    case Token::Kind::name:
      return "a name";
    case Token::Kind::string:
      return "a string";
    case Token::Kind::integer:
    case Token::Kind::real:
      return "a number";
    case Token::Kind::symbol:
      return "a symbol";
    case Token::Kind::end:
      return "the end of the template";
  }
  return "";
}

}  // namespace

const Token& TokenStream::look(std::size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token TokenStream::next() {
  Token token = look();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenStream::at_symbol(std::string_view symbol, std::size_t ahead) const {
  return look(ahead).is(Token::Kind::symbol, symbol);
}

bool TokenStream::at_name(std::string_view name, std::size_t ahead) const {
  return look(ahead).is(Token::Kind::name, name);
}

bool TokenStream::skip_symbol(std::string_view symbol) {
  const bool found = at_symbol(symbol);
  if (found) ++at_;
  return found;
}

bool TokenStream::skip_name(std::string_view name) {
  const bool found = at_name(name);
  if (found) ++at_;
  return found;
}

void TokenStream::expect_symbol(std::string_view symbol) {
  if (!skip_symbol(symbol)) fail_expected(cat("'", symbol, "'"));
}

void TokenStream::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_expected(cat("'", name, "'"));
}

Token TokenStream::expect(Token::Kind kind) {
  if (look().kind != kind) fail_expected(describe(kind));
  return next();
}

void TokenStream::fail_expected(std::string_view expected) const {
  const Token& token = look();
  const bool shows = token.kind == Token::Kind::name || token.kind == Token::Kind::symbol;
  fail_at(token.line,
          cat("expected ", expected, ", found ",
              shows ? cat("'", printable(token.text), "'") : std::string(describe(token.kind))));
}

Nesting::Nesting(int& depth, int line) : depth_(depth) {
  if (depth_ >= kMaxSyntaxDepth) fail_at(line, cat("nested more than ", kMaxSyntaxDepth, " deep"));
  ++depth_;
}

ExpressionPtr ExpressionParser::make(Kind kind, int line) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = line;
  return made;
}

ExpressionPtr ExpressionParser::make(Kind kind, int line, ExpressionPtr first,
                                     ExpressionPtr second) const {
  ExpressionPtr made = make(kind, line);
  add_part(*made, std::move(first));
  if (second) add_part(*made, std::move(second));
  return made;
}

void ExpressionParser::add_part(Expression& parent, ExpressionPtr part) const {
  if (part) parent.depth = std::max(parent.depth, part->depth + 1);
  if (parent.depth > kMaxSyntaxDepth)
    fail_at(parent.line, cat("an expression nested more than ", kMaxSyntaxDepth, " deep"));
  parent.parts.push_back(std::move(part));
}

Symbol ExpressionParser::symbol_of(const std::string& name) {
  const auto [found, is_new] = symbols_.try_emplace(name, Symbol(syntax_.names.size()));
  if (is_new) syntax_.names.push_back(name);
  return found->second;
}

ExpressionPtr ExpressionParser::parse_expression() {
  ExpressionPtr left = parse_disjunction();
  while (tokens_.at_name("if")) {
    const int line = tokens_.next().line;
    ExpressionPtr condition = parse_disjunction();
    const Nesting nesting(depth_, line);
    ExpressionPtr otherwise = tokens_.skip_name("else") ? parse_expression() : nullptr;
    left = make(Kind::conditional, line, std::move(left), std::move(condition));
    add_part(*left, std::move(otherwise));
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_disjunction() {
  ExpressionPtr left = parse_conjunction();
  while (tokens_.at_name("or")) {
    const int line = tokens_.next().line;
    left = make(Kind::either, line, std::move(left), parse_conjunction());
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_conjunction() {
  ExpressionPtr left = parse_negation();
  while (tokens_.at_name("and")) {
    const int line = tokens_.next().line;
    left = make(Kind::both, line, std::move(left), parse_negation());
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_negation() {
  if (!tokens_.at_name("not")) return parse_comparison();
  const int line = tokens_.next().line;
  const Nesting nesting(depth_, line);
  return make(Kind::negated, line, parse_negation());
}

bool ExpressionParser::at_comparison() const {
  if (tokens_.at_name("in") || (tokens_.at_name("not") && tokens_.at_name("in", 1))) return true;
  for (const std::string_view symbol : {"==", "!=", "<", "<=", ">", ">="})
    if (tokens_.at_symbol(symbol)) return true;
  return false;
}

Operator ExpressionParser::take_comparison() {
  const Token token = tokens_.next();
  if (token.text == "not") {
    tokens_.next();
    return Operator::not_in;
  }
  if (token.text == "in") return Operator::in;
  if (token.text == "==") return Operator::equal;
  if (token.text == "!=") return Operator::not_equal;
  if (token.text == "<") return Operator::less;
  if (token.text == "<=") return Operator::less_equal;
  return token.text == ">" ? Operator::greater : Operator::greater_equal;
}

ExpressionPtr ExpressionParser::parse_comparison() {
  ExpressionPtr left = parse_sum();
  if (!at_comparison()) return left;
  ExpressionPtr comparison = make(Kind::comparison, tokens_.look().line, std::move(left));
  while (at_comparison()) {
    comparison->operators.push_back(take_comparison());
    add_part(*comparison, parse_sum());
  }
  return comparison;
}

ExpressionPtr ExpressionParser::parse_sum() {
  ExpressionPtr left = parse_concatenation();
  while (tokens_.at_symbol("+") || tokens_.at_symbol("-")) {
    const Token token = tokens_.next();
    left = make(Kind::arithmetic, token.line, std::move(left), parse_concatenation());
    left->operators = {token.text == "+" ? Operator::add : Operator::subtract};
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_concatenation() {
  ExpressionPtr first = parse_product();
  if (!tokens_.at_symbol("~")) return first;
  ExpressionPtr all = make(Kind::concatenation, tokens_.look().line, std::move(first));
  while (tokens_.skip_symbol("~")) add_part(*all, parse_product());
  return all;
}

ExpressionPtr ExpressionParser::parse_product() {
  ExpressionPtr left = parse_power();
  while (true) {
    Operator by;
    if (tokens_.at_symbol("*"))
      by = Operator::multiply;
    else if (tokens_.at_symbol("/"))
      by = Operator::divide;
    else if (tokens_.at_symbol("//"))
      by = Operator::floor_divide;
    else if (tokens_.at_symbol("%"))
      by = Operator::modulo;
    else
      return left;
    const int line = tokens_.next().line;
    left = make(Kind::arithmetic, line, std::move(left), parse_power());
    left->operators = {by};
  }
}

ExpressionPtr ExpressionParser::parse_power() {
  ExpressionPtr left = parse_unary(true);
  while (tokens_.at_symbol("**")) {
    const int line = tokens_.next().line;
    left = make(Kind::arithmetic, line, std::move(left), parse_unary(true));
    left->operators = {Operator::power};
  }
  return left;
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
  const int line = tokens_.look().line;
  const Nesting nesting(depth_, line);
  ExpressionPtr node;
  if (tokens_.skip_symbol("-"))
    node = make(Kind::negative, line, parse_unary(false));
  else if (tokens_.skip_symbol("+"))
    node = make(Kind::positive, line, parse_unary(false));
  else
    node = parse_primary();
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::parse_primary() {
  const Token& token = tokens_.look();
  const int line = token.line;
  if (token.kind == Token::Kind::string) return parse_string();
  if (token.kind == Token::Kind::integer || token.kind == Token::Kind::real) {
    ExpressionPtr number = make(token.kind == Token::Kind::real ? Kind::real : Kind::integer, line);
    number->integer = token.integer;
    number->real = token.real;
    tokens_.next();
    return number;
  }
  if (tokens_.skip_symbol("(")) {
    ExpressionPtr inside = parse_tuple(true, true);
    tokens_.expect_symbol(")");
    return inside;
  }
  if (tokens_.at_symbol("[")) return parse_list();
  if (tokens_.at_symbol("{")) return parse_dict();
  if (token.kind != Token::Kind::name) tokens_.fail_expected("an expression");
  ExpressionPtr variable = make(Kind::name, line);
  variable->text = token.text;
  const std::string_view name = variable->text;
  tokens_.next();
  if (name == "none" || name == "None") return make(Kind::none, line);
  const bool is_true = name == "true" || name == "True";
  if (is_true || name == "false" || name == "False") {
    ExpressionPtr constant = make(Kind::boolean, line);
    constant->integer = is_true;
    return constant;
  }
  variable->symbol = symbol_of(variable->text);
  names_read_.push_back(variable->text);
  return variable;
}

ExpressionPtr ExpressionParser::parse_string() {
  ExpressionPtr literal = make(Kind::string, tokens_.look().line);
  while (tokens_.look().kind == Token::Kind::string) literal->text += tokens_.next().text;
  literal->integer = syntax_.literals++;
  return literal;
}

bool ExpressionParser::at_tuple_end(bool parenthesized) const {
  const Token::Kind kind = tokens_.look().kind;
  return kind == Token::Kind::output_end || kind == Token::Kind::block_end ||
         tokens_.at_symbol(")") || (!parenthesized && tokens_.at_name("recursive"));
}

ExpressionPtr ExpressionParser::parse_tuple(bool with_condition, bool parenthesized) {
  const int line = tokens_.look().line;
  const auto parse = [&] { return with_condition ? parse_expression() : parse_disjunction(); };
  if (at_tuple_end(parenthesized)) {
    if (!parenthesized) tokens_.fail_expected("an expression");
    return make(Kind::tuple, line);
  }
  ExpressionPtr first = parse();
  if (!tokens_.at_symbol(",")) return first;
  ExpressionPtr tuple = make(Kind::tuple, line, std::move(first));
  while (tokens_.skip_symbol(",")) {
    if (at_tuple_end(parenthesized)) break;
    add_part(*tuple, parse());
  }
  return tuple;
}

ExpressionPtr ExpressionParser::parse_list() {
  ExpressionPtr list = make(Kind::list, tokens_.next().line);
  while (!tokens_.at_symbol("]")) {
    if (!list->parts.empty()) tokens_.expect_symbol(",");
    if (tokens_.at_symbol("]")) break;
    add_part(*list, parse_expression());
  }
  tokens_.expect_symbol("]");
  return list;
}

ExpressionPtr ExpressionParser::parse_dict() {
  ExpressionPtr dict = make(Kind::dict, tokens_.next().line);
  while (!tokens_.at_symbol("}")) {
    if (!dict->parts.empty()) tokens_.expect_symbol(",");
    if (tokens_.at_symbol("}")) break;
    add_part(*dict, parse_expression());
    tokens_.expect_symbol(":");
    add_part(*dict, parse_expression());
  }
  tokens_.expect_symbol("}");
  return dict;
}

}  // namespace elenchus::jinja
