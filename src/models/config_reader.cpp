#include "models/config_reader.h"

#include <cmath>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {
namespace {

constexpr std::int64_t kMaxLayers = 1024, kMaxWidth = 65536, kMaxVocabulary = std::int64_t{1} << 24;
constexpr std::int64_t kMaxHeadDim = 512;  // what attention is built for

void expect_whole_heads(const RopeConfig& rope, std::string_view source) {
  if (rope.rotary_share != 1)
    throw InputError(cat(source,
                         ": partial_rotary_factor is not 1; models of this family turn whole "
                         "heads"));
  if (rope.kind == RopeConfig::Kind::longrope)
    throw InputError(cat(source, ": rope_type longrope belongs to Phi models"));
}

}  // namespace

const Json* ConfigReader::find(std::string_view key) const {
  const Json* value = config_.find(key);
  return value && !value->is_null() ? value : nullptr;
}

std::int64_t ConfigReader::integer(std::string_view key, std::int64_t low, std::int64_t high,
                                   std::optional<std::int64_t> fallback) const {
  const Json* value = find(key);
  if (!value && fallback) return *fallback;
  if (!value) throw InputError(cat(source_, ": key \"", key, "\" is missing"));
  if (!value->is_integer() || value->as_integer(key) < low || value->as_integer(key) > high)
    throw InputError(cat(source_, ": ", key, " is ", printable(value->dump()),
                         "; expected an integer from ", low, " to ", high));
  return value->as_integer(key);
}

double ConfigReader::positive(std::string_view key, std::optional<double> fallback) const {
  const Json* value = find(key);
  if (!value && fallback) return *fallback;
  if (!value) throw InputError(cat(source_, ": key \"", key, "\" is missing"));
  if (!value->is_number() || !std::isfinite(value->as_number(key)) || value->as_number(key) <= 0)
    throw InputError(cat(source_, ": ", key, " is ", printable(value->dump()),
                         "; expected a finite number above 0"));
  return value->as_number(key);
}

bool ConfigReader::boolean(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  return value ? value->as_boolean(cat(source_, ": ", key)) : fallback;
}

std::string ConfigReader::text(std::string_view key, std::string_view fallback) const {
  const Json* value = find(key);
  return value ? value->as_string(cat(source_, ": ", key)) : std::string(fallback);
}

void ConfigReader::expect_text(std::string_view key, std::string_view wanted) const {
  const std::string found = text(key, wanted);
  if (found != wanted)
    throw InputError(cat(source_, ": ", key, " is \"", printable(found),
                         "\"; models of this family have \"", wanted, "\""));
}

void ConfigReader::expect_false(std::string_view key) const {
  if (boolean(key, false))
    throw InputError(cat(source_, ": ", key, " is true, which this build does not do"));
}

float ConfigReader::soft_cap(std::string_view key, double fallback) const {
  const Json* value = config_.find(key);
  if (!value ? fallback == 0 : value->is_null()) return 0;
  return float(positive(key, fallback));
}

std::optional<std::int64_t> ConfigReader::padding_token(
    std::int64_t vocabulary, std::optional<std::int64_t> fallback) const {
  const Json* value = config_.find("pad_token_id");
  if (value && !value->is_integer()) return {};
  std::optional<std::int64_t> token = value ? value->as_integer("pad_token_id") : fallback;
  if (token && *token < 0) *token += vocabulary;  // as PyTorch counts
  return token && *token >= 0 && *token < vocabulary ? token : std::nullopt;
}

std::vector<LayerTraits> ConfigReader::windows(std::int64_t layers, std::int64_t fallback,
                                               const std::function<bool(std::int64_t)>& usual,
                                               RopeUse rope) const {
  const Json* stored = config_.find("sliding_window");
  const std::int64_t window = stored && stored->is_null()
                                  ? 0
                                  : integer("sliding_window", 0, std::int64_t{1} << 31, fallback);
  std::vector<LayerTraits> traits(std::size_t(layers), LayerTraits{});
  const Json* types = find("layer_types");
  const std::string where = cat(source_, ": layer_types");
  if (types && types->as_array(where).size() != traits.size())
    throw InputError(cat(where, " has ", types->as_array(where).size(),
                         " entries; num_hidden_layers is ", layers));
  for (std::size_t i = 0; i < traits.size(); ++i) {
    bool windowed = usual(std::int64_t(i));
    if (types) {
      const std::string& type = types->as_array(where)[i].as_string(where);
      windowed = type == "sliding_attention";
      if (!windowed && type != "full_attention")
        throw InputError(cat(where, "[", i, "] is \"", printable(type),
                             "\"; expected sliding_attention or full_attention"));
    }
    if (windowed) traits[i] = {.window = window, .rope = rope};
  }
  return traits;
}

std::vector<LayerTraits> ConfigReader::late_windows(std::int64_t layers) const {
  if (!boolean("use_sliding_window", false)) return {};
  const std::int64_t first = integer("max_window_layers", 0, kMaxLayers, 28);
  return windows(layers, 4096, [first](std::int64_t layer) { return layer >= first; });
}

RopeConfig ConfigReader::rope(double default_theta) const {
  const RopeConfig rope = partial_rope(default_theta);
  expect_whole_heads(rope, source_);
  return rope;
}

RopeConfig ConfigReader::partial_rope(double default_theta) const {
  const Json* settings = find("rope_parameters");
  if (!settings) settings = find("rope_scaling");
  RopeConfig rope = scaled_rope(settings, positive("rope_theta", default_theta));
  rope.rotary_share = positive("partial_rotary_factor", rope.rotary_share);
  if (rope.kind == RopeConfig::Kind::plain)  // a GGUF file has LongRoPE's factors in tensors
    rope.original_positions = positive("original_max_position_embeddings", rope.original_positions);
  return rope;
}

RopeConfig ConfigReader::layer_rope(std::string_view type, std::string_view theta_key,
                                    double default_theta) const {
  const Json* settings = find("rope_parameters");
  if (settings) {
    settings->as_object(cat(source_, ": rope_parameters"));
    settings = settings->find(type);
    if (settings && settings->is_null()) settings = nullptr;
  } else if (type == "full_attention") {
    settings = find("rope_scaling");
  }
  const RopeConfig rope = scaled_rope(settings, positive(theta_key, default_theta));
  expect_whole_heads(rope, source_);
  return rope;
}

RopeConfig ConfigReader::scaled_rope(const Json* settings, double theta) const {
  RopeConfig rope;
  rope.theta = theta;
  if (!settings) return rope;
  const std::string where = cat(source_, ": rope settings");
  settings->as_object(where);
  const ConfigReader inner(*settings, where);
  rope.theta = inner.positive("rope_theta", rope.theta);
  rope.rotary_share = inner.positive("partial_rotary_factor", 1);
  const std::string kind = inner.text("rope_type", inner.text("type", "default"));
  if (kind == "default") return rope;
  const double positions =
      double(integer("max_position_embeddings", 1, std::int64_t{1} << 31, 8192));
  rope.original_positions = positive("original_max_position_embeddings",
                                     inner.positive("original_max_position_embeddings", positions));
  const bool has_ratio = kind == "yarn" || kind == "longrope" || kind == "su";
  rope.factor = has_ratio ? inner.positive("factor", positions / rope.original_positions)
                          : inner.positive("factor");
  if (kind == "linear") {
    rope.kind = RopeConfig::Kind::linear;
  } else if (kind == "dynamic") {
    rope.kind = RopeConfig::Kind::dynamic;
    rope.original_positions = positions;
  } else if (kind == "llama3") {
    rope.kind = RopeConfig::Kind::llama3;
    rope.low_frequency_factor = inner.positive("low_freq_factor");
    rope.high_frequency_factor = inner.positive("high_freq_factor");
    if (rope.high_frequency_factor <= rope.low_frequency_factor)
      throw InputError(cat(where, ": high_freq_factor must be above low_freq_factor"));
  } else if (kind == "yarn") {
    inner.read_yarn(rope);
  } else if (kind == "longrope" || kind == "su") {
    inner.read_longrope(rope);
  } else {
    throw InputError(
        cat(where, ": rope_type \"", printable(kind),
            "\" is not known; known: default, linear, dynamic, llama3, yarn, longrope"));
  }
  return rope;
}

std::vector<float> ConfigReader::factors(std::string_view key) const {
  const Json* value = find(key);
  if (!value) throw InputError(cat(source_, ": key \"", key, "\" is missing"));
  const std::string where = cat(source_, ": ", key);
  std::vector<float> out;
  for (const Json& item : value->as_array(where)) {
    out.push_back(float(item.as_number(where)));
    if (!(out.back() > 0) || !std::isfinite(out.back()))
      throw InputError(cat(where, " has ", printable(item.dump()), "; expected numbers above 0"));
  }
  return out;
}

void ConfigReader::read_longrope(RopeConfig& rope) const {
  rope.kind = RopeConfig::Kind::longrope;
  if (rope.original_positions < 2)
    throw InputError(cat(source_, ": original_max_position_embeddings is ", rope.original_positions,
                         "; expected at least 2"));
  rope.short_factors = factors("short_factor");
  rope.long_factors = factors("long_factor");
  if (find("attention_factor")) rope.attention_factor = positive("attention_factor");
}

void ConfigReader::read_yarn(RopeConfig& rope) const {
  rope.kind = RopeConfig::Kind::yarn;
  rope.beta_fast = positive("beta_fast", 32);
  rope.beta_slow = positive("beta_slow", 1);
  rope.truncate = boolean("truncate", true);
  const auto scale = [&](double mscale) {
    return rope.factor > 1 ? 0.1 * mscale * std::log(rope.factor) + 1 : 1;
  };
  if (find("attention_factor"))
    rope.attention_factor = positive("attention_factor");
  else if (find("mscale") && find("mscale_all_dim"))
    rope.attention_factor = scale(positive("mscale")) / scale(positive("mscale_all_dim"));
}

DecoderConfig ConfigReader::sizes() const {
  DecoderConfig c;
  c.width = integer("hidden_size", 1, kMaxWidth);
  c.layers = integer("num_hidden_layers", 1, kMaxLayers);
  c.heads = integer("num_attention_heads", 1, kMaxWidth);
  c.kv_heads = integer("num_key_value_heads", 1, kMaxWidth, c.heads);
  if (!find("head_dim") && c.width % c.heads != 0)
    throw InputError(cat(source_, ": hidden_size ", c.width,
                         " is not a multiple of num_attention_heads ", c.heads));
  c.head_dim = integer("head_dim", 2, kMaxHeadDim, c.width / c.heads);
  if (c.head_dim < 2 || c.head_dim > kMaxHeadDim)
    throw InputError(cat(source_, ": hidden_size ", c.width, " over ", c.heads,
                         " heads makes heads of ", c.head_dim, "; expected 2 to ", kMaxHeadDim));
  c.mlp_width = integer("intermediate_size", 1, std::int64_t{1} << 20);
  c.vocabulary = integer("vocab_size", 1, kMaxVocabulary);
  c.max_positions = integer("max_position_embeddings", 1, std::int64_t{1} << 31, 2048);
  c.padding_token = padding_token(c.vocabulary);
  c.norm_epsilon = float(positive("rms_norm_eps", 1e-6));
  if (c.heads % c.kv_heads != 0)
    throw InputError(cat(source_, ": num_attention_heads ", c.heads,
                         " is not a multiple of num_key_value_heads ", c.kv_heads));
  if (c.head_dim % 2 != 0)
    throw InputError(cat(source_, ": head_dim ", c.head_dim, " is odd; expected an even number"));
  c.rotary_dim = c.head_dim;
  return c;
}

}  // namespace elenchus
