#pragma once
// Reads config.json's values with their ranges checked; the old and the v5 form.

#include <functional>
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
  /// InputError: the key is there with another value.
  void expect_text(std::string_view key, std::string_view wanted) const;
  void expect_false(std::string_view key) const;
  /// A soft cap; `fallback` where the key is missing, 0 (none) where it is null.
  float soft_cap(std::string_view key, double fallback) const;
  /// sliding_window on the layers that layer_types calls sliding_attention or, without that key,
  /// `usual` says. A window that is missing is `fallback`, one that is null or 0 is none. Those layers
  /// use the tables `rope`.
  std::vector<LayerTraits> windows(std::int64_t layers, std::int64_t fallback,
                                   const std::function<bool(std::int64_t layer)>& usual,
                                   RopeUse rope = RopeUse::global) const;
  /// Qwen's: none unless use_sliding_window; as usual from max_window_layers on.
  std::vector<LayerTraits> late_windows(std::int64_t layers) const;
  /// rope_parameters (v5), or rope_theta with rope_scaling. InputError: a kind that is not known.
  RopeConfig rope(double default_theta) const;
  /// The same where a part of each head may be turned.
  RopeConfig partial_rope(double default_theta) const;
  /// The same of the layers of one type, "full_attention" or "sliding_attention": an entry of
  /// rope_parameters, or theta_key with, for full attention, rope_scaling.
  RopeConfig layer_rope(std::string_view type, std::string_view theta_key,
                        double default_theta) const;
  /// pad_token_id; `fallback` where the key is missing, none where it is null or no token at all.
  std::optional<std::int64_t> padding_token(std::int64_t vocabulary,
                                            std::optional<std::int64_t> fallback = {}) const;
  /// The sizes every decoder has, checked against each other.
  DecoderConfig sizes() const;

 private:
  RopeConfig scaled_rope(const Json* settings, double theta) const;
  void read_yarn(RopeConfig& rope) const;
  void read_longrope(RopeConfig& rope) const;
  std::vector<float> factors(std::string_view key) const;
  const Json* find(std::string_view key) const;
  const Json& config_;
  std::string_view source_;
};

}  // namespace elenchus
