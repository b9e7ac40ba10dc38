#include "jobs/recipe_keys.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "jobs/foreign_keys.h"
#include "jobs/recipe.h"

namespace elenchus {
namespace {

struct SectionLister {
  std::vector<RecipeSection> sections;
  template <class T>
  void operator()(std::string_view name, const T&) {
    sections.push_back({std::string(name), list_fields<T>()});
  }
};

bool has_key(const RecipeSection& section, std::string_view key) {
  return std::ranges::any_of(section.fields, [&](const FieldInfo& field) {
    return field.name == key || std::ranges::find(field.aliases, key) != field.aliases.end();
  });
}

/// Sorts the keys of a recipe into their sections.
class Canonicalizer {
 public:
  explicit Canonicalizer(std::vector<std::string>& notes)
      : sections_(list_recipe_sections()), notes_(notes) {}

  ConfigNode run(const ConfigNode& root) {
    if (!root.is_map()) throw_wrong_value(root, "recipe", "a map of sections (model:, data:, ...)");
    result_ = ConfigNode::map(root.place);
    for (const RecipeSection& section : sections_) {
      result_.set(section.name, ConfigNode::map(root.place));
    }
    for (const ConfigMember& member : root.members) sort_root_member(member);
    for (const RecipeSection& section : sections_) {
      canonicalize_keys(*result_.find(section.name), section.fields, section.name);
    }
    for (const auto& [path, member] : foreign_) apply_foreign(path, *member);
    for (const RecipeSection& section : sections_) {
      for (ConfigMember& member : result_.find(section.name)->members) {
        canonicalize_value(section.name + "." + member.key, member.value, noting());
      }
    }
    add_lists_to_notes();
    return std::move(result_);
  }

 private:
  std::function<void(std::string)> noting() {
    return [this](std::string text) { notes_.push_back(std::move(text)); };
  }

  const RecipeSection* section_named(std::string_view name) const {
    const auto found = std::ranges::find(sections_, name, &RecipeSection::name);
    return found == sections_.end() ? nullptr : &*found;
  }

  const RecipeSection* section_with(std::string_view key) const {
    const auto found =
        std::ranges::find_if(sections_, [&](const RecipeSection& s) { return has_key(s, key); });
    return found == sections_.end() ? nullptr : &*found;
  }

  void sort_root_member(const ConfigMember& member) {
    if (member.key == "metrics") {
      result_.set("metrics", member.value);
      return;
    }
    const RecipeSection* const section = section_named(member.key);
    // "model: PATH" at the root is how some tools write model_name_or_path.
    if (!section || (member.value.is_scalar() && section_with(member.key))) {
      sort_member(nullptr, member);
      return;
    }
    if (member.value.is_null()) return;
    if (!member.value.is_map()) {
      throw_wrong_value(member.value, member.key, "a map of keys and values");
    }
    for (const ConfigMember& inner : member.value.members) sort_member(section, inner);
  }

  /// `section` is where the key was found; null at the root.
  void sort_member(const RecipeSection* section, const ConfigMember& member) {
    const std::string path =
        section ? section->name + "." + printable(member.key) : printable(member.key);
    if (section && has_key(*section, member.key)) {
      result_.find(section->name)->members.push_back(member);
    } else if (const RecipeSection* const owner = section_with(member.key)) {
      moved_ += cat(moved_.empty() ? "" : ", ", path, " -> ", owner->name, ".", member.key);
      result_.find(owner->name)->members.push_back(member);
    } else if (is_foreign_key(member.key)) {
      foreign_.emplace_back(path, &member);
    } else {
      throw_unknown(section, member, path);
    }
  }

  [[noreturn]] void throw_unknown(const RecipeSection* section, const ConfigMember& member,
                                  const std::string& path) const {
    std::vector<std::string_view> known;
    const auto add = [&](const RecipeSection& each) {
      for (const FieldInfo& field : each.fields) {
        known.push_back(field.name);
        known.insert(known.end(), field.aliases.begin(), field.aliases.end());
      }
    };
    if (section) add(*section);
    std::string nearest(nearest_word(member.key, known));
    if (nearest.empty()) {
      for (const RecipeSection& each : sections_) add(each);
      nearest = nearest_word(member.key, known);
      const RecipeSection* const owner = section_with(nearest);
      if (owner) nearest = owner->name + "." + nearest;
    }
    if (nearest.empty() && !section) {
      known.assign({"metrics"});
      for (const RecipeSection& each : sections_) known.push_back(each.name);
      nearest = nearest_word(member.key, known);
    }
    throw UserError(cat(member.place, ": ", path, ": unknown key; ",
                        nearest.empty() ? "elenchus train --help lists the keys"
                                        : "did you mean " + nearest + "?"));
  }

  void apply_foreign(const std::string& path, const ConfigMember& member) {
    const ForeignKeyEffects effects{
        .set = [&](std::string_view section, std::string_view key,
                   std::string value) { set_from(path, member, section, key, std::move(value)); },
        .note = noting(),
        .ignore = [&] { ignored_ += cat(ignored_.empty() ? "" : ", ", path); },
    };
    apply_foreign_key(member.key, member.value, effects);
  }

  void set_from(const std::string& path, const ConfigMember& member, std::string_view section,
                std::string_view key, std::string value) {
    ConfigNode node = ConfigNode::scalar(std::move(value), member.value.place);
    ConfigNode& target = *result_.find(section);
    const ConfigNode* const existing = target.find(key);
    if (existing && !existing->is_null() && to_json(*existing) != to_json(node)) {
      throw UserError(cat(member.place, ": ", path, ": means ", section, ".", key, ": ", node.text,
                          ", but ", existing->place, " says ", existing->found(), "; keep one"));
    }
    target.set(key, std::move(node));
  }

  void add_lists_to_notes() {
    if (!moved_.empty()) notes_.push_back(cat("keys put in their own section: ", moved_));
    if (!ignored_.empty()) notes_.push_back(cat("keys without effect here: ", ignored_));
  }

  std::vector<RecipeSection> sections_;
  std::vector<std::string>& notes_;  // outlives this
  ConfigNode result_;
  std::vector<std::pair<std::string, const ConfigMember*>> foreign_;  // path and member
  std::string moved_, ignored_;
};

/// The value of an override: YAML where it begins like a list, a map or quoted text, else the text
/// as it stands.
ConfigNode override_value(std::string_view text, const std::string& place) {
  if (is_yaml_null(text)) return ConfigNode::null(place);
  if (std::string_view("[{\"'").find(text[0]) != std::string_view::npos) {
    return parse_yaml_value(text, place);
  }
  return ConfigNode::scalar(std::string(text), place);
}

}  // namespace

std::vector<RecipeSection> list_recipe_sections() {
  SectionLister lister;
  const Recipe defaults;
  Recipe::sections(defaults, lister);
  return std::move(lister.sections);
}

ConfigNode canonical_recipe(const ConfigNode& root, std::vector<std::string>& notes) {
  return Canonicalizer(notes).run(root);
}

void apply_override(ConfigNode& recipe, std::string_view assignment,
                    std::vector<std::string>& notes) {
  const std::string place = "command line";
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw UserError(cat(place, ": found ", printable(assignment), "; expected section.key=value"));
  }
  const std::string_view path = assignment.substr(0, equals);
  const std::size_t dot = path.find('.');
  const std::size_t second_dot = dot == path.npos ? path.npos : path.find('.', dot + 1);
  const bool in_map = second_dot != path.npos;  // training.lr_scheduler_kwargs.num_cycles
  const std::string inner_key(in_map ? path.substr(second_dot + 1) : "");

  ConfigNode value = override_value(assignment.substr(equals + 1), place);
  if (in_map) {
    ConfigNode outer = ConfigNode::map(place);
    outer.set(inner_key, std::move(value));
    value = std::move(outer);
  }
  ConfigNode root = ConfigNode::map(place);
  if (dot == path.npos) {
    root.set(path, std::move(value));
  } else {
    ConfigNode section = ConfigNode::map(place);
    section.set(path.substr(dot + 1, second_dot - dot - 1), std::move(value));
    root.set(path.substr(0, dot), std::move(section));
  }

  ConfigNode changes = canonical_recipe(root, notes);
  for (ConfigMember& section : changes.members) {
    if (!section.value.is_map()) {
      recipe.set(section.key, std::move(section.value));
      continue;
    }
    for (ConfigMember& member : section.value.members) {
      ConfigNode& target = *recipe.find(section.key);
      ConfigNode* const existing = target.find(member.key);
      if (in_map && existing && existing->is_map() && member.value.is_map()) {
        existing->set(inner_key, *member.value.find(inner_key));
      } else {
        target.set(member.key, std::move(member.value));
      }
    }
  }
}

}  // namespace elenchus
