#pragma once
// Which projections of a decoder are adapted, and the adapter's tensors: made, loaded, named for
// saving.

#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "io/tensor_source.h"
#include "models/architecture.h"
#include "models/model_config.h"
#include "nn/param.h"

namespace elenchus {

/// The seven projections of a block, in the order of their groups: q|k|v, o, gate|up, down.
inline constexpr Slot kProjectionSlots[] = {Slot::q,    Slot::k,  Slot::v,   Slot::o,
                                            Slot::gate, Slot::up, Slot::down};

/// What is trained of one projection.
struct ModulePlan {
  std::int64_t rank = 0;  ///< 0 without an adapter
  double scale = 0;       ///< lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora
  bool bias = false;      ///< its bias is trained
};

/// The adapter of a decoder.
struct AdapterPlan {
  std::vector<ModulePlan> modules;  ///< [layer * 7 + place in kProjectionSlots]; empty without one
  float dropout = 0;
  bool use_dora = false;
  double b_rate_factor = 1;  ///< learning rate of all but A over that of A (LoRA+, as PEFT)
  /// adapter_config.json's target_modules and exclude_modules: the names asked for (for
  /// "all-linear" those adapted; beside an image encoder whole names), or the regular expression.
  struct Modules {
    std::vector<std::string> names;
    std::string pattern;
  };
  Modules targets, excluded;

  ModulePlan module(std::int64_t layer, int projection) const {
    const std::int64_t at = layer * std::int64_t(std::size(kProjectionSlots)) + projection;
    return modules.empty() ? ModulePlan{} : modules[std::size_t(at)];
  }
};

/// Resolves target_modules, exclude_modules and the patterns as PEFT: names match a module's whole
/// name or its end after a dot; "all-linear" means every projection of every block; a single entry
/// with a regular expression's characters must match a whole name. UserError: a name or pattern that
/// matches nothing (the message lists what there is), a block that is not there. PEFT lets both
/// pass, and so does this of an adapter that exists: its tensors say what there is.
AdapterPlan plan_adapter(const LoraConfig& config, const Architecture& architecture,
                         const DecoderConfig& decoder);

/// The trained tensors that a plan asks for: block by block, group by group, all A of a group
/// before its B, then magnitudes, then biases.
std::vector<ParamSet::Entry> adapter_entries(const AdapterPlan& plan,
                                             const Architecture& architecture,
                                             const DecoderConfig& decoder);

/// The parameter that is a classifier's head, f32 [num_labels, C], under transformers' name.
inline constexpr std::string_view kScoreName = "score.weight";

/// The parameters of one projection; null where it has none.
struct AdapterParams {
  Param *a = nullptr, *b = nullptr, *magnitude = nullptr, *bias = nullptr;
};
AdapterParams find_params(ParamSet& params, const AdapterPlan& plan,
                          const Architecture& architecture, std::int64_t layer, int projection);

/// A Kaiming-uniform with a = sqrt(5), so uniform in +-1/sqrt(in), each tensor from its own random
/// numbers; B zero; a classifier's head normal with deviation 0.02 (transformers'
/// initializer_range). Magnitudes and biases are left: they start at the weights'.
void init_adapter(Stream& stream, ParamSet& params, std::uint64_t seed);

/// Sets every parameter from an adapter's tensors. InputError: one is missing, superfluous, of
/// another shape, not finite.
void load_adapter(Stream& stream, ParamSet& params, const TensorSource& source);

/// Whether a projection is a module of its own: k, v and up are not where they are fused with q and
/// gate.
bool has_projection(const DecoderConfig& decoder, Slot slot);
/// [out, in] of a projection that is there.
Shape projection_shape(const DecoderConfig& decoder, Slot slot);
/// Whether a projection adds a bias.
bool has_bias(const DecoderConfig& decoder, Slot slot);

}  // namespace elenchus
