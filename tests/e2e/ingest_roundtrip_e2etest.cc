// Whole tracks go in through streams in the order they were delivered, duplicates and bad points among them, and come
// out page by page: identical, less exactly what had to be rejected and what was there already. The same with tracks
// that were really driven, where they are at hand.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/fleet_client.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"
#include "tracks/city_fleet.h"
#include "tracks/downsample.h"
#include "tracks/track_file.h"

namespace waybill::testing {
namespace {

namespace pb = location::v1;
using domain::DriverPosition;

constexpr absl::Duration kRoundtripMax = absl::Seconds(300);

pb::Point ToPoint(const DriverPosition& position) {
  pb::Point point = PointOf(position.driver_id, position.point, position.recorded_at);
  if (position.accuracy_m) point.set_accuracy_m(static_cast<float>(*position.accuracy_m));
  if (position.heading_deg) point.set_heading_deg(static_cast<float>(*position.heading_deg));
  if (position.speed_mps) point.set_speed_mps(static_cast<float>(*position.speed_mps));
  return point;
}

// As it is kept: measurements as floats, an accuracy of 0 as none, and no marks, which are the server's own.
DriverPosition ToPosition(const pb::Point& point) {
  DriverPosition position;
  position.driver_id = point.driver_id();
  position.point = {point.latitude(), point.longitude()};
  position.recorded_at = absl::FromUnixMicros(KeyOf(point).second);
  if (point.has_accuracy_m() && point.accuracy_m() != 0) position.accuracy_m = point.accuracy_m();
  if (point.has_heading_deg()) position.heading_deg = point.heading_deg();
  if (point.has_speed_mps()) position.speed_mps = point.speed_mps();
  return position;
}

class RoundtripTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> args = {}) {
    IngestStackOptions options;
    options.args = std::move(args);
    stack_.emplace(options);
    stack_->AddReplica("a").Start();
    stub_ = stack_->replica().Locations();
  }

  // All of one driver through the same stream, in this order.
  void Send(const std::vector<DriverPosition>& positions, int batch_points) {
    constexpr size_t kStreams = 4;
    std::vector<std::vector<const DriverPosition*>> shares(kStreams);
    for (const DriverPosition& position : positions) {
      shares[std::hash<std::string>()(position.driver_id) % kStreams].push_back(&position);
    }
    std::vector<std::unique_ptr<FleetClient>> clients;
    for (const auto& share : shares) {
      clients.push_back(std::make_unique<FleetClient>(
          stack_->replica(),
          [&share, batch_points, next = size_t{0}](pb::LocationBatch& batch) mutable {
            for (int i = 0; i < batch_points && next < share.size(); ++i) *batch.add_points() = ToPoint(*share[next++]);
            return batch.points_size() > 0;
          },
          8));
    }
    for (auto& client : clients) {
      EXPECT_TRUE(client->Drain(kRoundtripMax)) << stack_->replica().process().Output();
      EXPECT_EQ(client->complaints(), std::vector<std::string>());
      for (const pb::RejectedPoint& rejected : client->Rejected()) ++rejected_[rejected.reason()];
    }
  }

  std::vector<DriverPosition> Track(pb::GetTrackRequest request) {
    std::vector<DriverPosition> track;
    do {
      pb::GetTrackResponse page;
      const grpc::Status status = stub_->GetTrack(Deadline(absl::Seconds(30)).get(), request, &page);
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_LE(page.points_size(), request.page_size());
      for (const pb::Point& point : page.points()) track.push_back(ToPosition(point));
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return track;
  }

  // What was sent comes out, by driver and in the order of time, once; whole, and thinned out in both ways.
  void ExpectTracks(const std::vector<DriverPosition>& good, int page_size, size_t thinned_drivers = SIZE_MAX) {
    // Recorders do give two positions for one time; nobody says which of them stays.
    std::map<std::string, std::map<absl::Time, std::vector<DriverPosition>>> expected;
    for (const DriverPosition& position : good) {
      DriverPosition kept = ToPosition(ToPoint(position));
      expected[kept.driver_id][kept.recorded_at].push_back(kept);
    }
    size_t driver = 0;
    for (const auto& [driver_id, by_time] : expected) {
      SCOPED_TRACE(driver_id);
      pb::GetTrackRequest request;
      request.set_driver_id(driver_id);
      SetTime(by_time.begin()->first, *request.mutable_start_time());
      SetTime(by_time.rbegin()->first + absl::Microseconds(1), *request.mutable_end_time());
      request.set_page_size(page_size);
      const std::vector<DriverPosition> whole = Track(request);
      ASSERT_EQ(whole.size(), by_time.size());
      auto point = whole.begin();
      for (const auto& [time, sent] : by_time) ASSERT_THAT(sent, ::testing::Contains(*point++)) << time;
      if (driver++ >= thinned_drivers) continue;
      request.mutable_min_interval()->set_seconds(30);
      EXPECT_TRUE(Track(request) == tracks::Downsample(whole, {absl::Seconds(30), 0}));
      request.clear_min_interval();
      request.set_min_distance_m(100);
      EXPECT_TRUE(Track(request) == tracks::Downsample(whole, {absl::ZeroDuration(), 100}));
    }
  }

  void ExpectCounts(int64_t received, int64_t stored, int64_t duplicates, int64_t rejected) {
    IngestReplica& replica = stack_->replica();
    EXPECT_EQ(replica.Metric("waybill_locations_received_total"), static_cast<double>(received));
    EXPECT_EQ(replica.Metric("waybill_locations_stored_total"), static_cast<double>(stored));
    EXPECT_EQ(replica.Metric("waybill_locations_duplicate_total"), static_cast<double>(duplicates));
    double all = 0;
    for (const std::string reason : {"bad_driver_id", "bad_coordinate", "zero_coordinate", "bad_time", "time_in_future",
                                     "older_than_retention", "bad_measurement", "refused_by_store"}) {
      all += replica.Metric("waybill_locations_rejected_total{reason=\"" + reason + "\"}");
    }
    EXPECT_EQ(all, static_cast<double>(rejected));
    EXPECT_EQ(stack_->StoredCount(), stored);
  }

  std::optional<IngestStack> stack_;
  std::unique_ptr<pb::LocationService::Stub> stub_;
  std::map<pb::RejectReason, int64_t> rejected_;
};

TEST_F(RoundtripTest, AGeneratedFleetComesOutAsItWentIn) {
  tracks::CityFleetOptions options;
  options.seed = 11;
  options.drivers = LongForms() ? 500 : 40;
  options.length = absl::Hours(1);
  options.start = absl::Now() - absl::Hours(26);
  options.spells_per_hour = 1;
  options.resends_per_fix = 0.05;
  options.bad_per_fix = 0.02;
  tracks::CityFleet fleet(options);
  std::vector<DriverPosition> sent, good;
  while (auto delivery = fleet.Next()) {
    sent.push_back(delivery->position);
    if (delivery->kind == tracks::DeliveryKind::kPoint) good.push_back(delivery->position);
  }
  const tracks::CityFleetTruth truth = fleet.truth();
  ASSERT_EQ(truth, tracks::CityFleet::TruthOf(options));
  ASSERT_GT(truth.duplicates, 100);
  ASSERT_GT(truth.bad_coordinate, 10);
  ASSERT_GT(truth.zero_coordinate, 10);
  ASSERT_GT(truth.future, 10);

  Start();
  Send(sent, 100);
  EXPECT_EQ(rejected_[pb::BAD_COORDINATE], truth.bad_coordinate);
  EXPECT_EQ(rejected_[pb::ZERO_COORDINATE], truth.zero_coordinate);
  EXPECT_EQ(rejected_[pb::TIME_IN_FUTURE], truth.future);
  ExpectCounts(truth.deliveries(), truth.points, truth.duplicates, truth.bad());
  ExpectTracks(good, 37);
}

class RealRoundtripTest : public RoundtripTest {
 protected:
  void SetUp() override {
    const char* named = std::getenv("WAYBILL_REAL_TRACKS");
    folder_ = named != nullptr ? std::filesystem::path(named)
                               : std::filesystem::path(WAYBILL_SOURCE_DIR).parent_path() / "shared" / "data";
    ASSERT_TRUE(named == nullptr || std::filesystem::exists(folder_)) << "WAYBILL_REAL_TRACKS names " << folder_;
    if (!std::filesystem::exists(folder_)) {
      GTEST_SKIP() << "ran WITHOUT real tracks: they are not at hand; WAYBILL_REAL_TRACKS names their folder";
    }
  }

  // With `resent` points sent again some time later, and neighbours out of order.
  static std::vector<DriverPosition> Disturb(const std::vector<DriverPosition>& points, size_t resent) {
    std::mt19937 random(3);
    std::vector<DriverPosition> sent = points;
    for (size_t i = 0; i + 40 < sent.size(); i += 40) {
      std::shuffle(sent.begin() + static_cast<std::ptrdiff_t>(i), sent.begin() + static_cast<std::ptrdiff_t>(i + 20),
                   random);
    }
    for (size_t i = 0; i < resent; ++i) sent.push_back(points[random() % points.size()]);
    return sent;
  }

  std::filesystem::path folder_;
};

TEST_F(RealRoundtripTest, ADayOfTaxis) {
  auto reader = tracks::TrackReader::Open(folder_ / "fleet.csv.gz", {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<DriverPosition> points;
  const size_t points_max = LongForms() ? SIZE_MAX : 100'000;
  while (points.size() < points_max) {
    auto point = (*reader)->Next();
    ASSERT_TRUE(point.ok()) << point.status();
    if (!*point) break;
    points.push_back(**point);
  }
  ASSERT_EQ(points.size(), LongForms() ? 506'190u : 100'000u);
  const size_t resent = points.size() / 50;
  Start({"--retention", "262800h"});
  Send(Disturb(points, resent), 500);
  EXPECT_TRUE(rejected_.empty());
  const auto all = static_cast<int64_t>(points.size());
  ExpectCounts(all + static_cast<int64_t>(resent), all, static_cast<int64_t>(resent), 0);
  ExpectTracks(points, 200, /*thinned_drivers=*/50);
  // Taxis do jump in such data, and nobody's points are lost for it.
  EXPECT_GT(stack_->replica().Metric("waybill_locations_marked_total{mark=\"speed_jump\"}"), 100);
}

TEST_F(RealRoundtripTest, FilesOfGpxRecorders) {
  std::vector<DriverPosition> points;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "gpx")) {
    tracks::TrackReadOptions options;
    options.default_driver_id = entry.path().stem();
    options.skip_bad = true;  // points without a time
    auto read = tracks::ReadTrackFile(entry.path(), options);
    ASSERT_TRUE(read.ok()) << read.status();
    points.insert(points.end(), read->begin(), read->end());
    ++files;
  }
  ASSERT_GT(files, 0);
  ASSERT_GT(points.size(), 100u);
  std::set<std::pair<std::string, absl::Time>> distinct;
  for (const DriverPosition& point : points) distinct.emplace(point.driver_id, point.recorded_at);
  Start({"--retention", "262800h"});
  Send(points, 50);
  EXPECT_TRUE(rejected_.empty());
  const auto all = static_cast<int64_t>(points.size()), kept = static_cast<int64_t>(distinct.size());
  ExpectCounts(all, kept, all - kept, 0);
  ExpectTracks(points, 20);
}

}  // namespace
}  // namespace waybill::testing
