#include "services/ingest/driver_front.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "domain/geo.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "tests/support/even_ranges.h"

namespace waybill::ingest {
namespace {

using storage::Standing;

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

storage::Location At(const std::string& driver_id, absl::Duration after, double latitude = 52.5) {
  storage::Location location;
  location.position.driver_id = driver_id;
  location.position.point = {latitude, 13.4};
  location.position.recorded_at = kStart + after;
  return location;
}

storage::Location Take(DriverFront& front, storage::Location location) {
  front.Take(location);
  return location;
}

TEST(DriverFront, AnUnknownDriverIsUnknownAndThenAheadOrBehind) {
  DriverFront front(SanityOptions{}, 100);
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(10))).standing, Standing::kUnknown);
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(11))).standing, Standing::kAhead);
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(9))).standing, Standing::kBehind);
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(11))).standing, Standing::kBehind) << "the same time is no move";
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(11) + absl::Microseconds(1))).standing, Standing::kAhead);
  EXPECT_EQ(Take(front, At("bob", absl::Seconds(1))).standing, Standing::kUnknown);
}

TEST(DriverFront, ALatecomerDoesNotBecomeTheFront) {
  DriverFront front(SanityOptions{}, 100);
  Take(front, At("ann", absl::Seconds(10)));
  Take(front, At("ann", absl::Seconds(1)));
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(5))).standing, Standing::kBehind);
}

TEST(DriverFront, MarksWhatNobodyDrives) {
  SanityOptions sanity;
  sanity.speed_max_mps = 70;
  DriverFront front(sanity, 100);
  const double degree_m = domain::DistanceM({52.5, 13.4}, {53.5, 13.4});
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(0), 52.5)).position.marks, 0) << "nothing to compare with";
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(10), 52.5 + 690 / degree_m)).position.marks, 0);
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(20), 52.5 + (690 + 710) / degree_m)).position.marks,
            domain::kSpeedJump);
  // The jump is the new front, from which driving on is no jump.
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(30), 52.5 + (690 + 710 + 10) / degree_m)).position.marks, 0);
  EXPECT_EQ(Take(front, At("ann", absl::Seconds(25), 60)).position.marks, 0) << "a latecomer is not compared";
}

TEST(DriverFront, MarksWhatTheReceiverItselfDoubts) {
  DriverFront front(SanityOptions{}, 100);
  auto with = [](absl::Duration after, std::optional<double> accuracy) {
    storage::Location location = At("ann", after);
    location.position.accuracy_m = accuracy;
    return location;
  };
  EXPECT_EQ(Take(front, with(absl::Seconds(1), std::nullopt)).position.marks, 0);
  EXPECT_EQ(Take(front, with(absl::Seconds(2), 100)).position.marks, 0);
  EXPECT_EQ(Take(front, with(absl::Seconds(3), 100.5)).position.marks, domain::kPoorAccuracy);
  EXPECT_EQ(Take(front, with(absl::Seconds(0), 100.5)).position.marks, domain::kPoorAccuracy) << "late as well";
  storage::Location both = with(absl::Seconds(4), 500);
  both.position.point.latitude = -10;
  EXPECT_EQ(Take(front, both).position.marks, domain::kPoorAccuracy | domain::kSpeedJump);
}

TEST(DriverFront, MarksNothingWhenSwitchedOff) {
  SanityOptions sanity;
  sanity.enabled = false;
  DriverFront front(sanity, 100);
  Take(front, At("ann", absl::Seconds(0)));
  storage::Location far = At("ann", absl::Seconds(1), -80);
  far.position.accuracy_m = 1e6;
  EXPECT_EQ(Take(front, far).position.marks, 0);
  EXPECT_EQ(Take(front, far).standing, Standing::kBehind) << "standing is known all the same";
}

// Which of the drivers, each seen once and in this order, are remembered.
TEST(DriverFront, RemembersBetweenHalfAndAllOfTheDriversItMay) {
  constexpr int kSeen = 60;
  for (size_t drivers_max : {2u, 3u, 10u, 11u}) {
    for (int seen = 1; seen <= kSeen; ++seen) {
      // Asking is seeing; so a front is asked about one driver only.
      size_t remembered = 0;
      for (int asked = 0; asked < seen; ++asked) {
        DriverFront front(SanityOptions{}, drivers_max);
        for (int i = 0; i < seen; ++i) Take(front, At("d" + std::to_string(i), absl::Seconds(1)));
        const bool known = Take(front, At("d" + std::to_string(asked), absl::Seconds(2))).standing == Standing::kAhead;
        remembered += known;
        if (static_cast<size_t>(seen - asked) <= drivers_max / 2) {
          ASSERT_TRUE(known) << asked << " of " << seen;
        }
      }
      ASSERT_LE(remembered, drivers_max) << seen;
    }
  }
}

TEST(DriverFront, KeepsADriverThatIsSeenNowAndThen) {
  DriverFront front(SanityOptions{}, 10);
  Take(front, At("ann", absl::Seconds(0)));
  for (int i = 1; i < 1'000; ++i) {
    Take(front, At("d" + std::to_string(i), absl::Seconds(0)));
    if (i % 5 == 0) {
      ASSERT_EQ(Take(front, At("ann", absl::Seconds(i))).standing, Standing::kAhead) << i;
    }
  }
}

TEST(DriverFrontProperty, AnswersAsIfItRememberedTheNewestOfEach) {
  EXPECT_TRUE(rc::check([] {
    DriverFront front(SanityOptions{}, 100);
    struct Newest {
      absl::Time at;
      double latitude;
    };
    std::map<std::string, Newest> newest;
    const auto taken = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
        rc::gen::tuple(testing::Below(4), testing::Below(60), testing::Below(200)));
    for (const auto& [driver, second, hundredths] : taken) {
      const std::string driver_id = "d" + std::to_string(driver);
      const storage::Location location = Take(front, At(driver_id, absl::Seconds(second), 52 + hundredths * 1e-2));
      const double latitude = location.position.point.latitude;
      const absl::Time at = location.position.recorded_at;
      auto it = newest.find(driver_id);
      const bool ahead = it != newest.end() && at > it->second.at;
      RC_ASSERT(location.standing == (it == newest.end() ? Standing::kUnknown
                                      : ahead            ? Standing::kAhead
                                                         : Standing::kBehind));
      bool jump = false;
      if (ahead) {
        const double mps = domain::DistanceM({it->second.latitude, 13.4}, {latitude, 13.4}) /
                           absl::ToDoubleSeconds(at - it->second.at);
        jump = mps > SanityOptions{}.speed_max_mps;
      }
      RC_ASSERT(location.position.marks == (jump ? domain::kSpeedJump : 0));
      if (it == newest.end() || ahead) newest[driver_id] = {at, latitude};
    }
  }));
}

}  // namespace
}  // namespace waybill::ingest
