#pragma once
// One weight after the other from a model's files onto a device, checked and quantised on the way.

#include <string>
#include <vector>

#include "io/tensor_source.h"
#include "models/architecture.h"
#include "tensor/frozen_weight.h"
#include "tensor/stream.h"

namespace elenchus {

/// Where a model's weights lie and how they are named there.
struct WeightFiles {
  const TensorSource& source;
  const Architecture& architecture;
  bool gguf = false;
};

/// Reads weights into buffers that it keeps. On a dry stream it checks names and shapes and reads
/// nothing.
class WeightReader {
 public:
  WeightReader(Stream& stream, WeightFiles files);

  /// [out, in] in NF4. InputError: missing, another shape, or a value that is not finite (the
  /// message names the tensor).
  FrozenWeight nf4(Slot slot, std::int64_t layer, Shape shape);
  /// [out, in] as it is stored if that is f32, f16 or bf16, else expanded to f32.
  FrozenWeight dense(Slot slot, std::int64_t layer, Shape shape);
  /// The type a dense weight keeps: f32, f16 or bf16.
  DType stored_dtype(Slot slot, std::int64_t layer) const;
  /// f32, any shape of one extent.
  ConstTensor vector(Slot slot, std::int64_t layer, std::string_view part, std::int64_t length);
  /// Whether the vocabulary's logits have a matrix apart from the embedding: not tied, and one is stored.
  bool has_own_head(bool tied) const;
  /// f32 [n] on the host of a tensor outside the slots, or empty if the file has none.
  std::vector<float> extra(std::string_view name) const;

  /// For attention in GGUF files: heads whose rows are stored as pairs. 0: rows lie as in Hugging
  /// Face files.
  void set_paired_rows(std::int64_t head_dim) { paired_head_dim_ = head_dim; }
  /// The buffers, to be kept as long as the weights are used.
  std::vector<Buffer> take_buffers() { return std::move(buffers_); }
  /// A hash of every value read so far, in order.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  std::string name_of(Slot slot, std::int64_t layer, std::string_view part) const;
  const TensorEntry& entry_of(Slot slot, std::int64_t layer, std::string_view part,
                              Shape shape) const;
  std::vector<float> read(const TensorEntry& entry);
  void unpair_rows(std::vector<float>& values, std::int64_t columns) const;
  Tensor keep(Shape shape, DType dtype);
  Tensor upload(ConstTensor host);

  Stream& stream_;
  WeightFiles files_;
  std::vector<Buffer> buffers_;
  ConstTensor scale_map_;
  std::int64_t paired_head_dim_ = 0;
  std::uint64_t fingerprint_ = 0x9E3779B97F4A7C15u;
};

}  // namespace elenchus
