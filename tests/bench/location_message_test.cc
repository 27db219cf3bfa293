#include "bench/location_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "waybill/location/v1/location.pb.h"

namespace waybill::bench {
namespace {

namespace location_v1 = ::waybill::location::v1;
using ::testing::ElementsAre;

constexpr int64_t kEpoch = 1'800'000'000'000'000;

location_v1::LocationBatch Parse(std::string_view bytes) {
  location_v1::LocationBatch batch;
  EXPECT_TRUE(batch.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  EXPECT_TRUE(batch.GetReflection()->GetUnknownFields(batch).empty());
  return batch;
}

int64_t Micros(const google::protobuf::Timestamp& time) { return time.seconds() * 1'000'000 + time.nanos() / 1'000; }

TEST(LocationMessage, IsABatchOfThePointsOfItsDrivers) {
  LocationMessage message("run", 16, 2, 3, kEpoch);
  EXPECT_EQ(message.points(), 3);
  const location_v1::LocationBatch batch = Parse(message.Next(LocationMessage::kFirstSequence, kEpoch + 1'000'007));
  EXPECT_EQ(batch.sequence(), LocationMessage::kFirstSequence);
  ASSERT_EQ(batch.points_size(), 3);
  EXPECT_EQ(batch.points(0).driver_id(), "run-0000016");
  EXPECT_EQ(batch.points(1).driver_id(), "run-0000017");
  EXPECT_EQ(batch.points(2).driver_id(), "run-0000016");
  for (int i = 0; i < 3; ++i) {
    const location_v1::Point& point = batch.points(i);
    EXPECT_EQ(Micros(point.recorded_at()), kEpoch + 1'000'007 + i);
    EXPECT_EQ(point.recorded_at().nanos() % 1'000, 0);
    EXPECT_NEAR(point.latitude(), 52.3, 0.1);
    EXPECT_NEAR(point.longitude(), 13.1, 0.1);
    EXPECT_TRUE(point.has_accuracy_m());
    EXPECT_TRUE(point.has_heading_deg());
    EXPECT_EQ(point.speed_mps(), 10);
  }
}

TEST(LocationMessage, EverySequenceAndEveryTimeHasTheSameLength) {
  LocationMessage message("run", 0, 1, 1, kEpoch);
  const size_t size = message.Next(LocationMessage::kFirstSequence, kEpoch).size();
  for (const int64_t sequence : {LocationMessage::kFirstSequence + 1, (int64_t{1} << 35) - 1}) {
    for (const int64_t micros : {0, 1, 127, 268'435, 268'436, 999'999}) {
      const int64_t at = kEpoch + 1'000'000 * sequence / LocationMessage::kFirstSequence + micros;
      const std::string_view bytes = message.Next(sequence, at);
      EXPECT_EQ(bytes.size(), size);
      const location_v1::LocationBatch batch = Parse(bytes);
      EXPECT_EQ(batch.sequence(), sequence);
      EXPECT_GE(Micros(batch.points(0).recorded_at()), at);
    }
  }
}

TEST(LocationMessage, NoPointIsEverRepeatedEvenWhenTheClockStandsStillOrTurnsBack) {
  LocationMessage message("run", 0, 8, 50, kEpoch);
  std::set<int64_t> times;
  int64_t sequence = LocationMessage::kFirstSequence;
  for (const int64_t now : {kEpoch + 5'000, kEpoch + 5'000, kEpoch + 4'000, kEpoch + 5'010}) {
    const location_v1::LocationBatch batch = Parse(message.Next(sequence++, now));
    for (const location_v1::Point& point : batch.points()) times.insert(Micros(point.recorded_at()));
  }
  EXPECT_EQ(times.size(), 200u);
  EXPECT_EQ(*times.begin(), kEpoch + 5'000);
  EXPECT_EQ(*times.rbegin(), kEpoch + 5'199);
}

TEST(LocationMessage, TalliesWhatItHolds) {
  LocationMessage message("run", 0, 3, 7, kEpoch);
  std::map<std::string, DriverTally> expected;
  for (int64_t i = 0; i < 100; ++i) {
    const location_v1::LocationBatch batch =
        Parse(message.Next(LocationMessage::kFirstSequence + i, kEpoch + i * 12'345));
    for (const location_v1::Point& point : batch.points()) {
      DriverTally& tally = expected[point.driver_id()];
      tally.driver_id = point.driver_id();
      ++tally.points;
      tally.newest = Micros(point.recorded_at());
      tally.time_sum += tally.newest - kEpoch;
      tally.latitude = point.latitude();
      tally.longitude = point.longitude();
    }
  }
  EXPECT_THAT(message.tallies(),
              ElementsAre(expected["run-0000000"], expected["run-0000001"], expected["run-0000002"]));
}

TEST(LocationMessage, GoesOnWithTheDriverAfterTheLastOfTheMessageBefore) {
  for (const int points : {1, 2, 3, 4, 7}) {
    LocationMessage message("run", 0, 3, points, kEpoch);
    int64_t point = 0;
    for (int64_t i = 0; i < 12; ++i) {
      const location_v1::LocationBatch batch = Parse(message.Next(LocationMessage::kFirstSequence + i, kEpoch));
      ASSERT_EQ(batch.points_size(), points);
      for (const location_v1::Point& sent : batch.points()) {
        EXPECT_EQ(sent.driver_id(), "run-000000" + std::to_string(point++ % 3));
      }
    }
    for (const DriverTally& driver : message.tallies()) EXPECT_EQ(driver.points, 4 * points);
  }
}

TEST(LocationMessage, DriversMoveAtTheSpeedTheySay) {
  LocationMessage message("run", 0, 1, 1, kEpoch);
  const double before = Parse(message.Next(LocationMessage::kFirstSequence, kEpoch)).points(0).latitude();
  const double after =
      Parse(message.Next(LocationMessage::kFirstSequence + 1, kEpoch + 60'000'000)).points(0).latitude();
  constexpr double kMetresPerDegree = 111'320;
  EXPECT_NEAR((after - before) * kMetresPerDegree, 600, 1);
}

}  // namespace
}  // namespace waybill::bench
