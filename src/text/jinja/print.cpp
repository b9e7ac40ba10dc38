#include "text/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_operations.h"

namespace elenchus::jinja {
namespace {

// Plain bytes of a repr, and whether any of them came from the input.
class Printer {
 public:
  explicit Printer(Budget& budget) : budget_(budget), out_(budget) {}

  void print_repr(const Value& value);
  Value finish() { return out_.finish_as(input_); }

 private:
  void put(std::string_view bytes) { out_.append(bytes); }
  void print_text(const Text& text);
  void print_sequence(const Sequence& sequence);
  void print_items(const std::vector<Value>& items);
  void print_dict(const Dict& dict);
  void print_namespace(const Namespace& space);

  Budget& budget_;
  TextBuilder out_;
  bool input_ = false;
  int depth_ = 0;
};

void append_hex(std::string& out, std::string_view prefix, std::int32_t value, int digits) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += prefix;
  for (int i = digits - 1; i >= 0; --i) out.push_back(kHex[std::size_t(value >> 4 * i & 15)]);
}

bool is_printable(Budget& budget, std::string_view one) {
  const Value text = make_text(budget, std::string(one));
  return all_are(*text.text(), CharacterClass::printable);
}

void Printer::print_text(const Text& text) {
  input_ |= text.has_input();
  budget_.spend_bytes(16 * text.bytes.size());
  const std::string& bytes = text.bytes;
  const bool double_quotes =
      bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out = text.markup() ? "Markup(" : "";
  out.push_back(quote);
  for (std::size_t at = 0, next; at < bytes.size(); at = next) {
    next = next_code_point(bytes, at);
    const std::int32_t c = decode_code_point(bytes, at);
    if (c == '\\' || c == quote) {
      out += {'\\', char(c)};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c >= ' ' && c < 0x7F) {
      out.push_back(char(c));
    } else if (c >= 0x80 && is_printable(budget_, std::string_view(bytes).substr(at, next - at))) {
      out.append(bytes, at, next - at);
    } else if (c < 0x100) {
      append_hex(out, "\\x", c, 2);
    } else {
      append_hex(out, c < 0x10000 ? "\\u" : "\\U", c, c < 0x10000 ? 4 : 8);
    }
  }
  out.push_back(quote);
  if (text.markup()) out.push_back(')');
  put(out);
}

void Printer::print_items(const std::vector<Value>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) put(", ");
    print_repr(items[i]);
  }
}

void Printer::print_sequence(const Sequence& sequence) {
  switch (sequence.kind) {
    case SequenceKind::list:
      put("[");
      print_items(sequence.items);
      return put("]");
    case SequenceKind::tuple:
    case SequenceKind::group:
      put("(");
      print_items(sequence.items);
      return put(sequence.items.size() == 1 ? ",)" : ")");
    case SequenceKind::range: {
      const auto [start, stop, step] = sequence.bounds;
      return put(step == 1 ? cat("range(", start, ", ", stop, ")")
                           : cat("range(", start, ", ", stop, ", ", step, ")"));
    }
    case SequenceKind::generator:
      return put("<generator object>");
    default:
      break;
  }
  put(sequence.kind == SequenceKind::keys     ? "dict_keys(["
      : sequence.kind == SequenceKind::values ? "dict_values(["
                                              : "dict_items([");
  print_items(sequence.items);
  put("])");
}

void Printer::print_dict(const Dict& dict) {
  put("{");
  for (std::size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) put(", ");
    print_repr(dict.entries[i].first);
    put(": ");
    print_repr(dict.entries[i].second);
  }
  put("}");
}

void Printer::print_namespace(const Namespace& space) {
  put("<Namespace {");
  for (std::size_t i = 0; i < space.attributes.size(); ++i) {
    if (i > 0) put(", ");
    print_repr(make_text(budget_, space.attributes[i].first));
    put(": ");
    print_repr(space.attributes[i].second);
  }
  put("}>");
}

void Printer::print_repr(const Value& value) {
  if (depth_ > 2 * kMaxValueDepth) budget_.fail("a namespace that holds itself cannot be printed");
  budget_.spend();
  ++depth_;
  if (const Text* text = value.text())
    print_text(*text);
  else if (const Sequence* sequence = value.sequence())
    print_sequence(*sequence);
  else if (const Dict* dict = value.dict())
    print_dict(*dict);
  else if (const Namespace* space = value.as_owned<Namespace>())
    print_namespace(*space);
  else if (value.is_undefined())
    put("Undefined");
  else if (value.is_none())
    put("None");
  else if (value.is_boolean())
    put(truth(value) ? "True" : "False");
  else if (const auto integer = value.integer())
    put(std::to_string(*integer));
  else if (value.is_real())
    put(print_real(*value.number()));
  else if (const Macro* macro = value.as_owned<Macro>())
    put(cat("<Macro '", macro_name(*macro), "'>"));
  else
    put(cat("<", type_name(value), ">"));
  --depth_;
}

}  // namespace

std::string print_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view all(buffer, std::size_t(end - buffer));
  const std::size_t e = all.find('e');
  std::string digits(all.substr(0, e));
  int exponent = 0;
  std::from_chars(all.data() + e + 1 + (all[e + 1] == '+'), end, exponent);
  const std::string sign = digits[0] == '-' ? "-" : "";
  std::erase_if(digits, [](char c) { return c == '-' || c == '.'; });
  const int count = int(digits.size());
  if (exponent < -4 || exponent >= 16) {
    const std::string mantissa = count > 1 ? digits.substr(0, 1) + "." + digits.substr(1) : digits;
    return cat(sign, mantissa, exponent < 0 ? "e-" : "e+", std::abs(exponent) < 10 ? "0" : "",
               std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(std::size_t(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return sign + digits + std::string(std::size_t(exponent + 1 - count), '0') + ".0";
  return sign + digits.substr(0, std::size_t(exponent) + 1) + "." +
         digits.substr(std::size_t(exponent) + 1);
}

Value to_repr(Budget& budget, const Value& value) {
  Printer printer(budget);
  printer.print_repr(value);
  return printer.finish();
}

Value to_text(Budget& budget, const Value& value) {
  if (value.text()) return value;
  if (value.is_undefined()) return make_text(budget, "");
  return to_repr(budget, value);
}

void print(TextBuilder& out, const Value& value) {
  if (const Text* text = value.text()) return out.append(*text);
  if (const auto integer = value.integer(); integer && !value.is_boolean())
    return out.append(std::to_string(*integer));
  out.append(*to_text(out.budget(), value).text());
}

namespace {

class JsonPrinter {
 public:
  JsonPrinter(Budget& budget, const JsonStyle& style)
      : budget_(budget), style_(style), out_(budget) {}
  void print_value(const Value& value);
  Value finish() { return out_.finish_as(input_); }

 private:
  void put(std::string_view bytes) { out_.append(bytes); }
  void break_line() {
    if (!style_.indented) return;
    put("\n");
    for (int i = 0; i < depth_; ++i) put(style_.indent);
  }
  void print_text(const Text& text);
  void print_key(const Value& key);
  void print_list(const std::vector<Value>& items);
  void print_dict(const Dict& dict);

  Budget& budget_;
  const JsonStyle& style_;
  TextBuilder out_;
  bool input_ = false;
  int depth_ = 0;
};

std::string json_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return print_real(value);
}

void JsonPrinter::print_text(const Text& text) {
  constexpr std::string_view kPlain = "\"\\\b\f\n\r\t", kEscaped = "\"\\bfnrt";
  input_ |= text.has_input();
  budget_.spend_bytes(4 * text.bytes.size());
  const std::string& bytes = text.bytes;
  std::string out = "\"";
  for (std::size_t at = 0, next; at < bytes.size(); at = next) {
    next = next_code_point(bytes, at);
    const std::int32_t c = decode_code_point(bytes, at);
    const std::size_t escape = c < 0x80 ? kPlain.find(char(c)) : std::string_view::npos;
    if (escape != std::string_view::npos) {
      out += {'\\', kEscaped[escape]};
    } else if (c < 0x20 || (style_.ascii_only && c >= 0x7F && c < 0x10000)) {
      append_hex(out, "\\u", c, 4);
    } else if (style_.ascii_only && c >= 0x10000) {
      append_hex(out, "\\u", 0xD800 + ((c - 0x10000) >> 10), 4);
      append_hex(out, "\\u", 0xDC00 + (c & 0x3FF), 4);
    } else {
      out.append(bytes, at, next - at);
    }
  }
  put(out += "\"");
}

void JsonPrinter::print_key(const Value& key) {
  if (key.text()) return print_text(*key.text());
  if (key.sequence() || (!key.is_none() && !key.number()))
    budget_.fail(cat("tojson: a ", type_name(key), " cannot be a key"));
  put("\"");
  print_value(key);
  put("\"");
}

void JsonPrinter::print_list(const std::vector<Value>& items) {
  if (items.empty()) return put("[]");
  put("[");
  ++depth_;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) put(style_.item_separator);
    break_line();
    print_value(items[i]);
  }
  --depth_;
  break_line();
  put("]");
}

void JsonPrinter::print_dict(const Dict& dict) {
  if (dict.entries.empty()) return put("{}");
  std::vector<const Dict::Entry*> entries;
  for (const Dict::Entry& entry : dict.entries) entries.push_back(&entry);
  if (style_.sort_keys)
    std::stable_sort(entries.begin(), entries.end(), [this](const auto* a, const auto* b) {
      return less(budget_, a->first, b->first);
    });
  put("{");
  ++depth_;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) put(style_.item_separator);
    break_line();
    print_key(entries[i]->first);
    put(style_.key_separator);
    print_value(entries[i]->second);
  }
  --depth_;
  break_line();
  put("}");
}

void JsonPrinter::print_value(const Value& value) {
  budget_.spend();
  if (const Text* text = value.text()) return print_text(*text);
  if (const Dict* dict = value.dict()) return print_dict(*dict);
  if (value.is_none()) return put("null");
  if (value.is_boolean()) return put(truth(value) ? "true" : "false");
  if (const auto integer = value.integer()) return put(std::to_string(*integer));
  if (value.is_real()) return put(json_real(*value.number()));
  const Sequence* sequence = value.sequence();
  if (!sequence || sequence->kind > SequenceKind::group)
    budget_.fail(cat("tojson: a ", type_name(value), " is no JSON"));
  print_list(sequence->items);
}

}  // namespace

Value to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  JsonPrinter printer(budget, style);
  printer.print_value(value);
  return printer.finish();
}

}  // namespace elenchus::jinja
