// `text % arguments` and text.format(arguments). Texts put in whole keep their marks.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

// What Python takes for a mapping here, of which a format need use nothing.
bool has_items(const Value& value) {
  const Sequence* sequence = value.sequence();
  return value.dict() || value.is_undefined() ||
         (sequence &&
          (sequence->kind == SequenceKind::list || sequence->kind == SequenceKind::range));
}

/// The format of `%`: one pass over the text.
class PercentFormat {
 public:
  PercentFormat(Budget& budget, const Text& text, const Value& arguments)
      : budget_(budget), text_(text), arguments_(arguments), out_(budget) {
    const Sequence* tuple = arguments.sequence();
    if (tuple && (tuple->kind == SequenceKind::tuple || tuple->kind == SequenceKind::group))
      items_ = tuple->items;
    else
      items_ = {arguments};
  }
  Value run();

 private:
  Value next() {
    if (used_ >= items_.size()) budget_.fail("too few arguments for a format");
    return items_[used_++];
  }
  std::size_t convert(std::size_t at);
  std::int64_t star_or_number(std::size_t& at);
  void append_converted(const Value& value, char type, Spec& spec);

  Budget& budget_;
  const Text& text_;
  const Value& arguments_;
  TextBuilder out_;
  std::vector<Value> items_;
  std::size_t used_ = 0;
};

Value PercentFormat::run() {
  const std::string& bytes = text_.bytes;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t percent = std::min(bytes.find('%', at), bytes.size());
    out_.append(text_, at, percent);
    at = percent < bytes.size() ? convert(percent + 1) : percent;
  }
  if (used_ < items_.size() && !has_items(arguments_))
    budget_.fail("a format does not use all its arguments");
  return made_from(text_, out_.finish());
}

std::int64_t PercentFormat::star_or_number(std::size_t& at) {
  if (at >= text_.bytes.size() || text_.bytes[at] != '*')
    return read_number(budget_, text_.bytes, at);
  ++at;
  const Value value = next();
  if (!value.integer() || *value.integer() < 0) budget_.fail("'*' of a format needs an integer");
  return *value.integer();
}

std::size_t PercentFormat::convert(std::size_t at) {
  const std::string& bytes = text_.bytes;
  Spec spec;
  spec.align = '>';
  Value keyed;
  bool has_key = false;
  if (at < bytes.size() && bytes[at] == '(') {
    const std::size_t end = bytes.find(')', at);
    if (end == std::string::npos || !arguments_.dict())
      budget_.fail("a format by name needs a dict");
    const Value* found =
        arguments_.dict()->find(std::string_view(bytes).substr(at + 1, end - at - 1));
    if (!found) budget_.fail("a format names what its dict does not have");
    keyed = *found;
    has_key = true;
    at = end + 1;
  }
  for (; at < bytes.size() && std::string_view("-+ 0#").find(bytes[at]) != std::string_view::npos;
       ++at) {
    if (bytes[at] == '-') spec.align = '<';
    if (bytes[at] == '+' || (bytes[at] == ' ' && spec.sign != '+')) spec.sign = bytes[at];
    if (bytes[at] == '0') spec.fill = "0";
    if (bytes[at] == '#') spec.alternate = true;
  }
  spec.width = star_or_number(at);
  if (at < bytes.size() && bytes[at] == '.') spec.precision = star_or_number(++at);
  if (at >= bytes.size()) budget_.fail("a format ends after '%'");
  const char type = bytes[at];
  if (type == '%')
    out_.append("%");
  else
    append_converted(has_key ? keyed : next(), type, spec);
  return at + 1;
}

void PercentFormat::append_converted(const Value& value, char type, Spec& spec) {
  if (type == 's' || type == 'r' || type == 'a') {
    Value text = type == 's' ? to_text(budget_, value) : to_repr(budget_, value);
    if (text_.markup()) text = escape(budget_, text);
    spec.fill = " ";
    spec.sign = '\0';
    spec.type = 's';
    return append_value(out_, text, spec);
  }
  // Markup hands its arguments on in a shell that is neither a character nor an index.
  if (text_.markup() && std::string_view("oxXc").find(type) != std::string_view::npos)
    budget_.fail(cat("'%", type, "' in a text that is marked safe"));
  if (type == 'c' && value.text()) {
    if (value.text()->length != 1) budget_.fail("format 'c' needs one character");
    return append_padded(out_, value, spec, '>');
  }
  if (std::string_view("diuoxXeEfFgGc").find(type) == std::string_view::npos)
    budget_.fail("an unknown conversion after '%'");
  if (!value.number()) budget_.fail(cat("'%", type, "' of a ", type_name(value)));
  if (spec.fill == "0") spec.align = spec.align == '<' ? '<' : '=';
  if (spec.align == '<') spec.fill = " ";
  const bool whole = type == 'd' || type == 'i' || type == 'u';
  spec.type = whole ? 'd' : type;
  if (!whole || !value.is_real()) return append_value(out_, value, spec);
  const double real = std::trunc(*value.number());
  if (!(std::fabs(real) < 9e18)) budget_.fail("'%d' of a number that is too large");
  append_value(out_, std::int64_t(real), spec);
}

/// text.format(...): fields in braces, their attributes and items, and their formats.
class BraceFormat {
 public:
  BraceFormat(Budget& budget, const Arguments& arguments)
      : budget_(budget), arguments_(arguments) {}
  Value run(const Text& text, int depth);

 private:
  std::size_t append_field(TextBuilder& out, const Text& text, std::size_t begin, int depth);
  Value field_value(const std::string& field);
  void append_formatted(TextBuilder& out, const Value& value, const std::string& spec,
                        TextKind kind);
  Value first_value(const std::string& name);
  Spec parse_spec(const std::string& bytes);

  Budget& budget_;
  const Arguments& arguments_;
  std::int64_t automatic_ = 0;  // the next unnumbered field; -1 after a numbered one
};

Value BraceFormat::run(const Text& text, int depth) {
  TextBuilder out(budget_);
  const std::string& bytes = text.bytes;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    out.append(text, at, brace);
    if (brace == bytes.size()) break;
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
      out.append(text, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    if (bytes[brace] == '}' || depth > 1) budget_.fail("format: a single brace");
    at = append_field(out, text, brace + 1, depth);
  }
  return out.finish();
}

// A field that starts after its brace. Gives the byte after its end.
std::size_t BraceFormat::append_field(TextBuilder& out, const Text& text, std::size_t begin,
                                      int depth) {
  const std::string& bytes = text.bytes;
  std::size_t end = begin;
  for (int open = 1;; ++end) {
    if (end >= bytes.size()) budget_.fail("format: a brace is not closed");
    open += bytes[end] == '{' ? 1 : bytes[end] == '}' ? -1 : 0;
    if (open == 0) break;
  }
  const std::string field = bytes.substr(begin, end - begin);
  const std::size_t name_end = std::min(field.find_first_of("!:"), field.size());
  Value value = field_value(field.substr(0, name_end));
  std::size_t at = name_end;
  if (at < field.size() && field[at] == '!') {
    const std::string_view conversion = std::string_view(field).substr(at + 1, 1);
    if (conversion == "r" || conversion == "a")
      value = to_repr(budget_, value);
    else if (conversion == "s")
      value = to_text(budget_, value);
    else
      budget_.fail("format: an unknown conversion after '!'");
    at += 2;
  }
  std::string spec;
  if (at < field.size()) {
    if (field[at] != ':') budget_.fail("format: ':' is expected after a conversion");
    spec = field.substr(at + 1);
  }
  if (spec.find('{') != std::string::npos)
    spec = run(*made_from(text, make_text(budget_, spec)).text(), depth + 1).text()->bytes;
  append_formatted(out, value, spec, text.kind);
  return end + 1;
}

// Markup takes Markup as it is and escapes all else.
void BraceFormat::append_formatted(TextBuilder& out, const Value& value, const std::string& spec,
                                   TextKind kind) {
  if (kind == TextKind::plain) return append_value(out, value, parse_spec(spec));
  const bool is_markup = value.text() && value.text()->markup();
  if (is_markup && !spec.empty()) budget_.fail("format: a specification for a text marked safe");
  TextBuilder formatted(budget_);
  append_value(formatted, value, parse_spec(spec));
  const Value text = formatted.finish();
  out.append(is_markup ? *value.text() : *escape_all(*text.text()).text());
}

Value BraceFormat::first_value(const std::string& name) {
  std::int64_t index = 0;
  const bool numbered = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
  if (name.empty()) {
    if (automatic_ < 0) budget_.fail("format: numbered and unnumbered fields are mixed");
    index = automatic_++;
  } else if (numbered) {
    if (automatic_ > 0) budget_.fail("format: numbered and unnumbered fields are mixed");
    automatic_ = -1;
    std::size_t at = 0;
    index = read_number(budget_, name, at);
  } else {
    for (const auto& [key, value] : arguments_.named)
      if (key == name) return value;
    budget_.fail(cat("format: there is no argument '", printable(name), "'"));
  }
  if (index >= std::int64_t(arguments_.positional.size()))
    budget_.fail("format: too few arguments");
  return arguments_.positional[std::size_t(index)];
}

Value BraceFormat::field_value(const std::string& field) {
  std::size_t at = std::min(field.find_first_of(".["), field.size());
  Value value = first_value(field.substr(0, at));
  while (at < field.size()) {
    const bool is_item = field[at] == '[';
    const std::size_t end =
        is_item ? field.find(']', at) : std::min(field.find_first_of(".[", at + 1), field.size());
    if (end == std::string::npos) budget_.fail("format: a '[' is not closed");
    const std::string name = field.substr(at + 1, end - at - 1);
    if (name.empty()) budget_.fail("format: an empty attribute");
    std::size_t digits = 0;
    if (!is_item)
      value = get_attribute(budget_, value, name);
    else if (name.find_first_not_of("0123456789") == std::string::npos)
      value = get_item(budget_, value, read_number(budget_, name, digits));
    else
      value = get_item(budget_, value, make_text(budget_, name));
    at = end + is_item;
    if (at < field.size() && field[at] != '.' && field[at] != '[')
      budget_.fail("format: a malformed field");
  }
  return value;
}

Spec BraceFormat::parse_spec(const std::string& bytes) {
  constexpr std::string_view kAligns = "<>^=";
  const auto is_align = [&](std::size_t i) {
    return i < bytes.size() && kAligns.find(bytes[i]) != std::string_view::npos;
  };
  Spec spec;
  std::size_t at = 0;
  const std::size_t fill_end = bytes.empty() ? 0 : next_code_point(bytes, 0);
  const bool has_fill = is_align(fill_end);
  if (has_fill) {
    spec.fill = bytes.substr(0, fill_end);
    spec.align = bytes[fill_end];
    at = fill_end + 1;
  } else if (is_align(0)) {
    spec.align = bytes[at++];
  }
  const auto take = [&](char c) { return at < bytes.size() && bytes[at] == c && ++at; };
  for (const char sign : {'+', '-', ' '})
    if (take(sign)) spec.sign = sign;
  spec.alternate = take('#');
  if (take('0')) {
    if (!has_fill) spec.fill = "0";
    if (!spec.align) spec.align = '=';
  }
  spec.width = read_number(budget_, bytes, at);
  if (take(',')) spec.group = ",";
  if (take('_')) spec.group = "_";
  if (take('.')) spec.precision = read_number(budget_, bytes, at);
  if (at < bytes.size()) spec.type = bytes[at++];
  if (at != bytes.size()) budget_.fail("format: a malformed specification");
  return spec;
}

}  // namespace

Value format_percent(Budget& budget, const Text& text, const Value& arguments) {
  return PercentFormat(budget, text, arguments).run();
}

Value format_braces(Budget& budget, const Text& text, const Arguments& arguments) {
  return BraceFormat(budget, arguments).run(text, 0);
}

}  // namespace elenchus::jinja
