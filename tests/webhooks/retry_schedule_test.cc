#include "webhooks/retry_schedule.h"

#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::webhooks {
namespace {

class FixedRandom final : public Random {
 public:
  explicit FixedRandom(uint64_t next) : next_(next) {}
  uint64_t Next() override { return next_; }

 private:
  const uint64_t next_;
};

TEST(RetrySchedule, PausesLongerEachTimeAndEndsAfterTenAttempts) {
  FixedRandom none(0);
  const absl::Duration expected[] = {absl::Seconds(5), absl::Minutes(5), absl::Minutes(30),
                                     absl::Hours(2),   absl::Hours(5),   absl::Hours(10),
                                     absl::Hours(14),  absl::Hours(20),  absl::Hours(24)};
  for (int failed = 1; failed <= 9; ++failed) {
    EXPECT_EQ(NextPause(failed, absl::ZeroDuration(), none), expected[failed - 1]) << failed;
  }
  EXPECT_EQ(NextPause(10, absl::ZeroDuration(), none), std::nullopt);
  EXPECT_EQ(NextPause(10, absl::Hours(1), none), std::nullopt);
}

TEST(RetrySchedule, AddsUpToAFifthAtRandom) {
  FixedRandom most(~uint64_t{0});
  EXPECT_GT(*NextPause(1, absl::ZeroDuration(), most), absl::Seconds(5.99));
  EXPECT_LE(*NextPause(1, absl::ZeroDuration(), most), absl::Seconds(6));
}

TEST(RetrySchedule, WaitsAsLongAsTheReceiverAsksForUpToADay) {
  FixedRandom none(0);
  EXPECT_EQ(NextPause(1, absl::Seconds(90), none), absl::Seconds(90));
  EXPECT_EQ(NextPause(2, absl::Seconds(90), none), absl::Minutes(5));  // which is longer anyway
  EXPECT_EQ(NextPause(1, absl::Hours(24 * 365), none), absl::Hours(24));
}

}  // namespace
}  // namespace waybill::webhooks
