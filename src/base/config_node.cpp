#include "base/config_node.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

constexpr int kDepthLimit = 64;
constexpr int kNodeLimit = 100'000;

/// Turns yaml-cpp's nodes into ours.
class TreeBuilder {
 public:
  /// `with_lines`: places are SOURCE:LINE:COLUMN, else SOURCE alone.
  TreeBuilder(std::string_view source, bool with_lines)
      : source_(source), with_lines_(with_lines) {}

  std::string place(const YAML::Mark& mark) const {
    if (!with_lines_ || mark.line < 0) return source_;
    return cat(source_, ":", mark.line + 1, ":", mark.column + 1);
  }

  ConfigNode convert(const YAML::Node& node, int depth) {
    ConfigNode result;
    result.place = place(node.Mark());
    if (depth > kDepthLimit) {
      throw UserError(cat(result.place, ": nested deeper than ", kDepthLimit, " levels"));
    }
    if (++count_ > kNodeLimit) {
      throw UserError(cat(result.place, ": more than ", kNodeLimit, " values"));
    }
    check_tag(node, result.place);
    if (node.IsScalar()) {
      convert_scalar(node, result);
    } else if (node.IsSequence()) {
      result.kind = ConfigNode::Kind::list;
      for (const auto& item : node) result.items.push_back(convert(item, depth + 1));
    } else if (node.IsMap()) {
      convert_map(node, result, depth);
    }
    return result;
  }

 private:
  static void convert_scalar(const YAML::Node& node, ConfigNode& result) {
    result.text = node.Scalar();
    result.quoted = node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str";
    const bool nothing = !result.quoted && is_yaml_null(result.text);
    result.kind = nothing ? ConfigNode::Kind::null : ConfigNode::Kind::scalar;
  }

  void convert_map(const YAML::Node& node, ConfigNode& result, int depth) {
    result.kind = ConfigNode::Kind::map;
    std::unordered_set<std::string> seen;
    for (const auto& member : node) {
      const std::string key_place = place(member.first.Mark());
      if (!member.first.IsScalar()) {
        throw UserError(cat(key_place, ": expected a key, found a list or a map in its place"));
      }
      const std::string key = member.first.Scalar();
      if (!seen.insert(key).second) {
        throw UserError(cat(key_place, ": key ", printable(key), " is given twice; keep one"));
      }
      result.members.push_back({key, key_place, convert(member.second, depth + 1)});
    }
  }

  static void check_tag(const YAML::Node& node, const std::string& place) {
    const std::string& tag = node.Tag();
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    constexpr std::string_view kKnown[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    if (tag.empty() || tag == "?" || tag == "!") return;
    if (tag.starts_with(kStandard) &&
        std::ranges::find(kKnown, std::string_view(tag).substr(kStandard.size())) !=
            std::end(kKnown)) {
      return;
    }
    throw UserError(cat(place, ": found the tag ", printable(tag), "; a recipe has none"));
  }

  std::string source_;
  bool with_lines_;
  int count_ = 0;
};

ConfigNode parse(std::string_view text, std::string_view source, bool with_lines) {
  const std::string name = printable(source, 512);
  if (const auto bad = find_invalid_utf8(text)) {
    throw UserError(cat(name, ": byte ", *bad, " is not UTF-8; save the file as UTF-8"));
  }
  TreeBuilder builder(name, with_lines);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.empty()) return ConfigNode::null(name);
    if (documents.size() > 1) {
      throw UserError(cat(builder.place(documents[1].Mark()),
                          ": a second document (after ---); expected one document"));
    }
    return builder.convert(documents[0], 0);
  } catch (const YAML::Exception& error) {
    throw UserError(cat(builder.place(error.mark), ": not YAML: ", printable(error.msg, 200)));
  }
}

/// Whether `text` is all of a JSON or YAML 1.2 number.
bool is_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // from_chars also takes "inf" and "nan", which YAML writes with a dot.
  return error != std::errc::invalid_argument && end == text.data() + text.size() &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

Json number_json(const ConfigNode& node) {
  std::string_view text = node.text;
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t integer;
  const char* const last = text.data() + text.size();
  if (const auto [end, error] = std::from_chars(text.data(), last, integer);
      error == std::errc() && end == last) {
    return integer;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error == std::errc() && std::isfinite(value)) return value;
  throw UserError(cat(node.place, ": found ", printable(node.text), "; expected a finite number"));
}

bool is_plain_safe(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto rest = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/';
  };
  bool ignored;
  return !text.empty() && (letter(text[0]) || text[0] == '_' || text[0] == '/') &&
         std::ranges::all_of(text, rest) && !is_yaml_boolean(text, &ignored) &&
         !is_yaml_null(text) && !is_number(text);
}

/// A string in double quotes. JSON's escapes are YAML's; DEL and the C1 control characters, which
/// JSON leaves as they are, are escaped too.
std::string quoted_yaml(const std::string& text) {
  const std::string json = Json(text).dump();
  std::string out;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const auto byte = static_cast<unsigned char>(json[i]);
    const auto next = i + 1 < json.size() ? static_cast<unsigned char>(json[i + 1]) : 0;
    if (byte == 0x7f) {
      out += "\\x7f";
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[next >> 4], kHex[next & 15]};
      ++i;
    } else {
      out += json[i];
    }
  }
  return out;
}

std::string flow(const Json& value) {
  if (value.is_string()) {
    const std::string& text = value.as_string("");
    return is_plain_safe(text) ? text : quoted_yaml(text);
  }
  std::string out;
  if (value.is_array()) {
    for (const Json& item : value.as_array("")) out += (out.empty() ? "" : ", ") + flow(item);
    return "[" + out + "]";
  }
  if (value.is_object()) {
    for (const auto& [key, item] : value.as_object("")) {
      out += (out.empty() ? "" : ", ") + flow(key) + ": " + flow(item);
    }
    return "{" + out + "}";
  }
  return value.dump();
}

void write_block(const Json::Object& object, const std::string& indent, std::string& out) {
  for (const auto& [key, value] : object) {
    out += indent + flow(key) + ":";
    if (value.is_object() && !value.as_object("").empty()) {
      out += "\n";
      write_block(value.as_object(""), indent + "  ", out);
    } else {
      out += " " + flow(value) + "\n";
    }
  }
}

}  // namespace

ConfigNode ConfigNode::null(std::string place) {
  ConfigNode node;
  node.place = std::move(place);
  return node;
}

ConfigNode ConfigNode::scalar(std::string text, std::string place) {
  ConfigNode node = null(std::move(place));
  node.kind = Kind::scalar;
  node.text = std::move(text);
  return node;
}

ConfigNode ConfigNode::map(std::string place) {
  ConfigNode node = null(std::move(place));
  node.kind = Kind::map;
  return node;
}

const ConfigNode* ConfigNode::find(std::string_view key) const {
  for (const ConfigMember& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

ConfigNode* ConfigNode::find(std::string_view key) {
  return const_cast<ConfigNode*>(std::as_const(*this).find(key));
}

void ConfigNode::set(std::string_view key, ConfigNode value) {
  if (ConfigNode* existing = find(key)) {
    *existing = std::move(value);
    return;
  }
  std::string place = value.place;
  members.push_back({std::string(key), std::move(place), std::move(value)});
}

std::string ConfigNode::found() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return cat("\"", printable(text), "\"");
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
  }
  return "";
}

ConfigNode parse_yaml(std::string_view text, std::string_view source) {
  return parse(text, source, true);
}

ConfigNode parse_yaml_value(std::string_view text, std::string_view place) {
  return parse(text, place, false);
}

Json to_json(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::null:
      return {};
    case ConfigNode::Kind::scalar: {
      if (node.quoted) return node.text;
      bool value;
      if (is_yaml_boolean(node.text, &value)) return value;
      if (is_number(node.text)) return number_json(node);
      std::string_view bare = node.text;
      if (bare.starts_with('-') || bare.starts_with('+')) bare.remove_prefix(1);
      if (bare == ".inf" || bare == ".Inf" || bare == ".INF" || bare == ".nan" || bare == ".NaN") {
        throw UserError(
            cat(node.place, ": found ", printable(node.text), "; expected a finite number"));
      }
      return node.text;
    }
    case ConfigNode::Kind::list: {
      Json::Array array;
      for (const ConfigNode& item : node.items) array.push_back(to_json(item));
      return array;
    }
    case ConfigNode::Kind::map: {
      Json::Object object;
      for (const ConfigMember& member : node.members) {
        object.emplace_back(member.key, to_json(member.value));
      }
      return object;
    }
  }
  return {};
}

std::string to_yaml(const Json& value) {
  if (!value.is_object() || value.as_object("").empty()) return flow(value) + "\n";
  std::string out;
  write_block(value.as_object(""), "", out);
  return out;
}

bool is_yaml_boolean(std::string_view text, bool* value) {
  constexpr std::string_view kTrue[] = {"true", "True", "TRUE", "yes", "Yes",
                                        "YES",  "on",   "On",   "ON"};
  constexpr std::string_view kFalse[] = {"false", "False", "FALSE", "no", "No",
                                         "NO",    "off",   "Off",   "OFF"};
  *value = std::ranges::find(kTrue, text) != std::end(kTrue);
  return *value || std::ranges::find(kFalse, text) != std::end(kFalse);
}

bool is_yaml_null(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL" ||
         text == "None";
}

}  // namespace elenchus
