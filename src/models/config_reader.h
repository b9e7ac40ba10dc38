#pragma once
// Reads config.json's values with their ranges checked; the old and the v5 form.

#include <optional>
#include <string_view>

#include "base/json.h"
#include "models/decoder_config.h"

namespace elenchus {

class ConfigReader {
 public:
  ConfigReader(const Json& config, std::string_view source) : config_(config), source_(source) {}
  /// An integer in [low, high]. InputError: missing without a default, of another kind, or outside.
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high,
                       std::optional<std::int64_t> fallback = {}) const;
  /// A finite number > 0.
  double positive(std::string_view key, std::optional<double> fallback = {}) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  /// rope_parameters (v5), or rope_theta with rope_scaling. InputError: a kind that is not known.
  RopeConfig rope(double default_theta) const;
  /// The sizes every decoder has, checked against each other.
  DecoderConfig sizes() const;

 private:
  const Json* find(std::string_view key) const;
  const Json& config_;
  std::string_view source_;
};

}  // namespace elenchus
