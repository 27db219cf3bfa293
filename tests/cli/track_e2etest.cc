// waybill track against a service that answers by script: what arrives, what is sent again, what is told.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/fake_locations.h"
#include "tests/cli/run_binary.h"
#include "tests/support/eventually.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"
#include "tracks/track_file.h"

namespace waybill::cli {
namespace {

namespace v1 = waybill::location::v1;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int64_t kStart = 1'767'225'600;

domain::DriverPosition Position(int number) {
  domain::DriverPosition position;
  position.driver_id = fmt::format("d-{}", number % 3);
  position.recorded_at = absl::FromUnixSeconds(kStart) + absl::Milliseconds(number * 1'000 + 7);
  position.point = {52.5 + number * 1e-5, 13.4};
  position.speed_mps = 12.3;
  return position;
}

absl::Time TimeOf(const v1::Point& point) {
  return absl::FromUnixSeconds(point.recorded_at().seconds()) + absl::Nanoseconds(point.recorded_at().nanos());
}

// The points of the file as their numbers, told by the time.
std::vector<int> Numbers(const std::vector<v1::Point>& points) {
  std::vector<int> numbers;
  for (const v1::Point& point : points) numbers.push_back(static_cast<int>(point.recorded_at().seconds() - kStart));
  return numbers;
}

std::vector<int> FromTo(int first, int last) {
  std::vector<int> numbers;
  for (int i = first; i <= last; ++i) numbers.push_back(i);
  return numbers;
}

std::vector<v1::Point> PointsOf(const std::vector<v1::LocationBatch>& stream) {
  std::vector<v1::Point> points;
  for (const auto& batch : stream) points.insert(points.end(), batch.points().begin(), batch.points().end());
  return points;
}

class TrackReplay : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() / name; }

  // Points 1 to `count`, in this order.
  std::string WriteTrack(int count, const std::string& name = "day.csv") {
    auto writer = tracks::TrackWriter::Create(Path(name));
    EXPECT_TRUE(writer.ok());
    for (int i = 1; i <= count; ++i) EXPECT_EQ((*writer)->Write(Position(i)), absl::OkStatus());
    EXPECT_EQ((*writer)->Close(), absl::OkStatus());
    return Path(name);
  }

  std::vector<std::pair<std::string, std::string>> Environment() { return {{"WAYBILL_INGEST", fake_.target()}}; }

  Ran Run(std::vector<std::string> args) { return RunBinary(WAYBILL_BINARY, std::move(args), Environment()); }

  std::unique_ptr<testing::Process> Start(std::vector<std::string> args) {
    testing::ProcessOptions options;
    options.args = std::move(args);
    options.env = Environment();
    auto process = testing::Process::Start(WAYBILL_BINARY, options);
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }

  testing::TempDirectory directory_;
  FakeLocations fake_;
};

TEST_F(TrackReplay, EveryPointArrivesOnceAndInOrder) {
  for (const char* name : {"day.csv", "day.csv.gz", "day.geojson", "day.gpx"}) {
    size_t before = fake_.points().size();
    Ran ran = Run({"track", "replay", WriteTrack(1234, name), "--json"});
    ASSERT_EQ(ran.code, 0) << ran.output;
    std::vector<v1::Point> points = fake_.points();
    points.erase(points.begin(), points.begin() + static_cast<std::ptrdiff_t>(before));
    EXPECT_EQ(Numbers(points), FromTo(1, 1234)) << name;
    ASSERT_THAT(ran.json, SizeIs(1));
    EXPECT_EQ(ran.json[0]["complete"], true);
    EXPECT_EQ(ran.json[0]["read"], 1234);
    EXPECT_EQ(ran.json[0]["durable"], 1234);
    EXPECT_EQ(ran.json[0]["resent"], 0);
    EXPECT_THAT(ran.json[0]["rejected"], IsEmpty());
  }
  auto streams = fake_.streams();
  ASSERT_THAT(streams, SizeIs(4));
  int64_t sequence = 0;
  for (const v1::LocationBatch& batch : streams[0]) {
    EXPECT_GT(batch.sequence(), sequence);
    EXPECT_LE(batch.points_size(), 50);
    sequence = batch.sequence();
  }
  v1::Point first = fake_.points()[0];
  EXPECT_EQ(first.driver_id(), "d-1");
  EXPECT_EQ(first.latitude(), Position(1).point.latitude);
  EXPECT_EQ(first.longitude(), 13.4);
  EXPECT_EQ(TimeOf(first), Position(1).recorded_at);
  EXPECT_FLOAT_EQ(first.speed_mps(), 12.3F);
  EXPECT_FALSE(first.has_heading_deg());
}

TEST_F(TrackReplay, ABrokenStreamIsTakenUpBehindTheLastAck) {
  fake_.plans = {{3, 5}, {1, 2}};  // acks 3 batches of 5; then 1 of 2
  Ran ran = Run({"track", "replay", WriteTrack(100), "--batch", "10", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.output;
  auto streams = fake_.streams();
  ASSERT_THAT(streams, SizeIs(3));
  EXPECT_EQ(Numbers(PointsOf(streams[0])), FromTo(1, 50));
  EXPECT_EQ(Numbers(PointsOf(streams[1])), FromTo(31, 50));
  EXPECT_EQ(Numbers(PointsOf(streams[2])), FromTo(41, 100));
  EXPECT_EQ(ran.json.back()["durable"], 100);
  EXPECT_EQ(ran.json.back()["broken_connections"], 2);
}

TEST_F(TrackReplay, AnEndWithoutAllAcksIsNoEnd) {
  fake_.plans = {{8}};  // of 10; the stream ends with OK
  Ran ran = Run({"track", "replay", WriteTrack(100), "--batch", "10"});
  ASSERT_EQ(ran.code, 0) << ran.output;
  ASSERT_THAT(fake_.streams(), SizeIs(2));
  EXPECT_EQ(Numbers(PointsOf(fake_.streams()[1])), FromTo(81, 100));
  EXPECT_THAT(ran.output, HasSubstr("100 points read, 100 stored, 0 rejected, 0 skipped"));
  EXPECT_THAT(ran.output, HasSubstr("20 points sent again after 1 broken connection\n"));
}

TEST_F(TrackReplay, WhenRetriesAreSpentItSaysWhatIsDoneAndFails) {
  fake_.plans = {{2, 3}, {0, 1}, {0, 1}};
  Ran ran = Run({"track", "replay", WriteTrack(100), "--batch", "10", "--retries", "1", "--json"});
  EXPECT_EQ(ran.code, 5) << ran.output;
  ASSERT_THAT(ran.json, Not(IsEmpty()));
  EXPECT_EQ(ran.json[0]["complete"], false);
  EXPECT_EQ(ran.json[0]["durable"], 20);
  EXPECT_THAT(fake_.streams(), SizeIs(3)) << "the first got on, so that its retries did not count";
}

TEST_F(TrackReplay, AnInterruptedReplayGoesOnFromItsStateFile) {
  std::string file = WriteTrack(100, "day.csv.gz");
  std::string state = file + ".waybill-replay";
  fake_.plans = {{4, 6}};
  EXPECT_EQ(Run({"track", "replay", file, "--batch", "10", "--resume", "--retries", "0", "--timeout", "20s"}).code, 0)
      << "it got on, and so it goes on";
  EXPECT_FALSE(std::filesystem::exists(state)) << "at the end there is nothing to go on with";

  size_t before = fake_.streams().size();
  fake_.plans.resize(before);
  fake_.plans.push_back({4, 6});
  fake_.plans.push_back({0, 1});
  EXPECT_EQ(Run({"track", "replay", file, "--batch", "10", "--resume", "--retries", "0"}).code, 5);
  EXPECT_TRUE(std::filesystem::exists(state));
  Ran ran = Run({"track", "replay", file, "--batch", "7", "--resume", "--json"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(Numbers(PointsOf(fake_.streams().back())), FromTo(41, 100));
  EXPECT_EQ(ran.json.back()["resumed_behind"], 40);
  EXPECT_EQ(ran.json.back()["read"], 60);
  EXPECT_FALSE(std::filesystem::exists(state));
}

TEST_F(TrackReplay, AnotherFileIsNotTakenForTheInterruptedOne) {
  std::string file = WriteTrack(100);
  fake_.plans = {{4, 6}, {0, 1}};
  EXPECT_EQ(Run({"track", "replay", file, "--batch", "10", "--state", Path("state"), "--retries", "0"}).code, 5);
  size_t before = fake_.streams().size();
  std::ofstream(file) << "driver_id,recorded_at_unix_s,lat,lng\nd,1,2,3\n";
  Ran ran = Run({"track", "replay", file, "--state", Path("state")});
  EXPECT_EQ(ran.code, 4) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("not the one whose replay was interrupted"));
  std::ofstream(Path("state")) << "junk";
  EXPECT_EQ(Run({"track", "replay", file, "--state", Path("state")}).code, 2);
  EXPECT_THAT(fake_.streams(), SizeIs(before));
}

TEST_F(TrackReplay, RejectedPointsAreToldAndCostNothingElse) {
  fake_.plans = {{2, 4}};  // what is rejected twice, because its ack was lost, counts once
  fake_.reject = [](const v1::Point& point) -> std::optional<v1::RejectedPoint> {
    int64_t number = point.recorded_at().seconds() - kStart;
    v1::RejectedPoint rejected;
    if (number % 10 == 3) {
      rejected.set_reason(v1::BAD_COORDINATE);
      rejected.set_field("longitude");
      rejected.set_detail("has to be within -180 and 180 degrees");
      return rejected;
    }
    rejected.set_reason(v1::TIME_IN_FUTURE);
    return number == 55 ? std::optional(rejected) : std::nullopt;
  };
  std::string file = WriteTrack(100);
  Ran ran = Run({"track", "replay", file, "--batch", "10", "--json"});
  EXPECT_EQ(ran.code, 7) << ran.output;
  nlohmann::json report = ran.json.back();
  EXPECT_EQ(report["durable"], 89);
  EXPECT_EQ(report["rejected"], (nlohmann::json{{"BAD_COORDINATE", 10}, {"TIME_IN_FUTURE", 1}}));
  ASSERT_THAT(report["first_rejected"], SizeIs(4)) << "three of a reason";
  EXPECT_EQ(report["first_rejected"][1]["point"], 13);
  EXPECT_EQ(report["first_rejected"][1]["driver_id"], "d-1");
  EXPECT_EQ(report["first_rejected"][1]["field"], "longitude");
  EXPECT_EQ(report["first_rejected"][1]["recorded_time"], "2026-01-01T00:00:13.007Z");

  ran = Run({"track", "replay", file});
  EXPECT_EQ(ran.code, 7);
  EXPECT_THAT(ran.output, HasSubstr("100 points read, 89 stored, 11 rejected"));
  EXPECT_THAT(ran.output,
              HasSubstr("rejected 10 points for BAD_COORDINATE\n  point 3: d-0 at 2026-01-01T00:00:03.007Z: "
                        "longitude has to be within -180 and 180 degrees\n"));
  EXPECT_THAT(ran.output, HasSubstr("rejected 1 point for TIME_IN_FUTURE"));
}

TEST_F(TrackReplay, WhatStandsBeforeABadLineIsStored) {
  std::string file = WriteTrack(70);
  std::ofstream(file, std::ios::app) << "d-1,noon,1,2,,,\nd-1,2026-01-01T00:01:11Z,1,2,,,\n";
  Ran ran = Run({"track", "replay", file});
  EXPECT_EQ(ran.code, 2) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("day.csv:72: recorded_at: \"noon\" is no time that can be told for sure"));
  EXPECT_THAT(ran.output, HasSubstr("70 points read, 70 stored"));
  EXPECT_EQ(Numbers(fake_.points()), FromTo(1, 70));

  ran = Run({"track", "replay", file, "--skip-bad", "--json"});
  EXPECT_EQ(ran.code, 7) << ran.output;
  EXPECT_EQ(Numbers(PointsOf(fake_.streams().back())), FromTo(1, 71));
  EXPECT_EQ(ran.json.back()["skipped"], 1);
  EXPECT_THAT(ran.json.back()["first_skipped"][0].get<std::string>(), HasSubstr("day.csv:72"));
}

TEST_F(TrackReplay, WhatIsNoTrackFileDoesNotReachTheService) {
  std::ofstream(Path("a.csv")) << "junk\n";
  std::ofstream(Path("a.gpx")) << "<gpx>";
  std::ofstream(Path("a.txt")) << "junk\n";
  EXPECT_EQ(Run({"track", "replay", Path("a.csv")}).code, 2);
  EXPECT_EQ(Run({"track", "replay", Path("a.gpx")}).code, 2);
  EXPECT_EQ(Run({"track", "replay", Path("a.txt")}).code, 2);
  EXPECT_EQ(Run({"track", "replay", Path("none.csv")}).code, 3);
  EXPECT_EQ(Run({"track", "replay", WriteTrack(1), "--speed", "fast"}).code, 2);
  EXPECT_THAT(fake_.streams(), IsEmpty());
}

TEST_F(TrackReplay, AFileWithoutAPointIsAnErrorThatSaysWhatItHas) {
  auto refused = [&](const std::string& name, const std::string& text, const std::string& what) {
    std::ofstream(Path(name)) << text;
    Ran ran = Run({"track", "replay", Path(name), "--driver", "d-1"});
    EXPECT_EQ(ran.code, 2) << text;
    EXPECT_THAT(ran.output, HasSubstr(what));
  };
  EXPECT_EQ(Run({"track", "replay", WriteTrack(0)}).code, 2);
  refused("a.csv", "", "has no points");
  refused("a.gpx", "<gpx><rte><rtept lat='1' lon='2'/></rte><wpt lat='1' lon='2'/></gpx>",
          "has no track points; it has 1 route point and 1 waypoint; --waypoints takes those that have a time");
  refused("b.gpx", "<gpx><trk><trkseg><trkpt lat='1' lon='2'/></trkseg></trk></gpx>", "point 1: has no time");
  refused("a.json", "{\"type\":\"FeatureCollection\",\"features\":[]}", "has no points");
  EXPECT_THAT(fake_.streams(), IsEmpty());
}

TEST_F(TrackReplay, HowAFileWasUnderstoodIsToldInNotes) {
  std::ofstream(Path("a.csv")) << "time,lat,lon,speed,battery\n2026-01-01 01:00:01,1,2,36,80\n,1,2,36,80\n";
  Ran ran = Run({"track", "replay", Path("a.csv"), "--driver", "d-1"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, HasSubstr("names no zone; --zone says it"));
  const std::vector<std::string> options = {"track",  "replay",        Path("a.csv"),  "--driver", "d-1",
                                            "--zone", "Europe/Berlin", "--speed-unit", "kmh"};
  ran = Run(options);
  EXPECT_EQ(ran.code, 7) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("note: not read: battery\n"));
  EXPECT_THAT(ran.output, HasSubstr("1 point read, 1 stored, 0 rejected, 1 skipped"));
  ASSERT_THAT(fake_.points(), SizeIs(1));
  EXPECT_EQ(TimeOf(fake_.points()[0]), absl::FromUnixSeconds(kStart + 1));
  EXPECT_FLOAT_EQ(fake_.points()[0].speed_mps(), 10);
  std::vector<std::string> json = options;
  json.push_back("--json");
  ran = Run(json);
  EXPECT_EQ(ran.json.back()["notes"], nlohmann::json({"not read: battery"}));
  EXPECT_EQ(ran.json.back()["skipped"], 1);
  EXPECT_EQ(Run({"track", "replay", Path("a.csv"), "--driver", "d-1", "--zone", "Mars"}).code, 2);
  EXPECT_EQ(Run({"track", "replay", Path("a.csv"), "--driver-always"}).code, 2) << "whose, then?";
}

TEST_F(TrackReplay, ThePartOfAFileThatIsWholeIsReplayedOnRequest) {
  std::string file = WriteTrack(3, "day.gpx");
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 60);
  Ran ran = Run({"track", "replay", file});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, HasSubstr("the file breaks off"));
  ran = Run({"track", "replay", file, "--skip-bad"});
  EXPECT_EQ(ran.code, 7) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("2 points read, 2 stored, 0 rejected, 1 skipped"));
}

// Without a clock a receiver has the date it was made with, or one that is 1024 weeks off.
TEST_F(TrackReplay, NothingWaitsForAFirstFixOfAnotherDecade) {
  auto writer = tracks::TrackWriter::Create(Path("day.csv"));
  ASSERT_TRUE(writer.ok());
  domain::DriverPosition first = Position(1);
  first.recorded_at = absl::FromUnixSeconds(315'964'812);
  for (const auto& position : {first, Position(2), Position(3)})
    ASSERT_EQ((*writer)->Write(position), absl::OkStatus());
  ASSERT_EQ((*writer)->Close(), absl::OkStatus());
  Ran ran = Run({"track", "replay", Path("day.csv"), "--speed", "10", "--timeout", "20s"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(fake_.points(), SizeIs(3));
  EXPECT_THAT(ran.output,
              HasSubstr("jumps of the recorded time by more than 30 days are not waited for (1, by 16796d"));
  absl::Time before = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  ran = Run({"track", "replay", Path("day.csv"), "--speed", "10", "--shift-to-now", "--timeout", "20s"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  std::vector<v1::Point> points = PointsOf(fake_.streams().back());
  ASSERT_THAT(points, SizeIs(3));
  EXPECT_LT(TimeOf(points[0]), before - absl::Hours(24 * 365)) << "it stays a bad point";
  EXPECT_GE(TimeOf(points[1]), before);
  EXPECT_LE(TimeOf(points[2]), absl::Now());
}

TEST_F(TrackReplay, AWeekCounterThatWentAroundIsToldAndCanBeMended) {
  fake_.reject = [](const v1::Point& point) -> std::optional<v1::RejectedPoint> {
    v1::RejectedPoint rejected;
    rejected.set_reason(v1::OLDER_THAN_RETENTION);
    return TimeOf(point) < absl::Now() - absl::Hours(24 * 30) ? std::optional(rejected) : std::nullopt;
  };
  const absl::Time yesterday = absl::Now() - absl::Hours(24);
  std::ofstream(Path("a.csv")) << "driver_id,time_s,lat,lon\nd-1,"
                               << absl::ToUnixSeconds(yesterday - absl::Hours(24 * 7) * 1024) << ",1,2\n";
  Ran ran = Run({"track", "replay", Path("a.csv")});
  EXPECT_EQ(ran.code, 7);
  EXPECT_THAT(ran.output, HasSubstr("--shift-weeks 1024 puts it right"));
  EXPECT_EQ(Run({"track", "replay", Path("a.csv"), "--shift-weeks", "1024"}).code, 0);
  EXPECT_EQ(fake_.points().back().recorded_at().seconds(), absl::ToUnixSeconds(yesterday));
}

TEST_F(TrackReplay, AGpxWithoutANameNeedsADriver) {
  std::ofstream(Path("a.gpx"))
      << "<gpx><trk><trkseg><trkpt lat='1' lon='2'><time>2026-01-01T00:00:01Z</time></trkpt></trkseg></trk></gpx>";
  EXPECT_EQ(Run({"track", "replay", Path("a.gpx")}).code, 2);
  EXPECT_EQ(Run({"track", "replay", Path("a.gpx"), "--driver", "van-7"}).code, 0);
  ASSERT_THAT(fake_.points(), SizeIs(1));
  EXPECT_EQ(fake_.points()[0].driver_id(), "van-7");
}

TEST_F(TrackReplay, NoMoreThanTheWindowGoesOutWithoutAnAck) {
  fake_.plans = {{0}};
  auto process = Start({"track", "replay", WriteTrack(1000), "--batch", "10"});
  auto received = [&] { return fake_.points().size(); };
  ASSERT_TRUE(testing::Eventually(absl::Seconds(30), [&] { return received() == 320; })) << received();
  // It closes its side now: what it had to say, it has said.
  ASSERT_TRUE(process->Signal(SIGINT));
  EXPECT_EQ(process->Wait(absl::Seconds(30)), 1) << process->Output();
  EXPECT_EQ(received(), 320u);
}

TEST_F(TrackReplay, CtrlCEndsItAlsoWhileThereIsNobodyToTalkTo) {
  auto process = Start({"track", "replay", WriteTrack(10), "--ingest", "127.0.0.1:1", "--retries", "1000"});
  ASSERT_TRUE(testing::Eventually(
      absl::Seconds(30), [&] { return process->Output().find("UNAVAILABLE: trying again") != std::string::npos; }));
  ASSERT_TRUE(process->Signal(SIGINT));
  EXPECT_EQ(process->Wait(absl::Seconds(10)), 1) << process->Output();
  EXPECT_THAT(process->Output(), HasSubstr("interrupted before everything that was sent was acked"));
}

TEST_F(TrackReplay, CtrlCEndsItInOrderAndItGoesOnLater) {
  auto writer = tracks::TrackWriter::Create(Path("day.csv"));
  ASSERT_TRUE(writer.ok());
  domain::DriverPosition much_later = Position(3);
  much_later.recorded_at += absl::Hours(10);
  for (const auto& position : {Position(1), much_later}) ASSERT_EQ((*writer)->Write(position), absl::OkStatus());
  ASSERT_EQ((*writer)->Close(), absl::OkStatus());
  auto process = Start({"track", "replay", Path("day.csv"), "--speed", "real", "--resume"});
  ASSERT_TRUE(testing::Eventually(absl::Seconds(30), [&] { return fake_.points().size() == 1; }));
  ASSERT_TRUE(process->Signal(SIGINT));
  EXPECT_EQ(process->Wait(absl::Seconds(30)), 1);
  EXPECT_THAT(process->Output(), HasSubstr("1 stored"));
  EXPECT_THAT(process->Output(), HasSubstr("interrupted; the same command goes on from here"));
  EXPECT_THAT(fake_.points(), SizeIs(1));
  // The first point behind the pause is due at once.
  EXPECT_EQ(Run({"track", "replay", Path("day.csv"), "--speed", "real", "--resume"}).code, 0);
  ASSERT_THAT(fake_.points(), SizeIs(2));
  EXPECT_EQ(TimeOf(fake_.points()[1]), much_later.recorded_at);
}

TEST_F(TrackReplay, AShiftedRecordingEndsOrBeginsNow) {
  std::string file = WriteTrack(11);  // ten seconds
  absl::Time before = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  ASSERT_EQ(Run({"track", "replay", file, "--shift-to-now"}).code, 0);
  auto times = [&] {
    std::vector<v1::Point> points = PointsOf(fake_.streams().back());
    EXPECT_THAT(points, SizeIs(11));
    return std::make_pair(TimeOf(points.front()), TimeOf(points.back()));
  };
  auto [first, last] = times();
  EXPECT_EQ(last - first, absl::Seconds(10));
  EXPECT_GE(last, before);
  EXPECT_LE(last, absl::Now());

  before = last;
  ASSERT_EQ(Run({"track", "replay", file, "--shift-to-now", "--speed", "1000"}).code, 0);
  std::tie(first, last) = times();
  EXPECT_EQ(last - first, absl::Milliseconds(10)) << "as fast as it is replayed";
  EXPECT_GE(first, before);
  EXPECT_LE(last, absl::Now()) << "no point is ahead of the clock";
}

TEST_F(TrackReplay, AShiftSurvivesAnInterruption) {
  std::string file = WriteTrack(30);
  fake_.plans = {{1, 2}, {0, 1}};
  auto replay = [&] {
    return Run({"track", "replay", file, "--batch", "10", "--shift-to-now", "--resume", "--retries", "0"});
  };
  EXPECT_EQ(replay().code, 5);
  EXPECT_EQ(replay().code, 0);
  std::vector<v1::Point> first = PointsOf(fake_.streams().front());
  std::vector<v1::Point> last = PointsOf(fake_.streams().back());
  ASSERT_THAT(first, SizeIs(20));
  ASSERT_THAT(last, SizeIs(20));
  EXPECT_EQ(TimeOf(last[0]), TimeOf(first[10])) << "sent again, it has to be the same point";
  EXPECT_EQ(TimeOf(last[19]) - TimeOf(first[0]), absl::Seconds(29));
}

TEST_F(TrackReplay, AGeneratedFleetArrivesAsItsTruthSays) {
  Ran made = Run({"track", "generate", Path("city.csv.gz"), "--seed", "7", "--drivers", "10", "--minutes", "20",
                  "--resends", "20", "--bad", "20", "--json"});
  ASSERT_EQ(made.code, 0) << made.output;
  nlohmann::json truth = made.json.at(0);
  EXPECT_EQ(truth["points"].get<int>() > 2000, true) << truth;
  fake_.reject = [](const v1::Point& point) -> std::optional<v1::RejectedPoint> {
    v1::RejectedPoint rejected;
    rejected.set_reason(v1::ZERO_COORDINATE);
    return point.latitude() == 0 ? std::optional(rejected) : std::nullopt;
  };
  Ran ran = Run({"track", "replay", Path("city.csv.gz"), "--json"});
  ASSERT_EQ(ran.code, 7) << ran.output;
  EXPECT_EQ(ran.json.back()["rejected"].value("ZERO_COORDINATE", 0), truth["zero_coordinate"].get<int>());
  EXPECT_EQ(ran.json.back()["read"].get<int>(), truth["points"].get<int>() + truth["duplicates"].get<int>() +
                                                    truth["bad_coordinate"].get<int>() +
                                                    truth["zero_coordinate"].get<int>() + truth["future"].get<int>());
}

TEST_F(TrackReplay, GenerateRepeatsItselfByTheSeed) {
  auto bytes = [&](const std::string& name, const std::string& seed) {
    EXPECT_EQ(Run({"track", "generate", Path(name), "--seed", seed, "--drivers", "3", "--minutes", "5"}).code, 0);
    std::ifstream in(Path(name), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(bytes("a.csv", "1"), bytes("b.csv", "1"));
  EXPECT_NE(bytes("a.csv", "1"), bytes("b.csv", "2"));
  auto grouped = tracks::ReadTrackFile(Path("a.csv"), {}).value();
  bytes("a.gpx", "1");
  EXPECT_EQ(tracks::ReadTrackFile(Path("a.gpx"), {}).value().size(), grouped.size());
  EXPECT_EQ(Run({"track", "generate", Path("a.txt")}).code, 2);
  EXPECT_EQ(Run({"track", "generate", Path("a.csv"), "--interval", "1ms"}).code, 2);
  EXPECT_EQ(Run({"track", "generate", Path("a.csv"), "--centre", "85,0"}).code, 2);
}

v1::Point ContractPoint(int number) {
  v1::Point point;
  domain::DriverPosition position = Position(number);
  point.set_driver_id("d-7");
  point.set_latitude(position.point.latitude);
  point.set_longitude(position.point.longitude);
  point.mutable_recorded_at()->set_seconds(kStart + number);
  point.mutable_recorded_at()->set_nanos(7'000'000);
  point.set_speed_mps(12.3F);
  return point;
}

TEST_F(TrackReplay, ExportGoesThroughAllPages) {
  for (int page = 0; page < 3; ++page) {
    v1::GetTrackResponse response;
    for (int i = 1; i <= 4; ++i) *response.add_points() = ContractPoint(page * 4 + i);
    if (page < 2) response.set_next_page_token(fmt::format("page {}", page + 1));
    fake_.tracks.push_back(response);
  }
  std::string file = Path("d-7.geojson.gz");
  Ran ran = Run({"track", "export", "d-7", "--from", "2026-01-01", "--to", "2026-01-02", "--min-interval", "1500ms",
                 "--out", file, "--json"});
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(ran.json.at(0)["points"], 12);
  auto requests = fake_.track_requests();
  ASSERT_THAT(requests, SizeIs(3));
  EXPECT_EQ(requests[0].page_token(), "");
  EXPECT_EQ(requests[1].page_token(), "page 1");
  EXPECT_EQ(requests[2].page_token(), "page 2");
  for (v1::GetTrackRequest& request : requests) {
    EXPECT_EQ(request.driver_id(), "d-7");
    EXPECT_EQ(request.start_time().seconds(), kStart);
    EXPECT_EQ(request.end_time().seconds(), kStart + 86'400);
    EXPECT_EQ(request.min_interval().seconds(), 1);
    EXPECT_EQ(request.min_interval().nanos(), 500'000'000);
    EXPECT_EQ(request.min_distance_m(), 0);
  }
  auto points = tracks::ReadTrackFile(file, {}).value();
  ASSERT_THAT(points, SizeIs(12));
  for (int i = 1; i <= 12; ++i) {
    const domain::DriverPosition& point = points[static_cast<size_t>(i - 1)];
    EXPECT_EQ(point.recorded_at, Position(i).recorded_at);
    EXPECT_EQ(point.point, Position(i).point);
    EXPECT_EQ(point.speed_mps, 12.3) << "not 12.300000190734863";
    EXPECT_EQ(point.driver_id, "d-7");
  }
}

TEST_F(TrackReplay, ExportWithoutAnEndFixesIt) {
  v1::GetTrackResponse page;
  page.set_next_page_token("more");
  fake_.tracks = {page, v1::GetTrackResponse()};
  *fake_.tracks[1].add_points() = ContractPoint(1);
  Ran ran = Run({"track", "export", "d-7"});
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("driver_id,recorded_at,lat,lng,speed,heading,accuracy\n"
                                    "d-7,2026-01-01T00:00:01.007000Z,52.50001,13.4,12.3,,\n"));
  auto requests = fake_.track_requests();
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_TRUE(requests[0].has_end_time());
  EXPECT_EQ(requests[0].end_time().SerializeAsString(), requests[1].end_time().SerializeAsString());
}

TEST_F(TrackReplay, AFailedExportLeavesTheOldFile) {
  std::ofstream(Path("old.csv")) << "old";
  EXPECT_NE(Run({"track", "export", "d-7", "--out", Path("old.csv")}).code, 0);
  EXPECT_EQ(
      Run({"track", "export", "d-7", "--out", Path("old.csv"), "--min-interval", "1s", "--min-distance", "5"}).code, 2);
  EXPECT_EQ(std::filesystem::file_size(Path("old.csv")), 3u);
}

}  // namespace
}  // namespace waybill::cli
