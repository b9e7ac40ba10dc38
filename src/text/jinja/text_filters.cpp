// Filters that make texts and numbers.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

using In = Interpreter&;
using Subject = const Value&;
using Args = const Arguments&;

template <Case to>
Value case_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "upper", arguments, {});
  const Value text = to_text(in.budget(), value);
  return made_from(*text.text(), change_case(*text.text(), to));
}

// Jinja's own idea of a title: words begin after blanks, hyphens and opening brackets only.
Value title_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "title", arguments, {});
  const Value text = to_text(in.budget(), value);
  const std::string& bytes = text.text()->bytes;
  in.budget().spend(std::int64_t(bytes.size() / 8));
  const auto parts_words = [&bytes](std::size_t at) {
    return is_blank(decode_code_point(bytes, at)) ||
           std::string_view("-({[<").find(bytes[at]) != std::string_view::npos;
  };
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t end = next_code_point(bytes, at);
    if (parts_words(at)) {
      out.append(bytes, at, end - at);
    } else {
      const std::size_t rest = end;
      while (end < bytes.size() && !parts_words(end)) end = next_code_point(bytes, end);
      out += change_case(std::string_view(bytes).substr(at, rest - at), Case::upper);
      out += change_case(std::string_view(bytes).substr(rest, end - rest), Case::lower);
    }
    at = end;
  }
  return make_text(in.budget(), std::move(out), text.text()->has_input());
}

Value trim_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "trim", arguments, {"chars"});
  const Value text = to_text(in.budget(), value);
  return made_from(*text.text(), strip(*text.text(), bound.text(0), Side::both));
}

Value replace_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "replace", arguments, {"old", "new", "count"}, 2);
  const std::int64_t limit = bound[2] && !bound[2]->is_none() ? bound.integer(2, -1) : -1;
  const Value text = to_text(budget, value), old = to_text(budget, *bound[0]),
              by = to_text(budget, *bound[1]);
  return replace(*text.text(), *old.text(), *by.text(), limit);
}

/// Which lines get a margin too.
struct Indented {
  bool first = false;
  bool blank = false;
};

// In the order in which Jinja adds and joins, which is what decides where Markup escapes.
Value indent(const Text& text, const Text& margin, Indented too) {
  Budget& budget = text.budget();
  const Value newline = made_from(text, make_text(budget, "\n"));
  const Value ended = concatenate(text, *newline.text());
  const Value lines = made_from(text, make_list(budget, split_lines(*ended.text(), false)));
  std::vector<Value> pieces = lines.sequence()->items;
  Value separator = newline;
  if (too.blank) {
    separator = concatenate(*newline.text(), margin);
    if (separator.text()->markup())
      for (Value& piece : pieces) piece = escape(budget, piece);
  } else {
    for (std::size_t i = 1; i < pieces.size(); ++i)
      if (!pieces[i].text()->bytes.empty()) pieces[i] = concatenate(margin, *pieces[i].text());
  }
  const Value indented = made_from(*separator.text(), join(budget, separator.text(), pieces));
  return too.first ? concatenate(margin, *indented.text()) : indented;
}

Value indent_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "indent", arguments, {"width", "first", "blank"});
  if (!value.text()) budget.fail(cat("indent: expected a string, found a ", type_name(value)));
  const Text& text = *value.text();
  Value margin = make_text(budget, " ");
  if (bound[0] && bound[0]->text()) {
    margin = made_from(text, *bound[0]);
  } else {
    TextBuilder blanks(budget);
    blanks.append_repeated(*margin.text(), bound.integer(0, 4));
    margin = made_from(text, blanks.finish());
  }
  return indent(text, *margin.text(),
                {.first = bound.flag(1, false), .blank = bound.flag(2, false)});
}

Value center_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "center", arguments, {"width"});
  const Value text = to_text(in.budget(), value);
  return made_from(*text.text(), pad(*text.text(), bound.integer(0, 80), " ", Side::both));
}

Value truncate_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "truncate", arguments, {"length", "killwords", "end", "leeway"});
  const Value end = bound[2] ? *bound[2] : make_text(budget, "...");
  const std::int64_t length = bound.integer(0, 255);
  const std::int64_t leeway = bound[3] && !bound[3]->is_none() ? bound.integer(3, 0) : 5;
  if (!end.text() || length < std::int64_t(end.text()->length) || leeway < 0)
    budget.fail("truncate: the length is less than that of the end");
  if (length_of(budget, value) - leeway <= length) return value;
  if (!value.text()) budget.fail(cat("truncate: expected a string, found a ", type_name(value)));
  const Text& text = *value.text();
  const std::int64_t kept = length - std::int64_t(end.text()->length);
  Value head = substring(text, 0, byte_of(text, std::size_t(kept)));
  if (!bound.flag(1, false)) {
    const Value blank = make_text(budget, " ");
    head = split(*head.text(), blank.text(), 1, Side::right)[0];
  }
  return concatenate(*made_from(text, head).text(), *end.text());
}

Value escape_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "escape", arguments, {});
  return escape(in.budget(), value);
}

Value force_escape_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "forceescape", arguments, {});
  return escape_all(*to_text(in.budget(), value).text());
}

Value safe_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "safe", arguments, {});
  return as_markup(*to_text(in.budget(), value).text());
}

Value text_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "string", arguments, {});
  return to_text(in.budget(), value);
}

Value wordcount_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "wordcount", arguments, {});
  const Value text = to_text(in.budget(), value);
  const std::string& bytes = text.text()->bytes;
  in.budget().spend(std::int64_t(bytes.size() / 16));
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < bytes.size(); at = next_code_point(bytes, at)) {
    const bool word = is_word(decode_code_point(bytes, at));
    words += word && !inside;
    inside = word;
  }
  return words;
}

Value format_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Value text = to_text(budget, value);
  if (arguments.named.empty())
    return format_percent(budget, *text.text(),
                          make_sequence(budget, SequenceKind::tuple, arguments.positional));
  if (!arguments.positional.empty()) budget.fail("format: arguments with and without names");
  std::vector<Dict::Entry> entries;
  for (const auto& [name, item] : arguments.named)
    entries.emplace_back(make_text(budget, name), item);
  return format_percent(budget, *text.text(), make<Dict>(budget, std::move(entries)));
}

Value tojson_filter(In in, Subject value, Args arguments) {
  Budget& budget = in.budget();
  const Bound bound(budget, "tojson", arguments,
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (bound[1] && !bound[1]->is_none()) {
    style.indented = true;
    style.item_separator = ",";
    constexpr std::int64_t kMaxIndent = 1000;
    style.indent =
        bound[1]->text()
            ? bound[1]->text()->bytes
            : std::string(std::size_t(std::clamp<std::int64_t>(bound.integer(1, 0), 0, kMaxIndent)),
                          ' ');
  }
  if (bound[2] && !bound[2]->is_none()) {
    const std::vector<Value> pair = iterate(budget, *bound[2]);
    if (pair.size() != 2 || !pair[0].text() || !pair[1].text())
      budget.fail("tojson: separators are not two strings");
    style.item_separator = pair[0].text()->bytes;
    style.key_separator = pair[1].text()->bytes;
  }
  return to_json(budget, value, style);
}

// A number written in a text, as Python's float() and int() read it: blanks around it are allowed.
std::string number_text(const Text& text) {
  const Value stripped = strip(text, nullptr, Side::both);
  std::string bytes = stripped.text()->bytes;
  for (std::size_t i = 1; i + 1 < bytes.size(); ++i)
    if (bytes[i] == '_' && std::isdigit(static_cast<unsigned char>(bytes[i - 1])) &&
        std::isdigit(static_cast<unsigned char>(bytes[i + 1])))
      bytes.erase(i, 1);
  if (bytes.starts_with('+') && bytes.size() > 1 && bytes[1] != '-') bytes.erase(0, 1);
  return bytes;
}

std::optional<double> read_real(const Value& value) {
  if (!value.text()) return value.number();
  const std::string bytes = number_text(*value.text());
  double real = 0;
  const auto result = std::from_chars(bytes.data(), bytes.data() + bytes.size(), real);
  if (result.ec != std::errc() || result.ptr != bytes.data() + bytes.size()) return std::nullopt;
  return real;
}

std::optional<std::int64_t> read_integer(const Value& value, std::int64_t base) {
  std::string bytes = number_text(*value.text());
  const bool minus = bytes.starts_with('-');
  if (minus) bytes.erase(0, 1);
  const char letter = bytes.size() > 2 && bytes[0] == '0' ? char(bytes[1] | 0x20) : '\0';
  if ((base == 16 && letter == 'x') || (base == 8 && letter == 'o') || (base == 2 && letter == 'b'))
    bytes.erase(0, 2);
  std::int64_t integer = 0;
  const char* last = bytes.data() + bytes.size();
  const auto result = std::from_chars(bytes.data(), last, integer, int(base));
  if (result.ec != std::errc() || result.ptr != last || bytes.starts_with('-')) return std::nullopt;
  return minus ? -integer : integer;
}

Value int_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "int", arguments, {"default", "base"});
  require_defined(in.budget(), value);
  const std::int64_t base = bound.integer(1, 10);
  if (base < 2 || base > 36) in.budget().fail("int: the base is not 2 to 36");
  if (value.integer()) return *value.integer();
  if (value.text())
    if (const auto integer = read_integer(value, base)) return *integer;
  const auto real = read_real(value);
  constexpr double kLimit = 9.2e18;
  if (!real || !(std::fabs(*real) < kLimit)) return bound.value(0, 0);
  return std::int64_t(std::trunc(*real));
}

Value float_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "float", arguments, {"default"});
  require_defined(in.budget(), value);
  const auto real = read_real(value);
  return real ? Value(*real) : bound.value(0, 0.0);
}

double checked_number(In in, std::string_view filter, Subject value) {
  require_defined(in.budget(), value);
  if (!value.number())
    in.budget().fail(cat(filter, ": expected a number, found a ", type_name(value)));
  return *value.number();
}

// round() of Python: to the even neighbour of the exact decimal value, as the C library prints it.
double rounded(double value, std::int64_t digits) {
  constexpr std::int64_t kAllDigits = 300;
  if (!std::isfinite(value) || digits > kAllDigits) return value;
  if (digits < -kAllDigits) return std::copysign(0.0, value);
  if (digits < 0) {
    const double unit = std::pow(10.0, double(-digits));
    return std::nearbyint(value / unit) * unit;
  }
  char buffer[700];
  const auto written =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed, int(digits));
  double result = value;
  std::from_chars(buffer, written.ptr, result);
  return result;
}

// Rounds to a multiple of 10^-digits, digits < 0, halves to the even multiple.
std::int64_t rounded_integer(Budget& budget, std::int64_t value, std::int64_t digits) {
  constexpr std::int64_t kAllDigits = 18;
  if (digits < -kAllDigits) return 0;
  std::int64_t unit = 1;
  for (std::int64_t i = digits; i < 0; ++i) unit *= 10;
  std::int64_t multiple = value / unit;
  const std::int64_t left = value % unit, distance = left < 0 ? -left : left;
  if (distance > unit - distance || (distance == unit - distance && multiple % 2 != 0))
    multiple += value < 0 ? -1 : 1;
  std::int64_t result = 0;
  if (__builtin_mul_overflow(multiple, unit, &result))
    budget.fail("an integer of more than 64 bits");
  return result;
}

Value round_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "round", arguments, {"precision", "method"});
  const double number = checked_number(in, "round", value);
  const std::int64_t digits = bound.integer(0, 0);
  const std::string method = bound.text(1) ? bound.text(1)->bytes : "common";
  if (method == "common") {
    if (!value.integer()) return rounded(number, digits);
    return digits >= 0 ? *value.integer() : rounded_integer(in.budget(), *value.integer(), digits);
  }
  const double unit = std::pow(10.0, double(digits));
  if (method != "ceil" && method != "floor")
    in.budget().fail("round: the method is common, ceil or floor");
  return (method == "ceil" ? std::ceil(number * unit) : std::floor(number * unit)) / unit;
}

Value abs_filter(In in, Subject value, Args arguments) {
  const Bound bound(in.budget(), "abs", arguments, {});
  const double number = checked_number(in, "abs", value);
  if (value.is_real()) return std::fabs(number);
  return *value.integer() < 0 ? negative(in.budget(), value) : Value(*value.integer());
}

constexpr Builtin kTextFilters[] = {
    {"abs", abs_filter},
    {"capitalize", case_filter<Case::capitalize>},
    {"center", center_filter},
    {"e", escape_filter},
    {"escape", escape_filter},
    {"float", float_filter},
    {"forceescape", force_escape_filter},
    {"format", format_filter},
    {"indent", indent_filter},
    {"int", int_filter},
    {"lower", case_filter<Case::lower>},
    {"replace", replace_filter},
    {"round", round_filter},
    {"safe", safe_filter},
    {"string", text_filter},
    {"title", title_filter},
    {"tojson", tojson_filter},
    {"trim", trim_filter},
    {"truncate", truncate_filter},
    {"upper", case_filter<Case::upper>},
    {"wordcount", wordcount_filter},
};

}  // namespace

std::span<const Builtin> text_filters() { return kTextFilters; }

}  // namespace elenchus::jinja
