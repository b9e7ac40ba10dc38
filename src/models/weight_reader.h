#pragma once
// One weight after the other from a model's files onto a device.

#include <string>
#include <vector>

#include "io/tensor_source.h"
#include "models/weight_source.h"

namespace elenchus {

/// Where a model's weights lie and how they are named there.
struct WeightFiles {
  const TensorSource& source;
  const Architecture& architecture;
  bool gguf = false;
  bool prequantised = false;  ///< what is not stored in NF4 stays as it is
  float norm_offset = 0;      ///< added to the weights of norms
};

/// Reads weights from files, checked and quantised on the way.
class WeightReader final : public WeightSource {
 public:
  WeightReader(Stream& stream, WeightFiles files);

  std::string description() const override { return files_.source.description(); }
  FrozenWeight nf4(Slot slot, std::int64_t layer, Shape shape) override;
  FrozenWeight dense(Slot slot, std::int64_t layer, Shape shape) override;
  /// The type a dense weight keeps: f32, f16 or bf16.
  DType stored_dtype(Slot slot, std::int64_t layer) const;
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
  std::vector<float> read(const TensorEntry& entry);
  void unpair_rows(std::vector<float>& values, std::int64_t columns) const;
  Tensor keep(Shape shape, DType dtype);
  Tensor upload(ConstTensor host);
  FrozenWeight stored_nf4(const std::string& name, Shape shape);

  Stream& stream_;
  WeightFiles files_;
  std::vector<Buffer> buffers_;
  ConstTensor scale_map_;
  std::int64_t paired_head_dim_ = 0;
  std::uint64_t fingerprint_ = 0x9E3779B97F4A7C15u;
};

}  // namespace elenchus
