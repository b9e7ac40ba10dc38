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

/// The adapter of a decoder.
struct AdapterPlan {
  /// Rank of a projection's adapter, 0 where it has none: [layer * 7 + place in kProjectionSlots].
  std::vector<std::int64_t> ranks;
  double scale = 0;  ///< lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora
  float dropout = 0;
  /// The adapted modules' last names ("q_proj"), sorted: adapter_config.json's target_modules.
  std::vector<std::string> target_names;

  std::int64_t rank(std::int64_t layer, int projection) const {
    return ranks.empty()
               ? 0
               : ranks[std::size_t(layer * std::int64_t(std::size(kProjectionSlots)) + projection)];
  }
};

/// Resolves target_modules as PEFT: names match a module's whole name or its end after a dot;
/// "all-linear" means every projection of every block; a single entry with a regular expression's
/// characters must match a whole name. UserError: a name that matches nothing (the message lists
/// what there is).
AdapterPlan plan_adapter(const LoraConfig& config, const Architecture& architecture,
                         const DecoderConfig& decoder);

/// The trained tensors that a plan asks for: block by block, group by group, all A of a group
/// before its B.
std::vector<ParamSet::Entry> adapter_entries(const AdapterPlan& plan,
                                             const Architecture& architecture,
                                             const DecoderConfig& decoder);

/// The parameter that is a classifier's head, f32 [num_labels, C], under transformers' name.
inline constexpr std::string_view kScoreName = "score.weight";

/// A Kaiming-uniform with a = sqrt(5), so uniform in +-1/sqrt(in), each tensor from its own random
/// numbers; B zero; a classifier's head normal with deviation 0.02 (transformers'
/// initializer_range).
void init_adapter(Stream& stream, ParamSet& params, std::uint64_t seed);

/// Sets every parameter from an adapter's tensors. InputError: one is missing, superfluous, of
/// another shape, not finite.
void load_adapter(Stream& stream, ParamSet& params, const TensorSource& source);

/// Whether a projection is a module of its own: not k, v and up where they are fused with q and gate.
bool has_projection(const DecoderConfig& decoder, Slot slot);
/// [out, in] of a projection that is there.
Shape projection_shape(const DecoderConfig& decoder, Slot slot);
/// Whether a projection adds a bias.
bool has_bias(const DecoderConfig& decoder, Slot slot);

}  // namespace elenchus
