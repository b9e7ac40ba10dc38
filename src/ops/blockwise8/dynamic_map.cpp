#include "ops/blockwise8/dynamic_map.h"

#include <algorithm>
#include <cmath>

namespace elenchus::ops {
namespace {

enum class Signs { both, positive };

CodeMap make_map(Signs signs) {
  CodeMap map{};
  std::size_t used = 0;
  for (int exponent = 0; exponent < 7; ++exponent) {
    const int steps = (signs == Signs::both ? 1 : 2) << exponent;
    for (int i = 0; i < steps; ++i) {
      const double middle = 0.1 + 0.9 * (i + 0.5) / steps;
      const float value = float(std::pow(10.0, exponent - 6) * middle);
      map[used++] = value;
      if (signs == Signs::both) map[used++] = -value;
    }
  }
  map[used++] = 0;
  map[used++] = 1;
  std::sort(map.begin(), map.end());
  return map;
}

}  // namespace

const CodeMap& dynamic_map() {
  static const CodeMap map = make_map(Signs::both);
  return map;
}

const CodeMap& unsigned_dynamic_map() {
  static const CodeMap map = make_map(Signs::positive);
  return map;
}

std::uint8_t nearest_code(const CodeMap& map, float x) {
  const auto above = std::lower_bound(map.begin(), map.end(), x);
  if (above == map.begin()) return 0;
  const auto index = above - map.begin();
  if (above == map.end()) return 255;
  return std::uint8_t(*above - x < x - above[-1] ? index : index - 1);
}

SteppedSearch::SteppedSearch(const CodeMap& map) {
  for (int step = 0; step < kSteps; ++step)
    codes_[std::size_t(step)] = nearest_code(map, float(step) / 32767.5f - 1.0f);
}

const SteppedSearch& dynamic_search() {
  static const SteppedSearch search(dynamic_map());
  return search;
}

}  // namespace elenchus::ops
