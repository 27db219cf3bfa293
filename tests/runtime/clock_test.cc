#include "runtime/clock.h"

#include "gtest/gtest.h"

namespace waybill {
namespace {

TEST(SystemClock, TellsTheTimeAsStoresKeepIt) {
  const SystemClock clock;
  const absl::Time before = absl::Now() - absl::Microseconds(1);
  for (int i = 0; i < 100; ++i) {
    const absl::Time now = clock.Now();
    EXPECT_EQ(now, absl::FromUnixMicros(absl::ToUnixMicros(now)));
    EXPECT_GT(now, before);
  }
}

}  // namespace
}  // namespace waybill
