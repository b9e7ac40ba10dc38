#include "metrics/settings_reader.h"

#include <algorithm>

#include "base/error.h"
#include "base/field_visitors.h"
#include "base/file.h"

namespace elenchus {

SettingsReader::SettingsReader(const Json& settings, std::string what)
    : settings_(&settings), what_(std::move(what)) {
  if (!settings.is_object() && !settings.is_null())
    throw UserError(cat(what_, ": expected a map of settings, found ", settings.kind_name()));
}

const Json* SettingsReader::find(std::string_view key) {
  asked_.push_back(key);
  const Json* value = settings_->find(key);
  return value && !value->is_null() ? value : nullptr;
}

std::string SettingsReader::text(std::string_view key, std::string_view fallback) {
  const Json* value = find(key);
  if (!value) return std::string(fallback);
  if (!value->is_string())
    throw UserError(cat(what_, ".", key, ": expected a text, found ", value->kind_name()));
  return value->as_string(key);
}

double SettingsReader::number(std::string_view key, double fallback, double low, double high) {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_number())
    throw UserError(cat(what_, ".", key, ": expected a number, found ", value->kind_name()));
  const double number = value->as_number(key);
  if (!(number >= low && number <= high))
    throw UserError(cat(what_, ".", key, ": found ", number, ", expected ", low, " to ", high));
  return number;
}

std::int64_t SettingsReader::integer(std::string_view key, std::int64_t fallback,
                                     std::int64_t low) {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_integer())
    throw UserError(cat(what_, ".", key, ": expected an integer, found ", value->kind_name()));
  const std::int64_t number = value->as_integer(key);
  constexpr std::int64_t kHigh = 1 << 24;
  if (number < low || number > kHigh)
    throw UserError(cat(what_, ".", key, ": found ", number, ", expected ", low, " to ", kHigh));
  return number;
}

bool SettingsReader::boolean(std::string_view key, bool fallback) {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean())
    throw UserError(cat(what_, ".", key, ": expected true or false, found ", value->kind_name()));
  return value->as_boolean(key);
}

std::size_t SettingsReader::choice(std::string_view key, std::size_t fallback,
                                   const std::vector<std::string_view>& words) {
  const std::string word = text(key, words[fallback]);
  const auto found = std::ranges::find(words, word);
  if (found != words.end()) return std::size_t(found - words.begin());
  std::string known;
  for (const std::string_view each : words) known += cat(known.empty() ? "" : ", ", each);
  throw UserError(
      cat(what_, ".", key, ": found '", printable(word), "', expected one of: ", known));
}

void SettingsReader::finish() const {
  if (!settings_->is_object()) return;
  for (const Json::Member& member : settings_->as_object(what_)) {
    if (std::ranges::find(asked_, std::string_view(member.first)) != asked_.end()) continue;
    const std::string_view nearest = nearest_word(member.first, asked_);
    throw UserError(cat(what_, ": unknown key '", printable(member.first), "'",
                        nearest.empty() ? "" : "; did you mean ", nearest,
                        nearest.empty() ? "" : "?"));
  }
}

}  // namespace elenchus
