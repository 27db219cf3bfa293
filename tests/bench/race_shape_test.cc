#include "bench/race_shape.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::bench {
namespace {

TEST(RaceShape, ClientsGrowOnALine) {
  const RaceShape race = OfficialRace();
  EXPECT_EQ(race.ClientsAt(absl::ZeroDuration()), 1);
  EXPECT_EQ(race.ClientsAt(absl::Seconds(150)), 302);
  EXPECT_EQ(race.ClientsAt(absl::Seconds(300)), 603);
  EXPECT_EQ(race.ClientsAt(absl::Seconds(1'000)), 603);
  EXPECT_EQ(race.ClientsAt(absl::Seconds(-1)), 1);
}

TEST(RaceShape, AClientBeginsWhenTheLineReachesIt) {
  for (const absl::Duration length : {absl::Seconds(300), absl::Seconds(60), absl::Seconds(7)}) {
    const RaceShape race = OfficialRace(length);
    EXPECT_EQ(race.BeginningOf(0), absl::ZeroDuration());
    EXPECT_EQ(race.BeginningOf(602), length) << "the last one never pays";
    EXPECT_EQ(race.BeginningOf(10'000), length);
    for (int number = 1; number < race.clients_max; ++number) {
      const absl::Duration from = race.BeginningOf(number);
      EXPECT_EQ(race.ClientsAt(from - absl::Microseconds(10)), number);
      EXPECT_EQ(race.ClientsAt(from + absl::Microseconds(10)), number + 1);
    }
  }
}

TEST(RaceShape, StagesAreThoseOfTheFinal) {
  const RaceShape race = OfficialRace();
  EXPECT_EQ(race.StageAt(absl::Milliseconds(999)), nullptr);
  const auto fares = [&](int second) {
    const RaceStage& stage = *race.StageAt(absl::Seconds(second));
    return std::pair(stage.by_default, stage.by_fallback);
  };
  using Fares = std::pair<ProcessorFare, ProcessorFare>;
  EXPECT_EQ(fares(1), (Fares{{0, false}, {0, false}}));
  EXPECT_EQ(fares(29), (Fares{{0, false}, {0, false}}));
  EXPECT_EQ(fares(30), (Fares{{1000, false}, {0, false}}));
  EXPECT_EQ(fares(60), (Fares{{500, false}, {0, false}}));
  EXPECT_EQ(fares(90), (Fares{{2000, true}, {1000, false}}));
  EXPECT_EQ(fares(120), (Fares{{5000, true}, {5, false}}));
  EXPECT_EQ(fares(150), (Fares{{0, false}, {5, true}}));
  EXPECT_EQ(fares(180), (Fares{{100, false}, {5, false}}));
  EXPECT_EQ(fares(210), (Fares{{50, false}, {0, false}}));
  EXPECT_EQ(fares(240), (Fares{{103, false}, {10, false}}));
  EXPECT_EQ(fares(299), (Fares{{2000, false}, {0, false}}));
  EXPECT_EQ(race.check_every, absl::Seconds(10));
}

TEST(RaceShape, AShorterRaceHasItsStagesSooner) {
  const RaceShape race = OfficialRace(absl::Seconds(60));
  ASSERT_EQ(race.stages.size(), 10u);
  EXPECT_EQ(race.stages[3].from, absl::Seconds(18));
  EXPECT_EQ(race.stages[3].by_default, (ProcessorFare{2000, true}));
  EXPECT_EQ(race.ClientsAt(absl::Seconds(30)), 302);
  EXPECT_EQ(race.check_every, absl::Seconds(2));
  EXPECT_EQ(race.pause, absl::Seconds(1));
  EXPECT_EQ(race.timeout, absl::Milliseconds(1500));
}

}  // namespace
}  // namespace waybill::bench
