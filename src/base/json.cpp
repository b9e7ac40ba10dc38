#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

/// "SOURCE:LINE:COLUMN" of the byte at `position`; columns count characters from 1.
std::string place_of(std::string_view text, std::size_t position, std::string_view source) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 == 0
  const auto column = 1 + std::count_if(before.begin() + std::ptrdiff_t(line_start), before.end(),
                                        [](char c) { return (c & 0xC0) != 0x80; });
  return cat(printable(source, 512), ":", line, ":", column);
}

/// Reads bytes and leaves its place in a shared cursor, so that the handler knows where the parser
/// is.
class CursorIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CursorIterator(const char* at, const char** cursor) : at_(at), cursor_(cursor) {}
  reference operator*() const { return *at_; }
  CursorIterator& operator++() {
    *cursor_ = ++at_;
    return *this;
  }
  CursorIterator operator++(int) {
    CursorIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CursorIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** cursor_;
};

/// Finds duplicate names in one object. Few names are compared one by one, many through a hash
/// table.
class NameSet {
 public:
  /// Whether the last member's name was there before.
  bool last_is_duplicate(const Json::Object& members) {
    const std::string_view name = members.back().first;
    if (members.size() <= kScanned) {
      return std::any_of(members.begin(), members.end() - 1,
                         [&](const Json::Member& member) { return member.first == name; });
    }
    if (members.size() * 2 > slots_.size()) grow(members);
    std::uint32_t& slot = find_slot(members, name);
    if (slot != 0) return true;
    slot = std::uint32_t(members.size());
    return false;
  }

 private:
  static constexpr std::size_t kScanned = 16;

  std::uint32_t& find_slot(const Json::Object& members, std::string_view name) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = std::hash<std::string_view>{}(name)&mask;
    while (slots_[i] != 0 && members[slots_[i] - 1].first != name) i = (i + 1) & mask;
    return slots_[i];
  }
  void grow(const Json::Object& members) {
    slots_.assign(std::max<std::size_t>(64, slots_.size() * 4), 0);
    for (std::size_t i = 0; i + 1 < members.size(); ++i)
      find_slot(members, members[i].first) = std::uint32_t(i + 1);
  }

  std::vector<std::uint32_t> slots_;  // index + 1 of a member; 0 is free
};

/// Builds a Json from the parser's events.
class Builder {
 public:
  Builder(std::string_view text, std::string_view source, JsonLimits limits)
      : text_(text), source_(source), limits_(limits), cursor_(text.data()) {}

  const char** cursor() { return &cursor_; }
  Json take() { return std::move(root_); }

  [[noreturn]] void fail(std::size_t position, std::string_view what) const {
    throw InputError(cat(place_of(text_, position, source_), ": ", what, " (byte ", position, ")"));
  }
  void expect_end() const {
    if (position() != text_.size() || (!text_.empty() && text_.back() == '\0'))
      fail(text_.find('\0'), "found a zero byte, expected the end of the text");
  }

  // What nlohmann's parser calls; true goes on.
  bool null() { return add(Json()); }
  bool boolean(bool value) { return add(Json(value)); }
  bool number_integer(std::int64_t value) { return add(Json(value)); }
  bool number_unsigned(std::uint64_t value) {
    return value <= std::uint64_t(INT64_MAX) ? add(Json(std::int64_t(value)))
                                             : add(Json(double(value)));
  }
  bool number_float(double value, const std::string&) { return add(Json(value)); }
  bool string(const std::string& value) { return add(Json(std::string(value))); }
  bool binary(std::vector<std::uint8_t>&) { return false; }
  bool start_object(std::size_t) { return open(Json(Json::Object())); }
  bool start_array(std::size_t) { return open(Json(Json::Array())); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(const std::string& name) {
    Frame& frame = frames_.back();
    Json::Object& members = frame.value->object();
    members.emplace_back(name, Json());
    if (frame.names.last_is_duplicate(members))
      fail(start_of_string(), cat("found the key '", printable(name),
                                  "' a second time, expected every key once in an object"));
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token, const std::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing
    // CONTEXT - REASON; last read: 'TOKEN'; expected EXPECTED": the parts worth keeping.
    const std::string_view message = error.what();
    const std::size_t expected_at = message.rfind("; expected ");
    std::string_view reason = part_between(message, " - ", "; last read: ");
    if (reason.starts_with("unexpected ")) reason = {};
    std::string expected = "valid JSON";
    if (expected_at != std::string_view::npos) {
      expected = printable(message.substr(expected_at + 11), 200);
    } else if (message.find("out_of_range") != std::string_view::npos) {
      expected = "a number within the range of a double";
    }
    const bool at_end =
        this->position() >= text_.size() && token.find_last_not_of('\0') == token.npos;
    std::string found =
        at_end || token.empty() ? "the end of the text" : cat("'", printable(token, 32), "'");
    if (!reason.empty()) found += cat(" (", printable(reason, 160), ")");
    fail(std::min(position == 0 ? 0 : position - 1, text_.size()),
         cat("found ", found, ", expected ", expected));
  }

 private:
  struct Frame {
    Json* value;  // an object or array inside root_; it does not move while its child is built
    NameSet names;
  };

  std::size_t position() const { return std::size_t(cursor_ - text_.data()); }

  /// Where the string begins whose closing quote was read last.
  std::size_t start_of_string() const {
    std::size_t i = position() - 1;  // the closing quote
    const auto escaped = [&](std::size_t at) {
      std::size_t slashes = 0;
      while (slashes < at && text_[at - 1 - slashes] == '\\') ++slashes;
      return slashes % 2 == 1;
    };
    do --i;
    while (i > 0 && (text_[i] != '"' || escaped(i)));
    return i;
  }

  static std::string_view part_between(std::string_view text, std::string_view left,
                                       std::string_view right) {
    const std::size_t begin = text.find(left);
    const std::size_t end = text.rfind(right);
    if (begin == text.npos || end == text.npos || end < begin + left.size()) return {};
    return text.substr(begin + left.size(), end - begin - left.size());
  }

  Json* place(Json value) {
    if (frames_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *frames_.back().value;
    if (parent.is_array()) return &parent.array().emplace_back(std::move(value));
    Json& slot = parent.object().back().second;
    slot = std::move(value);
    return &slot;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (int(frames_.size()) >= limits_.depth)
      fail(position() - 1, cat("found arrays and objects nested deeper than ", limits_.depth,
                               ", expected at most ", limits_.depth, " levels"));
    frames_.push_back({place(std::move(value)), {}});
    return true;
  }
  bool close() {
    frames_.pop_back();
    return true;
  }

  std::string_view text_;
  std::string_view source_;
  JsonLimits limits_;
  const char* cursor_;
  Json root_;
  std::vector<Frame> frames_;
};

[[noreturn]] void wrong_kind(std::string_view what, std::string_view expected, const Json& found) {
  throw InputError(cat(what, ": expected ", expected, ", found ", found.kind_name()));
}

// ---- writing ----

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

Json Json::parse(std::string_view text, std::string_view source, JsonLimits limits) {
  Builder builder(text, source, limits);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    builder.fail(0, "found text in UTF-16, expected UTF-8: convert the file");
  const char* const end = text.data() + text.size();
  const CursorIterator first(text.data(), builder.cursor());
  nlohmann::json::sax_parse(first, CursorIterator(end, builder.cursor()), &builder);
  // nlohmann's lexer takes a zero byte for the end of the text.
  builder.expect_end();
  return builder.take();
}

std::string_view Json::kind_name() const {
  constexpr std::string_view kNames[] = {"null",     "a boolean", "an integer", "a number",
                                         "a string", "an array",  "an object"};
  return kNames[value_.index()];
}

bool Json::as_boolean(std::string_view what) const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  wrong_kind(what, "a boolean", *this);
}
std::int64_t Json::as_integer(std::string_view what) const {
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return *value;
  wrong_kind(what, "an integer", *this);
}
double Json::as_number(std::string_view what) const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return double(*value);
  wrong_kind(what, "a number", *this);
}
const std::string& Json::as_string(std::string_view what) const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  wrong_kind(what, "a string", *this);
}
const Json::Array& Json::as_array(std::string_view what) const {
  if (const auto* value = std::get_if<Array>(&value_)) return *value;
  wrong_kind(what, "an array", *this);
}
const Json::Object& Json::as_object(std::string_view what) const {
  if (const auto* value = std::get_if<Object>(&value_)) return *value;
  wrong_kind(what, "an object", *this);
}
Json::Array& Json::array() {
  expect(is_array(), "Json::array() of a value that is none");
  return std::get<Array>(value_);
}
Json::Object& Json::object() {
  expect(is_object(), "Json::object() of a value that is none");
  return std::get<Object>(value_);
}

const Json* Json::find(std::string_view key) const {
  const auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) return nullptr;
  for (const Member& member : *members)
    if (member.first == key) return &member.second;
  return nullptr;
}

const Json& Json::at(std::string_view key, std::string_view what) const {
  as_object(what);
  if (const Json* value = find(key)) return *value;
  throw InputError(cat(what, ": key '", printable(key), "' is missing"));
}

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) value_ = Object();
  for (Member& member : object())
    if (member.first == key) return member.second = std::move(value);
  return object().emplace_back(std::string(key), std::move(value)).second;
}

std::string Json::dump(int indent) const { return Writer(indent, MemberOrder::as_is).write(*this); }

std::string Json::dump_sorted(int indent) const {
  return Writer(indent, MemberOrder::by_name).write(*this);
}

}  // namespace elenchus
