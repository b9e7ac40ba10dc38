// The settings of {"style": {...}}.

#include "base/error.h"
#include "metrics/catalogue.h"
#include "metrics/style.h"

namespace elenchus {
namespace {

const std::vector<std::string_view> kPlaces = {"anywhere", "start", "end"};

SentenceRule read_rule(SettingsReader& settings) {
  const bool whole = settings.choice("scope", 0, {"sentence", "text"}) == 1;
  const Json* separator = settings.find("sentence_separator");
  const std::string what = settings.what() + ".sentence_separator";
  if (whole && separator)
    throw UserError(what + ": means nothing with scope: text, where the text is not split");
  if (whole) return WholeText{};
  if (!separator) return StyleSettings{}.sentences;
  const auto text = [&](const Json& value) {
    if (!value.is_string() || value.as_string(what).empty())
      throw UserError(what + ": expected a text that is not empty, or a list of such");
    return value.as_string(what);
  };
  if (!separator->is_array()) return SentenceSeparator{text(*separator)};
  SentenceMarks marks;
  for (const Json& item : separator->as_array(what)) marks.marks.push_back(text(item));
  if (marks.marks.empty()) throw UserError(what + ": expected at least one mark, found none");
  return marks;
}

/// "text", or {"start": "text"} where it stands elsewhere than the part says.
StylePattern read_pattern(const Json& item, PatternPlace place, const std::string& what) {
  const Json* text = &item;
  if (item.is_object()) {
    const Json::Object& members = item.as_object(what);
    std::size_t known = kPlaces.size();
    if (members.size() == 1)
      for (std::size_t i = 0; i < kPlaces.size(); ++i)
        if (members.front().first == kPlaces[i]) known = i;
    if (known == kPlaces.size())
      throw UserError(what + ": expected a text, or {start: TEXT}, {end: TEXT}, {anywhere: TEXT}");
    place = PatternPlace(known);
    text = &members.front().second;
  }
  if (!text->is_string() || text->as_string(what).empty())
    throw UserError(cat(what, ": expected a text that is not empty, found ", text->kind_name()));
  return {.place = place, .text = text->as_string(what)};
}

StylePart read_part(const Json& json, const std::string& what) {
  SettingsReader settings(json, what);
  StylePart part;
  constexpr double kMost = 1e6;
  if (!settings.find("weight")) throw UserError(what + ".weight: missing, expected a number");
  part.weight = settings.number("weight", 0, -kMost, kMost);
  const auto place = PatternPlace(settings.choice("where", 0, kPlaces));
  part.whole_word = settings.boolean("whole_word", false);
  part.case_insensitive = settings.boolean("case_insensitive", false);
  const Json* any = settings.find("any");
  if (!any || !any->is_array() || any->as_array(what).empty())
    throw UserError(what + ".any: expected a list of texts");
  const Json::Array& items = any->as_array(what);
  for (std::size_t i = 0; i < items.size(); ++i)
    part.any.push_back(read_pattern(items[i], place, cat(what, ".any[", i, "]")));
  settings.finish();
  return part;
}

}  // namespace

std::unique_ptr<Metric> make_style(SettingsReader& settings, TextMetricSettings common) {
  StyleSettings style;
  style.name = common.name;
  style.mode = common.mode;
  style.sentences = read_rule(settings);
  const Json* parts = settings.find("parts");
  const std::string what = settings.what() + ".parts";
  if (!parts || !parts->is_array() || parts->as_array(what).empty())
    throw UserError(what + ": expected a list of {weight, where, any}");
  const Json::Array& items = parts->as_array(what);
  for (std::size_t i = 0; i < items.size(); ++i)
    style.parts.push_back(read_part(items[i], cat(what, "[", i, "]")));
  return std::make_unique<Style>(std::move(style));
}

}  // namespace elenchus
