#pragma once
// Tokens to expressions, with Jinja's precedences.

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/syntax.h"

namespace elenchus::jinja {

/// The tokens not yet parsed.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  const Token& look(std::size_t ahead = 0) const;
  Token next();
  bool at_symbol(std::string_view symbol, std::size_t ahead = 0) const;
  bool at_name(std::string_view name, std::size_t ahead = 0) const;
  bool skip_symbol(std::string_view symbol);
  bool skip_name(std::string_view name);
  void expect_symbol(std::string_view symbol);
  void expect_name(std::string_view name);
  Token expect(Token::Kind kind);
  [[noreturn]] void fail_expected(std::string_view expected) const;

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// Counts how deep the parser is; InputError past kMaxSyntaxDepth.
class Nesting {
 public:
  Nesting(int& depth, int line);
  ~Nesting() { --depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  int& depth_;
};

class ExpressionParser {
 public:
  ExpressionParser(TokenStream& tokens, Syntax& syntax) : tokens_(tokens), syntax_(syntax) {}

  ExpressionPtr parse_expression();
  /// One expression, or several with commas between them as a tuple. A loop's items and a condition
  /// take no `if`.
  ExpressionPtr parse_tuple(bool with_condition, bool parenthesized = false);
  ExpressionPtr parse_disjunction();
  /// The filters of a filter block or of a set block; `first_is_name`: the first comes without `|`.
  /// Null if none.
  ExpressionPtr parse_block_filters(bool first_is_name);
  Symbol symbol_of(const std::string& name);
  int& depth() { return depth_; }
  /// Names that were read since this was last cleared: a macro asks what its body uses.
  std::vector<std::string>& names_read() { return names_read_; }

 private:
  using Kind = Expression::Kind;
  ExpressionPtr make(Kind kind, int line) const;
  ExpressionPtr make(Kind kind, int line, ExpressionPtr first,
                     ExpressionPtr second = nullptr) const;
  void add_part(Expression& parent, ExpressionPtr part) const;
  ExpressionPtr parse_conjunction();
  ExpressionPtr parse_negation();
  ExpressionPtr parse_comparison();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concatenation();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_string();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr subject);
  ExpressionPtr parse_dot(ExpressionPtr subject);
  ExpressionPtr parse_subscript(ExpressionPtr subject);
  ExpressionPtr parse_call(ExpressionPtr callee);
  ExpressionPtr parse_filters_and_tests(ExpressionPtr subject);
  ExpressionPtr parse_filter(ExpressionPtr subject);
  ExpressionPtr parse_test(ExpressionPtr subject);
  std::string parse_dotted_name();
  void parse_arguments(Expression& call);
  bool at_tuple_end(bool parenthesized) const;
  bool at_comparison() const;
  Operator take_comparison();

  TokenStream& tokens_;
  Syntax& syntax_;
  int depth_ = 0;
  std::vector<std::string> names_read_;
  std::unordered_map<std::string, Symbol> symbols_;
};

}  // namespace elenchus::jinja
