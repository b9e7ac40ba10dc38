#include "base/json.h"

#include <algorithm>
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
    const std::uint32_t hash = hash_of(name);
    Slot& slot = find_slot(members, name, hash);
    if (slot.member != 0) return true;
    slot = {hash, std::uint32_t(members.size())};
    return false;
  }

 private:
  static constexpr std::size_t kScanned = 16;
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t member = 0;  // index + 1; 0 is a free slot
  };

  static std::uint32_t hash_of(std::string_view name) {
    return std::uint32_t(std::hash<std::string_view>{}(name));
  }
  Slot& find_slot(const Json::Object& members, std::string_view name, std::uint32_t hash) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash & mask;
    while (slots_[i].member != 0 &&
           (slots_[i].hash != hash || members[slots_[i].member - 1].first != name))
      i = (i + 1) & mask;
    return slots_[i];
  }
  void grow(const Json::Object& members) {
    std::vector<Slot> old(std::max<std::size_t>(64, slots_.size() * 4));
    old.swap(slots_);
    const std::size_t mask = slots_.size() - 1;
    const auto insert = [&](Slot slot) {
      std::size_t i = slot.hash & mask;
      while (slots_[i].member != 0) i = (i + 1) & mask;
      slots_[i] = slot;
    };
    for (const Slot& slot : old)
      if (slot.member != 0) insert(slot);
    if (!old.empty()) return;
    for (std::size_t i = 0; i + 1 < members.size(); ++i)
      insert({hash_of(members[i].first), std::uint32_t(i + 1)});
  }

  std::vector<Slot> slots_;  // open addressing; a power of two, at most half full
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
  bool number_integer(std::int64_t value) {
    return value == 0 ? add(Json(-0.0)) : add(Json(value));  // the literal was "-0"
  }
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

  bool parse_error(std::size_t position, const std::string&, const std::exception& error) {
    // Either "... CONTEXT - unexpected TOKEN; expected EXPECTED" or "... CONTEXT - REASON; last
    // read: 'TOKEN'", of which the last words and the reason are worth keeping.
    const std::string_view message = error.what();
    const std::string_view reason = part_between(message, " - ", "; last read: ");
    const std::size_t expected_at = message.rfind("; expected ");
    std::string expected = "valid JSON";
    if (text_.empty()) {  // versions of the library say different things of it
      expected = "a value";
    } else if (message.find("out_of_range") != message.npos) {
      expected = "a number within the range of a double";
    } else if (!reason.empty()) {
      expected += cat(" (", printable(reason, 160), ")");
    } else if (expected_at != message.npos) {
      const std::string_view token = message.substr(expected_at + 11);
      expected = token.starts_with("'[', '{'") ? "a value" : printable(token, 100);
    }
    const std::size_t at = std::min(position == 0 ? 0 : position - 1, text_.size());
    fail(at, cat("found ", shown_character(at), ", expected ", expected));
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

  std::string shown_character(std::size_t at) const {
    if (at >= text_.size()) return "the end of the text";
    std::size_t end = at + 1;
    while (end < text_.size() && end < at + 4 && (text_[end] & 0xC0) == 0x80) ++end;
    return cat("'", printable(text_.substr(at, end - at)), "'");
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

bool Json::operator==(const Json& other) const {
  if (!is_object() || !other.is_object()) return value_ == other.value_;
  const Object& mine = std::get<Object>(value_);
  if (mine.size() != std::get<Object>(other.value_).size()) return false;
  return std::ranges::all_of(mine, [&](const Member& member) {
    const Json* theirs = other.find(member.first);
    return theirs && member.second == *theirs;
  });
}

}  // namespace elenchus
