#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

using Kind = Token::Kind;

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) lex_text();
    push(Kind::end, "");
    return std::move(tokens_);
  }

 private:
  bool starts(std::string_view what, std::size_t at) const {
    return std::string_view(source_).substr(std::min(at, source_.size())).starts_with(what);
  }
  void push(Kind kind, std::string text) {
    tokens_.push_back({.kind = kind, .text = std::move(text), .line = line_});
  }
  void advance(std::size_t to) {
    line_ += int(std::count(source_.begin() + std::ptrdiff_t(at_),
                            source_.begin() + std::ptrdiff_t(to), '\n'));
    at_ = to;
  }
  std::size_t after_blanks(std::size_t at) const {
    while (at < source_.size() && is_blank(decode_code_point(source_, at)))
      at = next_code_point(source_, at);
    return at;
  }
  std::size_t find_tag(std::size_t from) const {
    for (std::size_t at = from; (at = source_.find('{', at)) != std::string::npos; ++at)
      if (starts("{{", at) || starts("{%", at) || starts("{#", at)) return at;
    return std::string::npos;
  }

  // Template text up to `end`, where a tag with this sign begins.
  void push_text(std::size_t end, char sign, bool strips_line) {
    std::size_t keep = end;
    if (sign == '-') {
      while (keep > at_) {
        const std::size_t last = previous_code_point(source_, keep);
        if (last < at_ || !is_blank(decode_code_point(source_, last))) break;
        keep = last;
      }
    } else if (sign != '+' && strips_line) {
      const std::string_view text = std::string_view(source_).substr(at_, end - at_);
      const std::size_t line_begin =
          text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1;
      const bool line_starts = line_begin > 0 || at_ == 0 || source_[at_ - 1] == '\n';
      if (line_starts && after_blanks(at_ + line_begin) >= end) keep = at_ + line_begin;
    }
    if (keep > at_) push(Kind::text, source_.substr(at_, keep - at_));
    advance(end);
  }

  void lex_text() {
    const std::size_t tag = find_tag(at_);
    if (tag == std::string::npos) {
      push(Kind::text, source_.substr(at_));
      return advance(source_.size());
    }
    const char type = source_[tag + 1];
    char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    const std::size_t inside = tag + 2 + (sign != '\0');
    push_text(tag, sign, type != '{');
    if (type == '#') return skip_comment(inside);
    if (type == '%') {
      if (const auto body = raw_begin(inside)) return lex_raw(*body);
    }
    push(type == '%' ? Kind::block_begin : Kind::output_begin, "");
    advance(inside);
    lex_tag(type);
  }

  // One that begins with the last bytes of all needs no end: so does a raw block.
  void skip_comment(std::size_t inside) {
    if (inside >= source_.size()) return advance(source_.size());
    const std::size_t end = source_.find("#}", inside);
    if (end == std::string::npos) fail_at(line_, "a comment is not closed by '#}'");
    const char sign = end > inside ? source_[end - 1] : '\0';
    advance(after_block_end(end, sign));
  }

  // Where the text goes on after a `%}` or `#}` at `end`.
  std::size_t after_block_end(std::size_t end, char sign) const {
    if (sign == '-') return after_blanks(end + 2);
    return end + 2 + (sign != '+' && starts("\n", end + 2));
  }

  std::optional<std::size_t> raw_begin(std::size_t inside) const {
    std::size_t at = after_blanks(inside);
    if (!starts("raw", at)) return std::nullopt;
    at = after_blanks(at + 3);
    if (starts("-%}", at)) return after_blanks(at + 3);
    if (starts("%}", at)) return at + 2;
    return std::nullopt;
  }

  void lex_raw(std::size_t body) {
    const int opened = line_;
    advance(body);
    if (body >= source_.size()) return;
    for (std::size_t tag = body; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
      char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      if (sign != '-' && sign != '+') sign = '\0';
      std::size_t at = after_blanks(tag + 2 + (sign != '\0'));
      if (!starts("endraw", at)) continue;
      at = after_blanks(at + 6);
      const char end_sign = starts("-%}", at) ? '-' : starts("+%}", at) ? '+' : '\0';
      at += end_sign != '\0';
      if (!starts("%}", at)) continue;
      push_text(tag, sign, true);
      return advance(after_block_end(at, end_sign));
    }
    fail_at(opened, "a raw block is not closed by '{% endraw %}'");
  }

  void lex_tag(char type) {
    const int opened = line_;
    std::string open_brackets;
    while (true) {
      advance(after_blanks(at_));
      if (at_ >= source_.size())
        fail_at(opened, cat("a tag is not closed by '", type == '%' ? "%}" : "}}", "'"));
      if (open_brackets.empty() && lex_tag_end(type)) return;
      const char c = source_[at_];
      if (is_digit(c)) {
        lex_number();
      } else if (c == '\'' || c == '"') {
        lex_string();
      } else if (is_word(decode_code_point(source_, at_))) {
        lex_name();
      } else {
        lex_symbol(open_brackets);
      }
    }
  }

  bool lex_tag_end(char type) {
    if (type == '{') {
      if (starts("-}}", at_))
        push_end(Kind::output_end, after_blanks(at_ + 3));
      else if (starts("}}", at_))
        push_end(Kind::output_end, at_ + 2);
      else
        return false;
      return true;
    }
    const bool signed_end = starts("-%}", at_) || starts("+%}", at_);
    if (!signed_end && !starts("%}", at_)) return false;
    push_end(Kind::block_end, after_block_end(at_ + signed_end, signed_end ? source_[at_] : '\0'));
    return true;
  }

  void push_end(Kind kind, std::size_t to) {
    push(kind, "");
    advance(to);
  }

  void lex_name() {
    std::size_t end = at_;
    while (end < source_.size() && is_word(decode_code_point(source_, end)))
      end = next_code_point(source_, end);
    push(Kind::name, source_.substr(at_, end - at_));
    advance(end);
  }

  void lex_number();
  void lex_string();
  void lex_symbol(std::string& open_brackets);
  std::size_t append_escape(std::string& out, std::size_t at) const;
  std::size_t digits_end(std::size_t at) const;

  const std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

// After the digits at `at`, single underscores between them allowed.
std::size_t Lexer::digits_end(std::size_t at) const {
  while (at < source_.size()) {
    if (is_digit(source_[at]))
      ++at;
    else if (source_[at] == '_' && at + 1 < source_.size() && is_digit(source_[at + 1]))
      at += 2;
    else
      break;
  }
  return at;
}

void Lexer::lex_number() {
  int base = 10;
  std::size_t begin = at_;
  if (source_[at_] == '0' && at_ + 2 < source_.size()) {
    const char letter = char(source_[at_ + 1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    if (base != 10) begin += 2;
  }
  std::size_t end = begin;
  bool real = false;
  if (base == 16) {
    while (end < source_.size() &&
           (std::isxdigit(static_cast<unsigned char>(source_[end])) || source_[end] == '_'))
      ++end;
  } else {
    end = digits_end(begin);
  }
  if (base == 10) {
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      real = true;
      end = digits_end(end + 1);
    }
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      const bool has_sign =
          end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
      const std::size_t exponent = end + 1 + has_sign;
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        real = true;
        end = digits_end(exponent);
      }
    }
  }
  std::string digits = source_.substr(begin, end - begin);
  std::erase(digits, '_');
  Token token{.kind = real ? Kind::real : Kind::integer, .text = digits, .line = line_};
  const char *first = digits.data(), *last = first + digits.size();
  const auto result = real ? std::from_chars(first, last, token.real)
                           : std::from_chars(first, last, token.integer, base);
  if (result.ec != std::errc() || result.ptr != last)
    fail_at(line_, cat("the number '", printable(digits), "' is too large or malformed"));
  tokens_.push_back(std::move(token));
  advance(end);
}

// The escape at `at`, just after the backslash, as Python reads it. Gives the byte after it.
std::size_t Lexer::append_escape(std::string& out, std::size_t at) const {
  constexpr std::string_view kLetters = "\n\\'\"abfnrtv";
  constexpr std::string_view kMeanings = {"\0\\'\"\a\b\f\n\r\t\v", 11};
  const char c = source_[at];
  if (c == '\n') return at + 1;
  if (const std::size_t found = kLetters.find(c); found != std::string_view::npos) {
    out.push_back(kMeanings[found]);
    return at + 1;
  }
  const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  const bool octal = c >= '0' && c <= '7';
  if (digits == 0 && !octal) {
    if (c == 'N') fail_at(line_, "the escape '\\N' is not supported");
    out.push_back('\\');
    return at;
  }
  const char* first = source_.data() + at + (octal ? 0 : 1);
  const char* last = std::min(first + (octal ? 3 : digits), source_.data() + source_.size());
  std::uint32_t code_point = 0;
  const auto result = std::from_chars(first, last, code_point, octal ? 8 : 16);
  const bool complete = octal || result.ptr == first + digits;
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (result.ec != std::errc() || !complete || surrogate || code_point > 0x10FFFF)
    fail_at(line_, "a malformed escape in a string");
  append_code_point(out, std::int32_t(code_point));
  return std::size_t(result.ptr - source_.data());
}

void Lexer::lex_string() {
  const char quote = source_[at_];
  std::string text;
  std::size_t at = at_ + 1;
  while (at < source_.size() && source_[at] != quote) {
    if (source_[at] == '\\' && at + 1 < source_.size()) {
      at = append_escape(text, at + 1);
    } else {
      text.push_back(source_[at++]);
    }
  }
  if (at >= source_.size()) fail_at(line_, cat("a string is not closed by ", quote));
  push(Kind::string, std::move(text));
  advance(at + 1);
}

void Lexer::lex_symbol(std::string& open_brackets) {
  for (const std::string_view symbol : {"//", "**", "==", "!=", ">=", "<="}) {
    if (!starts(symbol, at_)) continue;
    push(Kind::symbol, std::string(symbol));
    return advance(at_ + 2);
  }
  const char c = source_[at_];
  if (std::string_view("+-*/%~[](){}<>=.:|,;").find(c) == std::string_view::npos)
    fail_at(line_, cat("an unexpected character '",
                       printable(source_.substr(at_, next_code_point(source_, at_) - at_)), "'"));
  if (c == '(') open_brackets.push_back(')');
  if (c == '[') open_brackets.push_back(']');
  if (c == '{') open_brackets.push_back('}');
  if (c == ')' || c == ']' || c == '}') {
    if (open_brackets.empty()) fail_at(line_, cat("an unexpected '", c, "'"));
    if (open_brackets.back() != c)
      fail_at(line_, cat("found '", c, "' where '", open_brackets.back(), "' is expected"));
    open_brackets.pop_back();
  }
  push(Kind::symbol, std::string(1, c));
  advance(at_ + 1);
}

}  // namespace

void fail_at(int line, const std::string& message) {
  throw InputError(cat("chat template: line ", line, ": ", message));
}

std::vector<Token> tokenize(std::string_view source) {
  if (const auto bad = find_invalid_utf8(source))
    throw InputError(cat("chat template: byte ", *bad, " is not valid UTF-8"));
  return Lexer(normalize_newlines(source)).run();
}

}  // namespace elenchus::jinja
