#include "models/adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "models/module_match.h"

namespace elenchus {
namespace {

constexpr int kProjections = int(std::size(kProjectionSlots));
/// Where the groups q|k|v, o, gate|up and down begin, and the end.
constexpr int kGroups[] = {0, 3, 4, 6, 7};

std::string last_name(std::string_view module) {
  return std::string(module.substr(module.rfind('.') + 1));
}

/// PEFT's names of what is trained beside a projection's A and B.
constexpr std::string_view kMagnitude = "lora_magnitude_vector";

std::string bias_name(const AdapterPlan& plan, std::int64_t layer, int projection) {
  return plan.module(layer, projection).rank > 0 ? "base_layer.bias" : "bias";
}

/// rank_pattern or alpha_pattern.
template <class T>
class Patterns {
 public:
  Patterns(const std::map<std::string, T>& values, std::string_view key) : key_(key) {
    for (const auto& [text, value] : values)
      patterns_.push_back({text, ModulePattern(text, key), value});
  }
  /// The value of the key that matches. UserError if two do with different values: PEFT takes the
  /// first, but its file has no order.
  T of(std::string_view module, T fallback) {
    const Pattern* found = nullptr;
    for (Pattern& pattern : patterns_) {
      if (!pattern.matcher.matches(module)) continue;
      pattern.used = true;
      if (found && found->value != pattern.value)
        throw UserError(cat(key_, ": \"", printable(found->text), "\" and \"",
                            printable(pattern.text), "\" both match ", module,
                            "; expected keys that do not overlap"));
      found = &pattern;
    }
    return found ? found->value : fallback;
  }
  void check_used() const {
    for (const Pattern& pattern : patterns_)
      if (!pattern.used)
        throw UserError(cat(key_, ": \"", printable(pattern.text), "\" matches no adapted module"));
  }

 private:
  struct Pattern {
    std::string text;
    ModulePattern matcher;
    T value;
    bool used = false;
  };
  std::string_view key_;
  std::vector<Pattern> patterns_;
};

/// Normal values of mean 0: Box and Muller's transform of pairs of uniform ones.
void fill_normal(std::span<float> values, const RandomKey& key, double deviation) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double radius = std::sqrt(-2 * std::log(1 - double(key.uniform(2 * i))));
    const double angle = 2 * std::numbers::pi * double(key.uniform(2 * i + 1));
    values[i] = float(deviation * radius * std::cos(angle));
  }
}

}  // namespace

bool has_projection(const DecoderConfig& c, Slot slot) {
  return !c.fused_projections || (slot != Slot::k && slot != Slot::v && slot != Slot::up);
}

Shape projection_shape(const DecoderConfig& c, Slot slot) {
  switch (slot) {
    case Slot::q:
      return {(c.heads + (c.fused_projections ? 2 * c.kv_heads : 0)) * c.head_dim, c.width};
    case Slot::k:
    case Slot::v:
      return {c.kv_heads * c.head_dim, c.width};
    case Slot::o:
      return {c.width, c.heads * c.head_dim};
    case Slot::gate:
      return {(c.fused_projections ? 2 : 1) * c.mlp_width, c.width};
    case Slot::up:
      return {c.mlp_width, c.width};
    case Slot::down:
      return {c.width, c.mlp_width};
    default:
      throw InternalError("projection_shape: not a projection");
  }
}

bool has_bias(const DecoderConfig& c, Slot slot) {
  switch (slot) {
    case Slot::q:
    case Slot::k:
    case Slot::v:
      return c.qkv_bias;
    case Slot::o:
      return c.o_bias;
    case Slot::gate:
    case Slot::up:
    case Slot::down:
      return c.mlp_bias;
    default:
      return false;
  }
}

namespace {

[[noreturn]] void throw_no_module(std::string_view key, const std::string& entry,
                                  const std::set<std::string>& there) {
  std::string known;
  for (const std::string& name : there) known += (known.empty() ? "" : ", ") + name;
  throw UserError(cat(key, ": \"", printable(entry),
                      "\" matches no projection of this model; it has: ", known,
                      key == "lora.target_modules" ? " (or write all-linear)" : ""));
}

/// layers_to_transform and layers_pattern: the blocks that are adapted, by their number in the
/// names of modules.
class ChosenLayers {
 public:
  ChosenLayers(const LoraConfig& config, const ModuleList& targets, std::int64_t layers)
      : wanted_(config.layers_to_transform) {
    if (!wanted_.empty() && targets.is_pattern())
      throw UserError(
          "lora.layers_to_transform: lora.target_modules is a regular expression, which says "
          "itself "
          "which blocks are meant; expected a list of modules, or all-linear");
    for (const int layer : wanted_)
      if (!config.exists && (layer < 0 || layer >= layers))
        throw UserError(cat("lora.layers_to_transform: found ", layer,
                            "; expected blocks of this model, 0 to ", layers - 1));
    for (const std::string& pattern : config.layers_pattern)
      patterns_.emplace_back(cat("(?:.*?\\.)?(?:", pattern, ")\\.[0-9]+\\..*"),
                             "lora.layers_pattern");
  }
  bool have(const std::string& module) const {
    if (wanted_.empty()) return true;
    const auto matches = [&](const RecipeRegex& regex) { return regex.matches(module); };
    if (!patterns_.empty() && std::ranges::none_of(patterns_, matches)) return false;
    // A module's name has one number: that of its block.
    const std::size_t digit = module.find_first_of("0123456789");
    const int layer = digit == module.npos ? -1 : std::atoi(module.c_str() + digit);
    return std::ranges::find(wanted_, layer) != wanted_.end();
  }

 private:
  const std::vector<int>& wanted_;
  std::vector<RecipeRegex> patterns_;
};

}  // namespace

AdapterPlan plan_adapter(const LoraConfig& config, const Architecture& architecture,
                         const DecoderConfig& decoder) {
  AdapterPlan plan;
  plan.dropout = float(config.lora_dropout);
  plan.use_dora = config.use_dora;
  plan.b_rate_factor = config.loraplus_lr_ratio;
  std::set<std::string> adapted, there;
  std::vector<std::string> whole_names;
  ModuleList targets(config.target_modules, "lora.target_modules"),
      excluded(config.exclude_modules, "lora.exclude_modules");
  const ChosenLayers chosen(config, targets, decoder.layers);
  Patterns ranks(config.rank_pattern, "lora.rank_pattern");
  Patterns alphas(config.alpha_pattern, "lora.alpha_pattern");
  for (std::int64_t layer = 0; layer < decoder.layers; ++layer)
    for (const Slot slot : kProjectionSlots) {
      if (!has_projection(decoder, slot)) {
        plan.modules.emplace_back();
        continue;
      }
      const std::string name = architecture.module_name(slot, layer);
      there.insert(last_name(name));
      const bool asked_for = targets.matches(name), left_out = excluded.matches(name);
      ModulePlan module;
      if (asked_for && !left_out && chosen.have(name)) {
        adapted.insert(last_name(name));
        whole_names.push_back(name);
        module.rank = ranks.of(name, config.r);
        const double divisor =
            config.use_rslora ? std::sqrt(double(module.rank)) : double(module.rank);
        module.scale = alphas.of(name, config.lora_alpha) / divisor;
      }
      module.bias =
          has_bias(decoder, slot) &&
          (config.bias == LoraBias::all || (config.bias == LoraBias::lora_only && module.rank > 0));
      plan.modules.push_back(module);
    }
  if (!config.exists) {
    if (const std::string* entry = targets.unused())
      throw_no_module("lora.target_modules", *entry, there);
    if (const std::string* entry = excluded.unused())
      throw_no_module("lora.exclude_modules", *entry, there);
    ranks.check_used();
    alphas.check_used();
  }
  if (adapted.empty())
    throw UserError("lora.target_modules: no module is left to adapt, so nothing would be trained");
  plan.targets = targets.is_pattern() ? AdapterPlan::Modules{{}, config.target_modules[0]}
                                      : AdapterPlan::Modules{config.target_modules, {}};
  if (!architecture.left_out.empty() && !targets.is_pattern())
    plan.targets.names = whole_names;  // other modules may have names that end alike
  else if (std::ranges::find(config.target_modules, "all-linear") != config.target_modules.end())
    plan.targets.names.assign(adapted.begin(), adapted.end());
  plan.excluded = excluded.is_pattern() ? AdapterPlan::Modules{{}, config.exclude_modules[0]}
                                        : AdapterPlan::Modules{config.exclude_modules, {}};
  return plan;
}

std::vector<ParamSet::Entry> adapter_entries(const AdapterPlan& plan,
                                             const Architecture& architecture,
                                             const DecoderConfig& decoder) {
  std::vector<ParamSet::Entry> entries;
  const auto add = [&](std::int64_t layer, int projection, std::string_view part) {
    const ModulePlan module = plan.module(layer, projection);
    if (module.rank == 0 && !module.bias) return;
    const Slot slot = kProjectionSlots[projection];
    const Shape shape = projection_shape(decoder, slot);
    const std::string name = architecture.module_name(slot, layer) + ".";
    const double b_rate = plan.b_rate_factor;
    if (part == "bias") {
      if (module.bias)
        entries.push_back({name + bias_name(plan, layer, projection), {shape[0]}, false, b_rate});
    } else if (module.rank == 0) {
      return;
    } else if (part == "lora_A") {
      entries.push_back({name + "lora_A.weight", {module.rank, shape[1]}});
    } else if (part == "lora_B") {
      entries.push_back({name + "lora_B.weight", {shape[0], module.rank}, true, b_rate});
    } else if (plan.use_dora) {
      entries.push_back({cat(name, kMagnitude), {shape[0]}, true, b_rate});
    }
  };
  for (std::int64_t layer = 0; layer < decoder.layers; ++layer)
    for (std::size_t group = 0; group + 1 < std::size(kGroups); ++group)
      for (const std::string_view part : {"lora_A", "lora_B", "magnitude", "bias"})
        for (int projection = kGroups[group]; projection < kGroups[group + 1]; ++projection)
          add(layer, projection, part);
  static_assert(kGroups[4] == kProjections);
  return entries;
}

AdapterParams find_params(ParamSet& params, const AdapterPlan& plan,
                          const Architecture& architecture, std::int64_t layer, int projection) {
  const auto find = [&](std::string_view part) {
    return params.find(
        cat(architecture.module_name(kProjectionSlots[projection], layer), ".", part));
  };
  return {.a = find("lora_A.weight"),
          .b = find("lora_B.weight"),
          .magnitude = find(kMagnitude),
          .bias = find(bias_name(plan, layer, projection))};
}

void init_adapter(Stream& stream, ParamSet& params, std::uint64_t seed) {
  if (stream.dry()) return;
  std::uint32_t index = 0;
  for (Param& param : params.params()) {
    const RandomKey key{.seed = seed, .use = RandomUse::lora_init, .step = index++, .site = 0};
    const bool is_a = param.name.ends_with("lora_A.weight"), is_score = param.name == kScoreName;
    if (!is_a && !is_score && !param.name.ends_with("lora_B.weight")) continue;
    std::vector<float> values(std::size_t(param.value.elements()), 0.0f);
    if (is_a) {
      const float bound = 1 / std::sqrt(float(param.value.dim(1)));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = (2 * key.uniform(i) - 1) * bound;
    } else if (is_score) {
      fill_normal(values, key, 0.02);
    }
    stream.copy(param.value, ConstTensor(values.data(), param.value.shape(), DType::f32));
    stream.synchronize();
  }
}

namespace {

bool has_name(const ParamSet& params, std::string_view name) {
  return std::ranges::any_of(params.params(), [&](const Param& param) {
    return param.name == name || param.second_name == name;
  });
}

}  // namespace

void load_adapter(Stream& stream, ParamSet& params, const TensorSource& source) {
  if (stream.dry()) return;
  constexpr std::string_view kPrefix = "base_model.model.";
  for (const TensorEntry& entry : source.entries())
    if (!entry.name.starts_with(kPrefix) ||
        !has_name(params, std::string_view(entry.name).substr(kPrefix.size())))
      throw InputError(cat(source.description(), ": tensor ", printable(entry.name),
                           " has no place in this model; the adapter was made for another model or "
                           "other target_modules"));
  for (Param& param : params.params()) {
    const TensorEntry& entry = source.at(cat(kPrefix, param.name));
    std::vector<std::int64_t> shape;
    for (int i = 0; i < param.value.shape().rank(); ++i) shape.push_back(param.value.dim(i));
    if (entry.shape != shape)
      throw InputError(cat(source.description(), ": tensor ", printable(entry.name), " has shape ",
                           entry.shape_text(), "; expected ", param.value.shape().text()));
    std::vector<float> values(std::size_t(entry.elements()));
    source.read_f32(entry, 0, values);
    for (const float v : values)
      if (!std::isfinite(v))
        throw InputError(cat(source.description(), ": tensor ", printable(entry.name),
                             " holds NaN or infinity"));
    stream.copy(param.value, ConstTensor(values.data(), param.value.shape(), DType::f32));
    stream.synchronize();
  }
}

}  // namespace elenchus
