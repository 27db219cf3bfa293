// What can be asked about drivers' positions, without gRPC: the latest from the hot view or history, who is near, and
// tracks page by page. Reads that block run on workers; answers come on any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/worker_pool.h"
#include "services/ingest/hot_view_feeder.h"
#include "storage/hot_view.h"
#include "storage/location_log.h"
#include "tracks/downsample.h"

namespace waybill::ingest {

struct DriverLocation {
  storage::DriverPosition position;
  absl::Duration age;  // at least 0
  bool fresh = false;  // from the hot view; otherwise from history
};

struct NearbyLocation {
  storage::DriverPosition position;
  double distance_m = 0;
  absl::Duration age;
};

struct Nearby {
  std::vector<NearbyLocation> drivers;  // nearest first
  bool stale = false;
};

struct TrackRequest {
  std::string driver_id;
  std::optional<absl::Time> from;  // none: a day before `to`
  std::optional<absl::Time> to;    // none: now
  int page_size = 1'000;
  std::string page_token;  // "": the first page
  tracks::ThinnerOptions thinner;
};

struct TrackPage {
  std::vector<storage::DriverPosition> points;
  std::string next_page_token;  // "": the last page
};

class LocationApi {
 public:
  template <typename Answer>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Answer>)>;

  // All outlive this.
  LocationApi(storage::HotView& view, storage::Fleet& fleet, storage::LocationHistory& history,
              const HotViewFeeder& feeder, WorkerPool& workers, const Clock& clock)
      : view_(view), fleet_(fleet), history_(history), feeder_(feeder), workers_(workers), clock_(clock) {}

  // The latest of each driver, in the order asked for; nothing where there is none. While the hot view is stale or does
  // not answer, history is asked too, and the newer one counts.
  void Drivers(std::vector<std::string> driver_ids, Done<std::vector<std::optional<DriverLocation>>> done);
  void Near(const storage::NearestQuery& query, Done<Nearby> done);
  // BAD_REQUEST for a page token that is none of this request's, or a range that ends before it starts.
  void Track(TrackRequest request, Done<TrackPage> done);

 private:
  absl::StatusOr<std::vector<std::optional<DriverLocation>>> FindDrivers(const std::vector<std::string>& driver_ids);
  absl::StatusOr<TrackPage> ReadTrack(const TrackRequest& request);
  absl::Duration Age(const storage::DriverPosition& position) const;
  // Runs `read` on a worker; QUEUE_FULL at once when all are behind.
  template <typename Answer, typename Read>
  void OnWorker(Done<Answer> done, Read read);

  storage::HotView& view_;
  storage::Fleet& fleet_;
  storage::LocationHistory& history_;
  const HotViewFeeder& feeder_;
  WorkerPool& workers_;
  const Clock& clock_;
};

}  // namespace waybill::ingest
