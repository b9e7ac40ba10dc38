#pragma once
// Where a model's weights come from: its files, or nowhere (random ones, for benchmarks).

#include <string>
#include <string_view>
#include <vector>

#include "models/architecture.h"
#include "tensor/frozen_weight.h"
#include "tensor/stream.h"

namespace elenchus {

/// One weight after the other onto a device, in buffers that the source keeps until they are taken.
/// On a dry stream nothing is read: shapes alone count.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// What the weights come from, for messages: a path.
  virtual std::string description() const = 0;
  /// [out, in] in NF4: as bitsandbytes stored it, or quantised here. Dense where the file says
  /// which weights are in NF4 and this one is not. InputError: missing, another shape, or a value
  /// that is not finite (the message names the tensor).
  virtual FrozenWeight nf4(Slot slot, std::int64_t layer, Shape shape) = 0;
  /// [out, in] in f32, f16 or bf16, whichever it is stored in; other formats expanded to f32.
  virtual FrozenWeight dense(Slot slot, std::int64_t layer, Shape shape) = 0;
  /// Writes [out, in] into `out` f32 on the stream's device: a matrix that is trained. InputError
  /// also where it is stored in NF4.
  virtual void read_into(Tensor out, Slot slot, std::int64_t layer) = 0;
  /// f32, any shape of one extent.
  virtual ConstTensor vector(Slot slot, std::int64_t layer, std::string_view part,
                             std::int64_t length) = 0;
  /// Whether the vocabulary's logits have a matrix apart from the embedding: not tied, and one is
  /// stored.
  virtual bool has_own_head(bool tied) const = 0;
  /// f32 [n] on the host of a tensor outside the slots, or empty if there is none.
  virtual std::vector<float> extra(std::string_view name) const = 0;
  /// For attention in GGUF files: heads whose rows are stored as pairs. 0: rows lie as in Hugging
  /// Face files.
  virtual void set_paired_rows(std::int64_t head_dim) = 0;
  /// The buffers, to be kept as long as the weights are used.
  virtual std::vector<Buffer> take_buffers() = 0;
  /// A hash of every value read so far, in order.
  virtual std::uint64_t fingerprint() const = 0;
};

}  // namespace elenchus
