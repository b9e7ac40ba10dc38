#pragma once
// What a configuration file says, as a tree in which every value knows its place in the file.

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace elenchus {

struct ConfigMember;

/// One value of a configuration file. Scalars keep the text they were written as: what it means
/// depends on the type of the field that it is for.
struct ConfigNode {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  std::string text;                   ///< of a scalar
  bool quoted = false;                ///< a scalar in quotes: text, whatever it looks like
  std::string place;                  ///< "recipe.yaml:12:5", for messages
  std::vector<ConfigNode> items;      ///< of a list
  std::vector<ConfigMember> members;  ///< of a map, in the order of the file

  static ConfigNode null(std::string place);
  static ConfigNode scalar(std::string text, std::string place);
  static ConfigNode map(std::string place);

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_list() const { return kind == Kind::list; }
  bool is_map() const { return kind == Kind::map; }

  /// The value of that key; null where there is none or this is no map.
  const ConfigNode* find(std::string_view key) const;
  ConfigNode* find(std::string_view key);
  /// Sets or adds a member.
  void set(std::string_view key, ConfigNode value);
  /// "nothing", "the text \"abc\"", "a list" or "a map", for messages.
  std::string found() const;
};

/// One key of a map, with the place of the key and its value.
struct ConfigMember {
  std::string key;
  std::string place;
  ConfigNode value;
};

/// Reads one YAML document (JSON is YAML too). `source` names the file in places and messages.
/// UserError with line and column: a syntax error, a key given twice, a tag, more than one
/// document, nesting deeper than 64 or more than 100,000 values (aliases count each time).
ConfigNode parse_yaml(std::string_view text, std::string_view source);

/// The same for one value on the command line; all of it has the place `place`.
ConfigNode parse_yaml_value(std::string_view text, std::string_view place);

/// The tree as JSON: plain scalars become null, booleans, integers or numbers where they are
/// written as such, everything else is a string. UserError: a number that is not finite.
Json to_json(const ConfigNode& node);

/// JSON as YAML text that reads back equal: objects as blocks indented by two spaces, arrays and
/// scalars on one line.
std::string to_yaml(const Json& value);

/// Whether a plain scalar is a boolean as YAML 1.1 or 1.2 writes it; *value is it then.
bool is_yaml_boolean(std::string_view text, bool* value);

/// Whether a plain scalar stands for nothing: empty, ~ or null.
bool is_yaml_null(std::string_view text);

}  // namespace elenchus
