#pragma once
// Weights that bitsandbytes has quantised to NF4 and stored in safetensors ("*-bnb-4bit" folders).

#include <string>
#include <vector>

#include "base/json.h"
#include "io/tensor_source.h"
#include "tensor/tensor.h"

namespace elenchus {

/// Whether config.json's quantization_config says that the weights are in NF4 already. InputError:
/// another quantised form, which the message names.
bool is_prequantised(const Json& config, std::string_view source);

/// Whether the tensor NAME ("...q_proj.weight") is stored in NF4.
bool is_bnb_nf4(const TensorSource& source, const std::string& name);

/// The parts of one stored weight, as Nf4Weight has them.
struct BnbParts {
  std::vector<std::byte> codes, scale_codes;
  std::vector<float> scale_scales, scale_map, absmax;
  float scale_offset = 0;
};

/// A stored weight: its entries found and checked, nothing but the small state read.
class BnbWeight {
 public:
  /// InputError: a part is missing, of another size or type, or made with other settings (block
  /// size, code table); or the weight's shape is not `shape`.
  BnbWeight(const TensorSource& source, const std::string& name, Shape shape);
  /// Whether its scales are quantised too.
  bool nested() const { return nested_; }
  /// InputError: a scale that is not finite, or another table of codes.
  BnbParts read() const;

 private:
  const TensorEntry& part(std::string_view suffix, std::int64_t bytes) const;
  std::vector<float> floats(std::string_view suffix, std::int64_t count) const;
  std::vector<std::byte> bytes(std::string_view suffix, std::int64_t count) const;
  void read_state(Shape shape);
  [[noreturn]] void refuse(std::string_view what) const;

  const TensorSource& source_;
  std::string name_;
  std::int64_t elements_;
  bool nested_ = false;
  double offset_ = 0;
};

}  // namespace elenchus
