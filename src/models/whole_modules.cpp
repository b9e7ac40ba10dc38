#include "models/whole_modules.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "models/module_match.h"

namespace elenchus {
namespace {

/// PEFT adds both names of a classifier's head by itself.
bool is_classifier_head(std::string_view entry) {
  return entry == "score" || entry == "classifier";
}

WholeModule module_of(Slot slot, const Architecture& architecture, Shape shape) {
  return {.slot = slot, .name = architecture.module_name(slot, 0), .shape = shape};
}

}  // namespace

ParamSet::Entry WholeModule::entry() const {
  // bitsandbytes' optimizers keep 32-bit moments for embeddings, as the Trainer asks them to.
  return {.name = name + ".weight",
          .shape = shape,
          .wide_moments = slot == Slot::embedding,
          .second_name = second_name};
}

std::vector<WholeModule> whole_modules(const WholeRequest& request,
                                       const Architecture& architecture,
                                       const DecoderConfig& decoder) {
  std::vector<WholeModule> there, asked;
  const Shape vocabulary{decoder.vocabulary, decoder.width};
  there.push_back(module_of(Slot::embedding, architecture, vocabulary));
  if (request.num_labels == 0) there.push_back(module_of(Slot::head, architecture, vocabulary));
  if (request.num_labels > 0)
    asked.push_back(module_of(Slot::score, architecture, Shape{request.num_labels, decoder.width}));
  if (!request.lora) return asked;
  const LoraConfig& lora = *request.lora;
  for (const std::string& entry : lora.modules_to_save) {
    if (request.num_labels > 0 && is_classifier_head(entry)) continue;
    const auto found = std::ranges::find_if(
        there, [&](const WholeModule& module) { return names_module(entry, module.name); });
    if (found == there.end()) {
      std::string known;
      for (const WholeModule& module : there) known += (known.empty() ? "" : ", ") + module.name;
      throw UserError(
          cat("lora.modules_to_save: \"", printable(entry),
              "\" is no module that can be trained whole; of this model those are: ", known));
    }
    const auto is_it = [&](const WholeModule& module) { return module.slot == found->slot; };
    if (std::ranges::none_of(asked, is_it)) asked.push_back(*found);
  }
  const auto shares = [](const WholeModule& module) { return module.slot != Slot::score; };
  const bool tied = lora.ensure_weight_tying && request.tied_head && request.num_labels == 0;
  if (!tied || std::ranges::none_of(asked, shares)) return asked;
  WholeModule both = there[0];
  both.second_name = there[1].name + ".weight";
  return {both};
}

}  // namespace elenchus
