#include "text/jinja/format_spec.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

std::string grouped(const std::string& digits, const std::string& separator) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += separator;
    out.push_back(digits[i]);
  }
  return out;
}

std::string integer_digits(std::uint64_t value, int base) {
  char buffer[72];
  return {buffer, std::to_chars(buffer, buffer + sizeof(buffer), value, base).ptr};
}

// The digits of a number, without its sign, and what stands between the two.
struct Digits {
  std::string prefix, digits;
};

void append_number(TextBuilder& out, bool is_negative, Digits number, const Spec& spec) {
  if (!spec.group.empty()) {
    const std::size_t whole =
        std::min(number.digits.find_first_not_of("0123456789"), number.digits.size());
    number.digits =
        grouped(number.digits.substr(0, whole), spec.group) + number.digits.substr(whole);
  }
  const std::string sign = is_negative                            ? "-"
                           : spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign)
                                                                  : "";
  const std::string head = sign + number.prefix;
  if (spec.align == '=') {
    const std::int64_t missing = spec.width - std::int64_t(head.size() + number.digits.size());
    const Value filler = make_text(out.budget(), spec.fill);
    out.append(head);
    out.append_repeated(*filler.text(), missing);
    return out.append(number.digits);
  }
  append_padded(out, make_text(out.budget(), head + number.digits), spec, '>');
}

Digits real_digits(Budget& budget, double value, const Spec& spec) {
  constexpr std::int64_t kMaxPrecision = 1000;
  if (spec.precision > kMaxPrecision) budget.fail("a format of more than 1000 digits");
  const double magnitude = std::fabs(spec.type == '%' ? value * 100 : value);
  const bool shortest = spec.type == '\0' && spec.precision < 0;
  const char type = spec.type == '%'                        ? 'f'
                    : spec.type == '\0' || spec.type == 'n' ? 'g'
                                                            : spec.type;
  std::string digits;
  if (shortest) {
    digits = print_real(magnitude);
  } else {
    const std::string pattern = std::string(spec.alternate ? "%#.*" : "%.*") + type;
    const int precision = spec.precision < 0 ? 6 : int(spec.precision);
    digits.resize(std::size_t(precision) + 400);
    digits.resize(std::size_t(
        std::snprintf(digits.data(), digits.size(), pattern.c_str(), precision, magnitude)));
  }
  return {"", spec.type == '%' ? digits + "%" : digits};
}

int whole_base(char type) {
  return type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
}

Digits whole_digits(std::uint64_t magnitude, const Spec& spec) {
  const int base = whole_base(spec.type);
  Digits number{spec.alternate && base != 10 ? std::string("0") + spec.type : "",
                integer_digits(magnitude, base)};
  if (spec.type == 'X') number.digits = change_case(number.digits, Case::upper);
  return number;
}

bool is_real_type(char type) {
  return std::string_view("eEfFgG%").find(type) != std::string_view::npos && type;
}

}  // namespace

std::int64_t read_number(Budget& budget, const std::string& bytes, std::size_t& at) {
  std::int64_t number = 0;
  while (at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9') {
    number = number * 10 + (bytes[at++] - '0');
    budget.check_value(std::size_t(number));
  }
  return number;
}

void append_padded(TextBuilder& out, const Value& text, const Spec& spec, char default_align) {
  const char align = spec.align ? spec.align : default_align;
  const Side side = align == '<' ? Side::left : align == '^' ? Side::both : Side::right;
  const Text& inner = *text.text();
  const std::int64_t missing = spec.width - std::int64_t(inner.length);
  if (missing <= 0) return out.append(inner);
  const Value filler = make_text(out.budget(), spec.fill);
  const std::int64_t left = side == Side::left ? 0 : side == Side::right ? missing : missing / 2;
  out.append_repeated(*filler.text(), left);
  out.append(inner);
  out.append_repeated(*filler.text(), missing - left);
}

void append_value(TextBuilder& out, const Value& value, const Spec& spec) {
  Budget& budget = out.budget();
  const bool is_whole = value.integer() && !(value.is_boolean() && spec.type == '\0');
  const std::int64_t integer = value.integer().value_or(0);
  if (value.text() || !value.number() || (value.is_boolean() && !is_whole)) {
    if (spec.type != '\0' && spec.type != 's')
      budget.fail(cat("format '", spec.type, "' of a ", type_name(value)));
    if (spec.sign || !spec.group.empty() || spec.align == '=')
      budget.fail(cat("a number's format for a ", type_name(value)));
    Value text = to_text(budget, value);
    if (spec.precision >= 0)
      text = substring(*text.text(), 0, byte_of(*text.text(), std::size_t(spec.precision)));
    return append_padded(out, text, spec, '<');
  }
  if (is_whole && spec.type == 'c') {
    if (integer < 0 || integer > 0x10FFFF || (integer >= 0xD800 && integer < 0xE000))
      budget.fail("format 'c' of a number that is no character");
    std::string one;
    append_code_point(one, std::int32_t(integer));
    return append_padded(out, make_text(budget, one), spec, '<');
  }
  if (is_whole && !is_real_type(spec.type)) {
    if (std::string_view("bdnoxX").find(spec.type) == std::string_view::npos && spec.type)
      budget.fail(cat("format '", spec.type, "' of an integer"));
    if (spec.group == "," && whole_base(spec.type) != 10)
      budget.fail("format ',' of a number that is not decimal");
    const std::uint64_t magnitude =
        integer < 0 ? 0 - std::uint64_t(integer) : std::uint64_t(integer);
    return append_number(out, integer < 0, whole_digits(magnitude, spec), spec);
  }
  if (!is_real_type(spec.type) && spec.type)
    budget.fail(cat("format '", spec.type, "' of a float"));
  const double real = *value.number();
  append_number(out, std::signbit(real), real_digits(budget, real, spec), spec);
}

}  // namespace elenchus::jinja
