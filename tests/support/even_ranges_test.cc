#include "tests/support/even_ranges.h"

#include <array>

#include "gtest/gtest.h"

namespace waybill::testing {
namespace {

TEST(EvenRanges, TheLastComesAboutAsOftenAsTheFirst) {
  std::array<int, 13> seen = {};
  const bool ended = rc::check([&seen] { ++seen.at(static_cast<size_t>(*Below(12))); });
  ASSERT_TRUE(ended);
  std::array<int, 13> from_five = {};
  ASSERT_TRUE(rc::check([&from_five] {
    for (int i = 0; i < 12; ++i) ++from_five.at(static_cast<size_t>(*Within(5, 12)));
  }));
  EXPECT_EQ(seen[12] + from_five[12] + from_five[4], 0);
  // 171 of 1,200 each; by inRange alone the last has 11 to 17.
  for (size_t i = 5; i < 12; ++i) EXPECT_GT(from_five[i], 100) << i;
  int late = 0;
  for (size_t i = 6; i < 12; ++i) late += seen[i];
  EXPECT_GT(late, 25);  // half of 100; by inRange alone 10 to 18
}

}  // namespace
}  // namespace waybill::testing
