#pragma once
// Reads one metric's settings, and refuses what it does not know.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace elenchus {

/// Settings {key: value}. Every key that is asked for is known; finish() refuses the others.
class SettingsReader {
 public:
  /// UserError unless `settings` is an object or null. `what` names the place in messages. Both
  /// outlive this.
  SettingsReader(const Json& settings, std::string what);
  const std::string& what() const { return what_; }
  /// The value of a key, or null where there is none.
  const Json* find(std::string_view key);
  /// Values with a default. UserError: of another kind, or out of range.
  std::string text(std::string_view key, std::string_view fallback);
  double number(std::string_view key, double fallback, double low, double high);
  std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t low);
  bool boolean(std::string_view key, bool fallback);
  /// The index of a word among those that are allowed.
  std::size_t choice(std::string_view key, std::size_t fallback,
                     const std::vector<std::string_view>& words);
  /// UserError: a key that was not asked for, with the nearest that was.
  void finish() const;

 private:
  const Json* settings_;
  std::string what_;
  std::vector<std::string_view> asked_;
};

}  // namespace elenchus
