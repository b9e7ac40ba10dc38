#pragma once
// Readers, writers and help over the fields that configuration structs list (fields.h).

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/config_node.h"
#include "base/error.h"
#include "base/fields.h"
#include "base/json.h"

namespace elenchus {

/// One key of a struct, with its default.
struct FieldInfo {
  std::string name;
  std::string help;
  std::vector<std::string> aliases;
  std::string default_text;  ///< on one line
};

/// Renames the keys of a map from aliases to their fields' names. `path` is the map's own key (""
/// at the root). UserError with the place: a key that matches no field, with the nearest one named;
/// a field given under two of its names.
void canonicalize_keys(ConfigNode& map, const std::vector<FieldInfo>& fields,
                       std::string_view path);

/// The one of `known` that `word` is most likely a slip of; empty if none is close.
std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& known);

/// "PLACE: KEY: found FOUND; expected EXPECTED".
[[noreturn]] void throw_wrong_value(const ConfigNode& node, std::string_view key,
                                    std::string_view expected);

/// Values as the types of fields. UserError as throw_wrong_value.
void read_value(const ConfigNode& node, std::string_view key, bool& value);
void read_value(const ConfigNode& node, std::string_view key, std::int64_t& value);
void read_value(const ConfigNode& node, std::string_view key, int& value);
void read_value(const ConfigNode& node, std::string_view key, double& value);  ///< finite
void read_value(const ConfigNode& node, std::string_view key, std::string& value);
/// The index of an enum value by name. A boolean also matches the names "true", "false" and "no".
std::size_t read_enum(const ConfigNode& node, std::string_view key, const std::string_view* names,
                      std::size_t count);

template <class E>
requires std::is_enum_v<E>
void read_value(const ConfigNode& node, std::string_view key, E& value) {
  const auto& names = EnumNames<E>::names;
  value = static_cast<E>(read_enum(node, key, names, std::size(names)));
}
template <class T>
void read_value(const ConfigNode& node, std::string_view key, std::optional<T>& value) {
  if (node.is_null()) {
    value.reset();
  } else {
    read_value(node, key, value.emplace());
  }
}
/// A list; one value alone counts as a list of one.
template <class T>
void read_value(const ConfigNode& node, std::string_view key, std::vector<T>& value) {
  value.clear();
  if (!node.is_list()) {
    read_value(node, key, value.emplace_back());
    return;
  }
  for (const ConfigNode& item : node.items) read_value(item, key, value.emplace_back());
}
template <class T>
void read_value(const ConfigNode& node, std::string_view key, std::map<std::string, T>& value) {
  if (!node.is_map()) throw_wrong_value(node, key, "a map {name: value}");
  value.clear();
  for (const ConfigMember& member : node.members) {
    read_value(member.value, cat(key, ".", member.key), value[member.key]);
  }
}

/// Values as JSON.
inline Json write_value(bool value) { return value; }
inline Json write_value(int value) { return value; }
inline Json write_value(std::int64_t value) { return value; }
inline Json write_value(double value) { return value; }
inline Json write_value(const std::string& value) { return value; }
template <class E>
requires std::is_enum_v<E> Json write_value(E value) {
  const std::string_view name = EnumNames<E>::names[static_cast<std::size_t>(value)];
  if (name == "true" || name == "false") return name == "true";
  return name;
}
template <class T>
Json write_value(const std::optional<T>& value) {
  return value ? write_value(*value) : Json();
}
template <class T>
Json write_value(const std::vector<T>& value) {
  Json::Array array;
  for (const T& item : value) array.push_back(write_value(item));
  return array;
}
template <class T>
Json write_value(const std::map<std::string, T>& value) {
  Json::Object object;
  for (const auto& [key, item] : value) object.emplace_back(key, write_value(item));
  return object;
}

/// Visitor: an object with every field and its value.
class FieldWriter {
 public:
  template <class T>
  void operator()(const Field& field, const T& value) {
    if constexpr (HasFields<T>) {
      FieldWriter inner;
      T::fields(value, inner);
      result_.emplace_back(std::string(field.name), std::move(inner.result_));
    } else {
      result_.emplace_back(std::string(field.name), write_value(value));
    }
  }
  Json::Object take() { return std::move(result_); }

 private:
  Json::Object result_;
};

/// All fields of a struct and their values, in the order of the struct.
template <HasFields T>
Json fields_to_json(const T& config) {
  FieldWriter writer;
  T::fields(config, writer);
  return writer.take();
}

/// A default for --help: text as it is, anything else as YAML.
std::string one_line(const Json& value);

/// Visitor: what --help says.
class FieldLister {
 public:
  template <class T>
  void operator()(const Field& field, const T& value) {
    FieldInfo info{std::string(field.name), std::string(field.help), {}, {}};
    info.aliases.assign(field.aliases.begin(), field.aliases.end());
    if constexpr (HasFields<T>) {
      info.default_text = "a section";
    } else {
      info.default_text = one_line(write_value(value));
    }
    result_.push_back(std::move(info));
  }
  std::vector<FieldInfo> take() { return std::move(result_); }

 private:
  std::vector<FieldInfo> result_;
};

/// The keys of a struct with their defaults.
template <HasFields T>
std::vector<FieldInfo> list_fields() {
  FieldLister lister;
  const T defaults{};
  T::fields(defaults, lister);
  return lister.take();
}

template <HasFields T>
void read_fields(const ConfigNode& node, std::string_view path, T& config);

/// Visitor: sets the fields that a map with canonical keys has. A key without a value keeps its
/// default.
class FieldReader {
 public:
  FieldReader(const ConfigNode& map, std::string_view path) : map_(map), path_(path) {}

  template <class T>
  void operator()(const Field& field, T& value) {
    const ConfigNode* const node = map_.find(field.name);
    if (!node || node->is_null()) return;
    const std::string key = path_.empty() ? std::string(field.name) : cat(path_, ".", field.name);
    if constexpr (HasFields<T>) {
      read_fields(*node, key, value);
    } else {
      if constexpr (std::is_same_v<T, std::string>) {
        if (field.map_as_text && node->is_map()) {
          value = to_json(*node).dump();
          return;
        }
      }
      read_value(*node, key, value);
    }
  }

 private:
  const ConfigNode& map_;  // outlives the visitor
  std::string_view path_;
};

/// Reads a map into a struct; what the map does not have stays as it is. UserError with the place
/// of what is wrong.
template <HasFields T>
void read_fields(const ConfigNode& node, std::string_view path, T& config) {
  if (node.is_null()) return;
  if (!node.is_map()) throw_wrong_value(node, path, "a map of keys and values");
  ConfigNode canonical = node;
  canonicalize_keys(canonical, list_fields<T>(), path);
  FieldReader reader(canonical, path);
  T::fields(config, reader);
}

/// The lines of --help for a struct: "lora.r (16): rank: rows of A and columns of B".
template <HasFields T>
std::string fields_help(std::string_view path) {
  std::string out;
  for (const FieldInfo& field : list_fields<T>()) {
    out += cat(path, ".", field.name, " (", field.default_text, "): ", field.help, "\n");
  }
  return out;
}

}  // namespace elenchus
