// What a LocationLog and the LocationHistory over the same store promise, whoever implements them.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/location_log.h"

namespace waybill::storage {

class LocationWorld {
 public:
  virtual ~LocationWorld() = default;
  virtual LocationLog& log() = 0;
  virtual LocationHistory& history() = 0;
};

using LocationWorldFactory = std::unique_ptr<LocationWorld> (*)();

class LocationContract : public ::testing::TestWithParam<LocationWorldFactory> {
 protected:
  static constexpr absl::Duration kDay = absl::Hours(24);
  const absl::Time noon_ = absl::FromUnixSeconds(1'780'000'000);  // 2026-05-28T20:26:40Z

  domain::DriverPosition At(const std::string& driver, absl::Duration after_noon, double latitude = 52.5) const {
    domain::DriverPosition position;
    position.driver_id = driver;
    position.point = {latitude, 13.25};
    position.recorded_at = noon_ + after_noon;
    return position;
  }

  // Appends a report and waits for its answer.
  absl::Status Append(const std::vector<domain::DriverPosition>& positions, Standing standing = Standing::kUnknown) {
    LocationAppend append;
    append.received_at = noon_;
    for (const domain::DriverPosition& position : positions) append.locations.push_back({position, standing});
    absl::Status answer = absl::UnknownError("");
    append.done = [&](const absl::Status& status, LocationAppend& done) {
      std::lock_guard lock(mutex_);
      answer = status;
      refused_ = std::move(done.refused);
      ++answers_;
      answered_.notify_all();
    };
    std::unique_lock lock(mutex_);
    const int before = answers_;
    lock.unlock();
    EXPECT_TRUE(log().Append(append));
    lock.lock();
    answered_.wait(lock, [&] { return answers_ > before; });
    return answer;
  }
  std::vector<domain::DriverPosition> Track(const std::string& driver, int limit = 1'000) {
    auto track = history().Track({driver, noon_ - 10 * kDay, noon_ + 10 * kDay, limit});
    EXPECT_TRUE(track.ok()) << track.status();
    return track.value_or(std::vector<domain::DriverPosition>());
  }
  LocationLog& log() { return world_->log(); }
  LocationHistory& history() { return world_->history(); }

  std::unique_ptr<LocationWorld> world_ = GetParam()();
  std::mutex mutex_;
  std::condition_variable answered_;
  std::vector<RefusedLocation> refused_;
  int answers_ = 0;
};

TEST_P(LocationContract, KeepsEveryFieldOfAPosition) {
  domain::DriverPosition full = At("d-1", absl::Microseconds(1), -52.123456789);
  full.accuracy_m = 4.5;
  full.heading_deg = 359.5;
  full.speed_mps = 0;
  full.marks = domain::kSpeedJump | domain::kPoorAccuracy;
  const domain::DriverPosition bare = At("d-1", absl::Seconds(1));
  ASSERT_TRUE(Append({full, bare}).ok());
  EXPECT_THAT(Track("d-1"), ::testing::ElementsAre(full, bare));
}

TEST_P(LocationContract, KeepsADriversPositionOfOneInstantOnce) {
  for (Standing standing : {Standing::kAhead, Standing::kBehind, Standing::kUnknown, Standing::kAhead}) {
    ASSERT_TRUE(Append({At("d-1", absl::Seconds(1)), At("d-1", absl::Seconds(2))}, standing).ok());
  }
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(2)), At("d-1", absl::Seconds(2))}).ok());
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(2)), At("d-1", absl::Seconds(3))}, Standing::kAhead).ok());
  EXPECT_THAT(Track("d-1"), ::testing::SizeIs(3));
}

TEST_P(LocationContract, AnEmptyReportIsAnswered) { EXPECT_TRUE(Append({}).ok()); }

TEST_P(LocationContract, TracksAreOrderedAndBounded) {
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(3)), At("d-1", absl::Seconds(1)), At("d-2", absl::Seconds(2)),
                      At("d-1", absl::Seconds(2))})
                  .ok());
  EXPECT_THAT(Track("d-1", 2), ::testing::ElementsAre(At("d-1", absl::Seconds(1)), At("d-1", absl::Seconds(2))));
  auto track = history().Track({"d-1", noon_ + absl::Seconds(2), noon_ + absl::Seconds(3), 10});
  ASSERT_TRUE(track.ok()) << track.status();
  EXPECT_THAT(*track, ::testing::ElementsAre(At("d-1", absl::Seconds(2))));
}

TEST_P(LocationContract, ATrackCrossesDays) {
  std::vector<domain::DriverPosition> positions;
  for (int day = -3; day <= 3; ++day) positions.push_back(At("d-1", kDay * day));
  ASSERT_TRUE(Append(positions).ok());
  EXPECT_THAT(Track("d-1"), ::testing::ElementsAreArray(positions));
}

TEST_P(LocationContract, FindsTheLatestOfEachDriverInTheOrderAskedFor) {
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(1)), At("d-1", -kDay), At("d-2", -kDay), At("d-2", -2 * kDay)}).ok());
  auto latest = history().Latest({"d-2", "nobody", "d-1"});
  ASSERT_TRUE(latest.ok()) << latest.status();
  EXPECT_THAT(*latest, ::testing::ElementsAre(::testing::Optional(At("d-2", -kDay)), ::testing::Eq(std::nullopt),
                                              ::testing::Optional(At("d-1", absl::Seconds(1)))));
}

TEST_P(LocationContract, FindsTheNewestOfAllDriversPartByPart) {
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(1)), At("d-1", absl::Seconds(5)), At("d-2", absl::Seconds(2)),
                      At("d-3", -absl::Seconds(1)), At("d-4", absl::Seconds(9)), At("d-5", absl::Seconds(10))})
                  .ok());
  for (int limit : {1, 2, 3, 5, 100}) {
    std::vector<domain::DriverPosition> newest;
    NewestQuery query{noon_ + absl::Seconds(1), noon_ + absl::Seconds(10), "", limit};
    int parts = 0;
    do {
      auto part = history().Newest(query);
      ASSERT_TRUE(part.ok()) << part.status();
      EXPECT_LE(part->positions.size(), static_cast<size_t>(limit));
      newest.insert(newest.end(), part->positions.begin(), part->positions.end());
      query.cursor = part->cursor;
      ASSERT_LT(++parts, 20);
    } while (!query.cursor.empty());
    EXPECT_THAT(newest, ::testing::UnorderedElementsAre(At("d-1", absl::Seconds(5)), At("d-2", absl::Seconds(2)),
                                                        At("d-4", absl::Seconds(9))))
        << limit;
  }
}

TEST_P(LocationContract, FindsTheNewestAcrossDays) {
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(1)), At("d-1", -kDay), At("d-2", -kDay), At("d-3", -2 * kDay),
                      At("d-4", -4 * kDay), At("d-5", kDay)})
                  .ok());
  std::map<std::string, domain::DriverPosition> newest;  // the first that comes of each
  NewestQuery query{noon_ - 3 * kDay, noon_ + 2 * kDay, "", 2};
  do {
    auto part = history().Newest(query);
    ASSERT_TRUE(part.ok()) << part.status();
    for (const domain::DriverPosition& position : part->positions) newest.try_emplace(position.driver_id, position);
    query.cursor = part->cursor;
  } while (!query.cursor.empty());
  EXPECT_THAT(newest, ::testing::ElementsAre(
                          ::testing::Pair("d-1", At("d-1", absl::Seconds(1))), ::testing::Pair("d-2", At("d-2", -kDay)),
                          ::testing::Pair("d-3", At("d-3", -2 * kDay)), ::testing::Pair("d-5", At("d-5", kDay))));
}

TEST_P(LocationContract, ManyReportsAtOnceAreAllAnsweredAndKept) {
  constexpr int kReports = 500;
  int answered = 0;
  for (int i = 0; i < kReports; ++i) {
    LocationAppend append;
    append.received_at = noon_;
    // Every other report repeats the one before.
    const int number = i / 2;
    for (int n = 0; n < 10; ++n) {
      append.locations.push_back({At(fmt::format("d-{}", n), absl::Seconds(number)), Standing::kAhead});
    }
    append.done = [&](const absl::Status& status, LocationAppend&) {
      std::lock_guard lock(mutex_);
      EXPECT_TRUE(status.ok()) << status;
      ++answered;
      answered_.notify_all();
    };
    ASSERT_TRUE(log().Append(append));
  }
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [&] { return answered == kReports; });
  for (int n = 0; n < 10; ++n) EXPECT_THAT(Track(fmt::format("d-{}", n)), ::testing::SizeIs(kReports / 2));
}

}  // namespace waybill::storage
