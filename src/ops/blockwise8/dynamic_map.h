#pragma once
// The 8-bit maps of block-wise quantisation, and the search of the nearest entry. Dettmers et al.
// 2021, arXiv:2110.02861, sec. 2.1; bitsandbytes' create_dynamic_map.

#include <array>
#include <cstdint>

namespace elenchus::ops {

/// 256 sorted values of [-1, 1]: what a code stands for, to be multiplied by its block's absmax.
using CodeMap = std::array<float, 256>;

/// Seven decades, each with a range of linear steps, both signs, 0 and 1; each entry computed in f64
/// and rounded once. bitsandbytes' own differs from host to host by 1 or 2 ulp.
const CodeMap& dynamic_map();
/// The same without negative values, twice the steps: for second moments.
const CodeMap& unsigned_dynamic_map();

/// The nearest entry; halfway the lower one.
std::uint8_t nearest_code(const CodeMap& map, float x);

/// The search of bitsandbytes' CPU back end (0.50): the nearest entry to the nearest of 65536 even
/// steps of [-1, 1]. Coarser than the map near zero, where it matters only for equal bits.
class SteppedSearch {
 public:
  static constexpr int kSteps = 65536;
  explicit SteppedSearch(const CodeMap& map);
  /// x lies in [-1, 1].
  std::uint8_t operator[](float x) const { return codes_[std::size_t(step_of(x))]; }
  static int step_of(float x) { return int((x + 1.0f) * 32767.5f + 0.5f); }
  const std::array<std::uint8_t, kSteps>& codes() const { return codes_; }

 private:
  std::array<std::uint8_t, kSteps> codes_;
};
/// The search in dynamic_map().
const SteppedSearch& dynamic_search();

}  // namespace elenchus::ops
