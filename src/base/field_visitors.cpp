#include "base/field_visitors.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/file.h"

namespace elenchus {
namespace {

/// How many letters must be added, dropped, changed or swapped with their neighbour.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> table((a.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return table[i * width + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = i;
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t best = std::min(at(i - 1, j), at(i, j - 1)) + 1;
      best = std::min(best, at(i - 1, j - 1) + (a[i - 1] != b[j - 1]));
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) best = std::min(best, at(i - 2, j - 2) + 1);
      at(i, j) = best;
    }
  }
  return table.back();
}

/// All of `text` as a finite number.
std::optional<double> finite_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

std::string join(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : cat(path, ".", key);
}

}  // namespace

std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& known) {
  constexpr std::size_t kLongest = 64;  // distances are quadratic, and no key is that long
  if (word.size() > kLongest) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

void canonicalize_keys(ConfigNode& map, const std::vector<FieldInfo>& fields,
                       std::string_view path) {
  std::map<std::string_view, const ConfigMember*> given;  // by canonical name
  std::vector<std::string> names;
  for (const ConfigMember& member : map.members) {
    const auto matches = [&](const FieldInfo& field) {
      return field.name == member.key ||
             std::ranges::find(field.aliases, member.key) != field.aliases.end();
    };
    const auto field = std::ranges::find_if(fields, matches);
    const std::string key = join(path, printable(member.key));
    if (field == fields.end()) {
      std::vector<std::string_view> known;
      for (const FieldInfo& each : fields) {
        known.push_back(each.name);
        known.insert(known.end(), each.aliases.begin(), each.aliases.end());
      }
      const std::string_view nearest = nearest_word(member.key, known);
      throw UserError(cat(member.place, ": ", key, ": unknown key",
                          nearest.empty() ? "" : "; did you mean ", nearest,
                          nearest.empty() ? "" : "?"));
    }
    const auto [earlier, fresh] = given.emplace(field->name, &member);
    if (!fresh) {
      throw UserError(cat(member.place, ": ", key, ": the same setting as ",
                          join(path, earlier->second->key), " at ", earlier->second->place,
                          "; keep one"));
    }
    names.push_back(field->name);
  }
  for (std::size_t i = 0; i < names.size(); ++i) map.members[i].key = names[i];
}

void throw_wrong_value(const ConfigNode& node, std::string_view key, std::string_view expected) {
  throw UserError(cat(node.place, ": ", printable(key, 200), ": found ", node.found(),
                      "; expected ", expected));
}

std::string one_line(const Json& value) {
  if (value.is_string() && !value.as_string("").empty()) return value.as_string("");
  if (value.is_object() && value.as_object("").empty()) return "{}";
  std::string list = to_yaml(Json::Array{value});  // "[VALUE]\n"
  return list.substr(1, list.size() - 3);
}

void read_value(const ConfigNode& node, std::string_view key, bool& value) {
  if (!node.is_scalar() || !is_yaml_boolean(node.text, &value)) {
    throw_wrong_value(node, key, "true or false");
  }
}

void read_value(const ConfigNode& node, std::string_view key, std::int64_t& value) {
  // Larger ones are not exact as a double, and no setting needs them.
  constexpr double kLargest = 9007199254740992.0;
  const auto number = node.is_scalar() ? finite_number(node.text) : std::nullopt;
  if (!number || *number != std::floor(*number) || std::abs(*number) > kLargest) {
    throw_wrong_value(node, key, "a whole number");
  }
  value = static_cast<std::int64_t>(*number);
}

void read_value(const ConfigNode& node, std::string_view key, int& value) {
  std::int64_t wide;
  read_value(node, key, wide);
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
    throw_wrong_value(node, key, "a whole number of at most 2147483647");
  }
  value = static_cast<int>(wide);
}

void read_value(const ConfigNode& node, std::string_view key, double& value) {
  const auto number = node.is_scalar() ? finite_number(node.text) : std::nullopt;
  if (!number) throw_wrong_value(node, key, "a finite number");
  value = *number;
}

void read_value(const ConfigNode& node, std::string_view key, std::string& value) {
  if (!node.is_scalar()) throw_wrong_value(node, key, "text");
  value = node.text;
}

std::size_t read_enum(const ConfigNode& node, std::string_view key, const std::string_view* names,
                      std::size_t count) {
  const std::vector<std::string_view> known(names, names + count);
  const auto index_of = [&](std::string_view name) {
    return static_cast<std::size_t>(std::ranges::find(known, name) - known.begin());
  };
  if (node.is_scalar()) {
    if (const std::size_t index = index_of(node.text); index < count) return index;
    bool value;
    if (is_yaml_boolean(node.text, &value)) {
      if (const std::size_t index = index_of(value ? "true" : "false"); index < count) return index;
      if (const std::size_t index = index_of("no"); !value && index < count) return index;
    }
  }
  std::string expected;
  for (std::size_t i = 0; i < count; ++i) {
    expected += cat(i == 0 ? "" : i + 1 == count ? " or " : ", ", names[i]);
  }
  throw_wrong_value(node, key, expected);
}

}  // namespace elenchus
