#pragma once
// What is trained.

#include <span>
#include <string>
#include <vector>

#include "tensor/stream.h"

namespace elenchus {

/// One trained tensor. f32; backward adds to grad.
struct Param {
  std::string name;  ///< as PEFT writes it, without "base_model.model.":
                     ///< "model.layers.0.self_attn.q_proj.lora_A.weight"
  Tensor value, grad;
  bool weight_decay = true;
  double rate_factor = 1;     ///< of the learning rate (LoRA+)
  bool wide_moments = false;  ///< the optimizer keeps moments in f32 whatever it does for others
  std::string second_name{};  ///< the tensor is saved under this name too; empty: once
};

/// All trained tensors of a model, values end to end in one buffer and gradients in another, in the
/// order given.
class ParamSet {
 public:
  struct Entry {
    std::string name;
    Shape shape;
    bool weight_decay = true;
    double rate_factor = 1;
    bool wide_moments = false;
    std::string second_name{};
  };
  ParamSet() = default;
  ParamSet(Stream& stream, std::span<const Entry> entries);
  std::span<Param> params() { return params_; }
  std::span<const Param> params() const { return params_; }
  Param* find(std::string_view name);
  /// All values and all gradients as vectors [P].
  Tensor values() const { return values_.tensor(); }
  Tensor grads() const { return grads_.tensor(); }
  std::int64_t elements() const { return params_.empty() ? 0 : values_.tensor().elements(); }

 private:
  Buffer values_, grads_;
  std::vector<Param> params_;
};

}  // namespace elenchus
