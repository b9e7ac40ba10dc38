#pragma once
// One weight after the other from a model's files onto a device.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "io/tensor_source.h"
#include "models/weight_source.h"
#include "tensor/device_streams.h"

namespace elenchus {

/// Where a model's weights lie and how they are named there.
struct WeightFiles {
  const TensorSource& source;
  const Architecture& architecture;
  bool gguf = false;
  bool prequantised = false;   ///< what is not stored in NF4 stays as it is
  bool double_quant = true;    ///< of NF4 made here: block scales are quantised again
  float norm_offset = 0;       ///< added to the weights of norms
  DType compute = DType::f32;  ///< on CUDA dense weights are kept in it if it is a 16-bit type
};

/// What is copied to a CUDA device at a time, as f32.
inline constexpr std::int64_t kPieceElements = std::int64_t{16} << 20;

/// Reads weights from files, checked and quantised on the way.
class WeightReader final : public WeightSource {
 public:
  WeightReader(Stream& stream, WeightFiles files);

  std::string description() const override { return files_.source.description(); }
  FrozenWeight nf4(Slot slot, std::int64_t layer, Shape shape) override;
  FrozenWeight dense(Slot slot, std::int64_t layer, Shape shape) override;
  void read_into(Tensor out, Slot slot, std::int64_t layer) override;
  ConstTensor vector(Slot slot, std::int64_t layer, std::string_view part,
                     std::int64_t length) override;
  bool has_own_head(bool tied) const override;
  std::vector<float> extra(std::string_view name) const override;
  void set_paired_rows(std::int64_t head_dim) override { paired_head_dim_ = head_dim; }
  std::vector<Buffer> take_buffers() override { return std::move(buffers_); }
  std::uint64_t fingerprint() const override { return fingerprint_; }

 private:
  std::string name_of(Slot slot, std::int64_t layer, std::string_view part) const;
  const TensorEntry& entry_of(Slot slot, std::int64_t layer, std::string_view part,
                              Shape shape) const;
  /// Elements [first, first + out) as f32, by all threads, checked and mixed into the fingerprint.
  void read(const TensorEntry& entry, std::int64_t first, std::span<float> out);
  /// A whole tensor, in `staging_`.
  std::span<float> read(const TensorEntry& entry);
  /// For CUDA. A whole tensor in pieces, in order: use(first element, its values on the host). A
  /// piece lies in pinned memory until the call after the next, so that its copy runs beside the
  /// reading of the next one.
  void read_in_pieces(const TensorEntry& entry,
                      const std::function<void(std::int64_t, std::span<const float>)>& use);
  /// The type that a dense weight has on the device: a 16-bit compute type, or as it is stored.
  DType dense_dtype(Slot slot, std::int64_t layer) const;
  FrozenWeight dense_on_cuda(const TensorEntry& entry, Shape shape, DType dtype);
  ThreadPool& pool();
  void unpair_rows(std::span<float> values, std::int64_t columns) const;
  Tensor keep(Shape shape, DType dtype);
  Tensor upload(ConstTensor host);
  FrozenWeight stored_nf4(const std::string& name, Shape shape);

  Stream& stream_;
  WeightFiles files_;
  std::string (*module_name_)(Slot slot, std::int64_t layer);  // of these files
  std::vector<Buffer> buffers_;
  ConstTensor scale_map_;
  std::int64_t paired_head_dim_ = 0;
  std::vector<float> staging_;
  PinnedMemory pinned_;               // of two pieces, on CUDA
  std::unique_ptr<ThreadPool> pool_;  // where the stream has none
  std::uint64_t fingerprint_ = 0x9E3779B97F4A7C15u;
};

}  // namespace elenchus
