#pragma once
// Modules that are trained and saved whole, in f32, beside the adapters: PEFT's modules_to_save.

#include <optional>
#include <string>
#include <vector>

#include "models/architecture.h"
#include "models/model_config.h"
#include "nn/param.h"

namespace elenchus {

struct WholeModule {
  Slot slot;         ///< embedding, head or score
  std::string name;  ///< as PEFT: "lm_head"
  Shape shape;
  std::string second_name{};  ///< of a tied head that shares the values; empty: there is none

  ParamSet::Entry entry() const;
};

/// What decides which modules are trained whole.
struct WholeRequest {
  const std::optional<LoraConfig>& lora;
  bool tied_head = false;       ///< the head's matrix is the embedding's
  std::int64_t num_labels = 0;  ///< of a classifier; 0: a language model
};

/// A classifier's head, and what lora.modules_to_save names: whole names or their ends after a dot.
/// A tied head and the embedding are trained apart, each from the same values, as PEFT does; with
/// ensure_weight_tying they are one parameter that is saved under both names. UserError: an entry
/// that names nothing which can be trained whole.
std::vector<WholeModule> whole_modules(const WholeRequest& request,
                                       const Architecture& architecture,
                                       const DecoderConfig& decoder);

}  // namespace elenchus
