#include "ops/blockwise8/dynamic_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace elenchus::ops {
namespace {

TEST(DynamicMap, IsSortedWithItsKnownEntries) {
  const CodeMap& map = dynamic_map();
  EXPECT_TRUE(std::is_sorted(map.begin(), map.end()));
  EXPECT_EQ(map[127], 0.0f);
  EXPECT_EQ(map[255], 1.0f);
  EXPECT_FLOAT_EQ(map[254], 0.99296875f);
  EXPECT_FLOAT_EQ(map[0], -0.99296875f);
  EXPECT_FLOAT_EQ(map[128], 5.5e-7f);
}

TEST(DynamicMap, WithoutSignStartsAtZeroInTwiceTheSteps) {
  const CodeMap& map = unsigned_dynamic_map();
  EXPECT_TRUE(std::is_sorted(map.begin(), map.end()));
  EXPECT_EQ(map[0], 0.0f);
  EXPECT_EQ(map[255], 1.0f);
  EXPECT_FLOAT_EQ(map[1], 3.25e-7f);
  EXPECT_FLOAT_EQ(map[254], 0.99648437f);
}

TEST(DynamicMap, NearestTakesTheLowerOfTwoAsNear) {
  for (const CodeMap* map : {&dynamic_map(), &unsigned_dynamic_map()}) {
    for (int code = 0; code < 256; ++code)
      EXPECT_EQ(nearest_code(*map, (*map)[std::size_t(code)]), code);
    EXPECT_EQ(nearest_code(*map, -2), 0);
    EXPECT_EQ(nearest_code(*map, 2), 255);
  }
  CodeMap exact = dynamic_map();
  for (int i = 0; i < 256; ++i) exact[std::size_t(i)] = float(i);
  EXPECT_EQ(nearest_code(exact, 7.5f), 7);
}

TEST(DynamicMap, SteppedSearchIsNearestWhereTheMapIsCoarser) {
  const CodeMap& map = dynamic_map();
  for (int code = 0; code < 256; ++code) {
    const float x = map[std::size_t(code)];
    if (std::abs(x) > 2e-4f) {
      EXPECT_EQ(dynamic_search()[x], code) << x;
    }
  }
  EXPECT_EQ(SteppedSearch::step_of(-1), 0);
  EXPECT_EQ(SteppedSearch::step_of(1), SteppedSearch::kSteps - 1);
}

}  // namespace
}  // namespace elenchus::ops
