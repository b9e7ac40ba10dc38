#include "models/adapter.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/regex.h"

namespace elenchus {
namespace {

constexpr int kProjections = int(std::size(kProjectionSlots));
/// Where the groups q|k|v, o, gate|up and down begin, and the end.
constexpr int kGroups[] = {0, 3, 4, 6, 7};

std::string last_name(std::string_view module) {
  return std::string(module.substr(module.rfind('.') + 1));
}

/// Whether a target that is a list entry names this module.
bool names(std::string_view target, std::string_view module) {
  return module == target || (module.size() > target.size() && module.ends_with(target) &&
                              module[module.size() - target.size() - 1] == '.');
}

/// What target_modules stands for, and which of its entries matched something.
class TargetTest {
 public:
  explicit TargetTest(const std::vector<std::string>& targets) : targets_(targets) {
    if (targets.size() == 1 && targets[0].find_first_of("*+?()[]|^$\\{") != std::string::npos)
      regex_.emplace(targets[0], "lora.target_modules");
  }
  bool operator()(std::string_view module) {
    bool any = false;
    for (const std::string& target : targets_)
      if (target == "all-linear" || (regex_ ? regex_->matches(module) : names(target, module)))
        any = (used_.insert(target), true);
    return any;
  }
  bool used(const std::string& target) const { return used_.contains(target); }

 private:
  const std::vector<std::string>& targets_;
  std::optional<RecipeRegex> regex_;
  std::set<std::string> used_;
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

AdapterPlan plan_adapter(const LoraConfig& config, const Architecture& architecture,
                         const DecoderConfig& decoder) {
  AdapterPlan plan{.ranks = {},
                   .scale = config.lora_alpha /
                            (config.use_rslora ? std::sqrt(double(config.r)) : double(config.r)),
                   .dropout = float(config.lora_dropout),
                   .target_names = {}};
  std::set<std::string> adapted, there;
  TargetTest is_target(config.target_modules);
  for (std::int64_t layer = 0; layer < decoder.layers; ++layer)
    for (const Slot slot : kProjectionSlots) {
      if (!has_projection(decoder, slot)) {
        plan.ranks.push_back(0);
        continue;
      }
      const std::string module = architecture.module_name(slot, layer);
      const bool chosen = is_target(module);
      plan.ranks.push_back(chosen ? config.r : 0);
      there.insert(last_name(module));
      if (chosen) adapted.insert(last_name(module));
    }
  for (const std::string& target : config.target_modules)
    if (!is_target.used(target)) {
      std::string known;
      for (const std::string& name : there) known += (known.empty() ? "" : ", ") + name;
      throw UserError(cat("lora.target_modules: \"", printable(target),
                          "\" matches no projection of this model; it has: ", known,
                          " (or write all-linear)"));
    }
  if (adapted.empty())
    throw UserError("lora.target_modules: the list is empty, so nothing would be trained");
  plan.target_names.assign(adapted.begin(), adapted.end());
  return plan;
}

std::vector<ParamSet::Entry> adapter_entries(const AdapterPlan& plan,
                                             const Architecture& architecture,
                                             const DecoderConfig& decoder) {
  std::vector<ParamSet::Entry> entries;
  const auto add = [&](std::int64_t layer, int projection, std::string_view factor) {
    const std::int64_t rank = plan.rank(layer, projection);
    if (rank == 0) return;
    const Shape shape = projection_shape(decoder, kProjectionSlots[projection]);
    entries.push_back({architecture.module_name(kProjectionSlots[projection], layer) + "." +
                           std::string(factor) + ".weight",
                       factor == "lora_A" ? Shape{rank, shape[1]} : Shape{shape[0], rank}});
  };
  for (std::int64_t layer = 0; layer < decoder.layers; ++layer)
    for (std::size_t group = 0; group + 1 < std::size(kGroups); ++group)
      for (const std::string_view factor : {"lora_A", "lora_B"})
        for (int projection = kGroups[group]; projection < kGroups[group + 1]; ++projection)
          add(layer, projection, factor);
  static_assert(kGroups[4] == kProjections);
  return entries;
}

void init_adapter(Stream& stream, ParamSet& params, std::uint64_t seed) {
  if (stream.dry()) return;
  std::uint32_t index = 0;
  for (Param& param : params.params()) {
    const RandomKey key{.seed = seed, .use = RandomUse::lora_init, .step = index++, .site = 0};
    std::vector<float> values(std::size_t(param.value.elements()), 0.0f);
    if (param.name.ends_with("lora_A.weight")) {
      const float bound = 1 / std::sqrt(float(param.value.dim(1)));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = (2 * key.uniform(i) - 1) * bound;
    } else if (param.name == kScoreName) {
      fill_normal(values, key, 0.02);
    }
    stream.copy(param.value, ConstTensor(values.data(), param.value.shape(), DType::f32));
    stream.synchronize();
  }
}

void load_adapter(Stream& stream, ParamSet& params, const TensorSource& source) {
  if (stream.dry()) return;
  constexpr std::string_view kPrefix = "base_model.model.";
  for (const TensorEntry& entry : source.entries())
    if (!entry.name.starts_with(kPrefix) ||
        !params.find(std::string_view(entry.name).substr(kPrefix.size())))
      throw InputError(cat(source.description(), ": tensor ", printable(entry.name),
                           " has no place in this model; the adapter was made for another model or "
                           "other target_modules"));
  for (Param& param : params.params()) {
    const TensorEntry& entry = source.at(cat(kPrefix, param.name));
    if (entry.shape != std::vector<std::int64_t>{param.value.dim(0), param.value.dim(1)})
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
