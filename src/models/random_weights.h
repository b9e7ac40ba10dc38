#pragma once
// Weights out of nothing, for benchmarks: no file is read.

#include "models/weight_source.h"

namespace elenchus {

/// Random weights, straight in the form they are kept in: NF4 codes with their scales, matrices of
/// `dense_dtype`, norm weights of one, biases of zero. About as large as a trained model's, so that
/// activations stay finite. A pattern is repeated, which is all that speed can tell.
class RandomWeights final : public WeightSource {
 public:
  RandomWeights(Stream& stream, DType dense_dtype, std::uint64_t seed);

  std::string description() const override { return "random weights"; }
  FrozenWeight nf4(Slot slot, std::int64_t layer, Shape shape) override;
  FrozenWeight dense(Slot slot, std::int64_t layer, Shape shape) override;
  void read_into(Tensor out, Slot slot, std::int64_t layer) override;
  ConstTensor vector(Slot slot, std::int64_t layer, std::string_view part,
                     std::int64_t length) override;
  bool has_own_head(bool tied) const override { return !tied; }
  std::vector<float> extra(std::string_view) const override { return {}; }
  void set_paired_rows(std::int64_t) override {}
  std::vector<Buffer> take_buffers() override { return std::move(buffers_); }
  std::uint64_t fingerprint() const override { return seed_; }

 private:
  Tensor keep(Shape shape, DType dtype);
  /// Repeats the elements of `pattern` over `to`.
  void fill(Tensor to, ConstTensor pattern);

  Stream& stream_;
  DType dense_dtype_;
  std::uint64_t seed_;
  std::vector<Buffer> buffers_;
  std::vector<std::uint8_t> bytes_;  // the pattern of codes
  std::vector<std::byte> matrix_;    // the pattern of dense elements
  ConstTensor scale_map_;
};

}  // namespace elenchus
