#pragma once
// JSON values, read strictly (RFC 8259): no duplicate keys, no trailing text, valid UTF-8, bounded
// depth.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace elenchus {

/// What a reader accepts. Defaults fit configuration files; readers of foreign bytes set their own.
struct JsonLimits {
  int depth = 64;
};

/// One JSON value. Objects keep the order of the file. Integers that fit stay exact int64_t.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(std::int64_t{value}) {}
  Json(std::int64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  /// Reads one document. InputError names `source` with line and column, what was found and what
  /// was expected.
  static Json parse(std::string_view text, std::string_view source, JsonLimits limits = {});

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_boolean() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  /// "null", "a boolean", "an integer", "a number", "a string", "an array" or "an object".
  std::string_view kind_name() const;

  // The value as that type. InputError "WHAT: expected an integer, found a string" otherwise.
  bool as_boolean(std::string_view what) const;
  std::int64_t as_integer(std::string_view what) const;
  double as_number(std::string_view what) const;  // integers count
  const std::string& as_string(std::string_view what) const;
  const Array& as_array(std::string_view what) const;
  const Object& as_object(std::string_view what) const;
  Array& array();    // InternalError if it is none
  Object& object();  // InternalError if it is none

  /// The member of that name, or null where there is none or this is no object.
  const Json* find(std::string_view key) const;
  /// The member of that name. InputError "WHAT: key 'x' is missing".
  const Json& at(std::string_view key, std::string_view what) const;
  /// Sets or adds a member; a null value becomes an object first.
  Json& set(std::string_view key, Json value);

  /// One line with `indent` 0 (", " and ": " as Python's json.dumps), else indented by that many
  /// spaces a level. Non-ASCII text is written as it is. Reals are written as Python's repr
  /// writes them, with the fewest digits that read back equal; infinities and NaN as null.
  std::string dump(int indent = 0) const;
  /// The same with the members of every object sorted by name.
  std::string dump_sorted(int indent = 0) const;

  /// Members of objects are compared by name: their order does not count. 1 and 1.0 differ.
  bool operator==(const Json& other) const;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace elenchus
