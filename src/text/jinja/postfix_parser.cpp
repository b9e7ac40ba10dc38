// What follows an expression: attributes, subscripts, calls, filters and tests.
#include "base/error.h"
#include "base/file.h"
#include "text/jinja/builtins.h"
#include "text/jinja/expression_parser.h"

namespace elenchus::jinja {

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr subject) {
  while (true) {
    if (tokens_.at_symbol("."))
      subject = parse_dot(std::move(subject));
    else if (tokens_.at_symbol("["))
      subject = parse_subscript(std::move(subject));
    else if (tokens_.at_symbol("("))
      subject = parse_call(std::move(subject));
    else
      return subject;
  }
}

ExpressionPtr ExpressionParser::parse_dot(ExpressionPtr subject) {
  const int line = tokens_.next().line;
  if (tokens_.look().kind == Token::Kind::integer) {
    ExpressionPtr index = make(Kind::integer, line);
    index->integer = tokens_.next().integer;
    return make(Kind::item, line, std::move(subject), std::move(index));
  }
  ExpressionPtr attribute = make(Kind::attribute, line, std::move(subject));
  attribute->text = tokens_.expect(Token::Kind::name).text;
  return attribute;
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr subject) {
  const int line = tokens_.next().line;
  const auto at_end = [this] { return tokens_.at_symbol("]") || tokens_.at_symbol(","); };
  ExpressionPtr start = tokens_.at_symbol(":") ? nullptr : parse_expression();
  if (!tokens_.skip_symbol(":")) {
    if (tokens_.at_symbol(",")) {
      ExpressionPtr tuple = make(Kind::tuple, line, std::move(start));
      while (tokens_.skip_symbol(",")) add_part(*tuple, parse_expression());
      start = std::move(tuple);
    }
    tokens_.expect_symbol("]");
    return make(Kind::item, line, std::move(subject), std::move(start));
  }
  ExpressionPtr slice = make(Kind::slice, line, std::move(subject));
  add_part(*slice, std::move(start));
  add_part(*slice, at_end() || tokens_.at_symbol(":") ? nullptr : parse_expression());
  const bool has_step = tokens_.skip_symbol(":");
  add_part(*slice, !has_step || at_end() ? nullptr : parse_expression());
  tokens_.expect_symbol("]");
  return slice;
}

ExpressionPtr ExpressionParser::parse_call(ExpressionPtr callee) {
  ExpressionPtr call = make(Kind::call, tokens_.look().line, std::move(callee));
  parse_arguments(*call);
  return call;
}

void ExpressionParser::parse_arguments(Expression& call) {
  CallArguments& arguments = call.arguments;
  tokens_.expect_symbol("(");
  bool first = true;
  while (!tokens_.at_symbol(")")) {
    if (!std::exchange(first, false)) {
      tokens_.expect_symbol(",");
      if (tokens_.at_symbol(")")) break;
    }
    if (arguments.all_named) tokens_.fail_expected("')'");
    if (tokens_.skip_symbol("**")) {
      arguments.all_named = parse_expression();
    } else if (!arguments.all_positional && tokens_.skip_symbol("*")) {
      arguments.all_positional = parse_expression();
    } else if (tokens_.look().kind == Token::Kind::name && tokens_.at_symbol("=", 1)) {
      std::string name = tokens_.next().text;
      tokens_.next();
      arguments.named.emplace_back(std::move(name), parse_expression());
    } else {
      if (!arguments.named.empty() || arguments.all_positional)
        tokens_.fail_expected("an argument with a name");
      arguments.positional.push_back(parse_expression());
    }
  }
  tokens_.expect_symbol(")");
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = tokens_.expect(Token::Kind::name).text;
  while (tokens_.skip_symbol(".")) name += "." + tokens_.expect(Token::Kind::name).text;
  return name;
}

ExpressionPtr ExpressionParser::parse_filters_and_tests(ExpressionPtr subject) {
  while (true) {
    if (tokens_.skip_symbol("|"))
      subject = parse_filter(std::move(subject));
    else if (tokens_.skip_name("is"))
      subject = parse_test(std::move(subject));
    else if (tokens_.at_symbol("("))
      subject = parse_call(std::move(subject));
    else
      return subject;
  }
}

ExpressionPtr ExpressionParser::parse_filter(ExpressionPtr subject) {
  ExpressionPtr filter = make(Kind::filter, tokens_.look().line);
  add_part(*filter, std::move(subject));
  filter->text = parse_dotted_name();
  filter->builtin = find_filter(filter->text);
  if (tokens_.at_symbol("(")) parse_arguments(*filter);
  return filter;
}

ExpressionPtr ExpressionParser::parse_block_filters(bool first_is_name) {
  ExpressionPtr filters;
  if (first_is_name) filters = parse_filter(nullptr);
  while (tokens_.skip_symbol("|")) filters = parse_filter(std::move(filters));
  return filters;
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr subject) {
  const int line = tokens_.look().line;
  const bool is_not = tokens_.skip_name("not");
  ExpressionPtr test = make(Kind::test, line, std::move(subject));
  test->text = parse_dotted_name();
  test->builtin = find_test(test->text);
  const Token& next = tokens_.look();
  const bool name = next.kind == Token::Kind::name && next.text != "else" && next.text != "or" &&
                    next.text != "and";
  const bool constant = next.kind == Token::Kind::string || next.kind == Token::Kind::integer ||
                        next.kind == Token::Kind::real || tokens_.at_symbol("[") ||
                        tokens_.at_symbol("{");
  if (tokens_.at_symbol("(")) {
    parse_arguments(*test);
  } else if (name || constant) {
    if (next.text == "is" && name) fail_at(line, "tests cannot be chained by 'is'");
    test->arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  return is_not ? make(Kind::negated, line, std::move(test)) : std::move(test);
}

}  // namespace elenchus::jinja
