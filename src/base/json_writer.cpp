#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"

namespace elenchus {
namespace {

void write_string(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

/// As Python's repr: the fewest digits, with an exponent below 1e-4 and from 1e16 on.
void write_real(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, std::size_t(end.ptr - buffer));
  const std::size_t e = text.find('e');
  int exponent = 0;
  const std::size_t digits_at = text[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(text.data() + digits_at, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    out += text;
    return;
  }
  char plain[64];
  const auto fixed = std::to_chars(plain, plain + sizeof plain, value, std::chars_format::fixed);
  const std::string_view shown(plain, std::size_t(fixed.ptr - plain));
  out += shown;
  if (shown.find('.') == shown.npos) out += ".0";
}

enum class MemberOrder { as_is, by_name };

class Writer {
 public:
  Writer(int indent, MemberOrder order) : indent_(indent), order_(order) {}
  std::string write(const Json& value) {
    put(value, 0);
    return std::move(out_);
  }

 private:
  void put(const Json& value, int level) {
    if (value.is_null()) {
      out_ += "null";
    } else if (value.is_boolean()) {
      out_ += value.as_boolean("") ? "true" : "false";
    } else if (value.is_integer()) {
      out_ += std::to_string(value.as_integer(""));
    } else if (value.is_number()) {
      write_real(out_, value.as_number(""));
    } else if (value.is_string()) {
      write_string(out_, value.as_string(""));
    } else if (value.is_array()) {
      put_array(value.as_array(""), level);
    } else {
      put_object(value.as_object(""), level);
    }
  }
  void put_array(const Json::Array& items, int level) {
    out_ += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      separate(i, level + 1);
      put(items[i], level + 1);
    }
    if (!items.empty()) new_line(level);
    out_ += ']';
  }
  void put_object(const Json::Object& members, int level) {
    std::vector<const Json::Member*> order;
    order.reserve(members.size());
    for (const Json::Member& member : members) order.push_back(&member);
    if (order_ == MemberOrder::by_name) {
      std::stable_sort(order.begin(), order.end(),
                       [](const auto* a, const auto* b) { return a->first < b->first; });
    }
    out_ += '{';
    for (std::size_t i = 0; i < order.size(); ++i) {
      separate(i, level + 1);
      write_string(out_, order[i]->first);
      out_ += ": ";
      put(order[i]->second, level + 1);
    }
    if (!order.empty()) new_line(level);
    out_ += '}';
  }
  void separate(std::size_t i, int level) {
    if (i > 0) out_ += indent_ > 0 ? "," : ", ";
    new_line(level);
  }
  void new_line(int level) {
    if (indent_ <= 0) return;
    out_ += '\n';
    out_.append(std::size_t(level) * std::size_t(indent_), ' ');
  }

  int indent_;
  MemberOrder order_;
  std::string out_;
};

}  // namespace

std::string Json::dump(int indent) const { return Writer(indent, MemberOrder::as_is).write(*this); }

std::string Json::dump_sorted(int indent) const {
  return Writer(indent, MemberOrder::by_name).write(*this);
}

}  // namespace elenchus
