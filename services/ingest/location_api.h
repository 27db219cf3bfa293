// What can be asked about drivers' positions, without gRPC: the latest from the hot view or history, who is near, and
// tracks page by page. Reads that block run on workers, those of the hot view and those of history on workers of their
// own, so that while one store hangs the other still answers. Answers come on any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "services/ingest/hot_view_feeder.h"
#include "storage/fleet.h"
#include "storage/hot_view.h"
#include "storage/location_log.h"
#include "tracks/downsample.h"

namespace waybill::ingest {

struct DriverLocation {
  domain::DriverPosition position;
  absl::Duration age;  // at least 0
  bool fresh = false;  // from the hot view; otherwise from history
};

struct NearbyLocation {
  domain::DriverPosition position;
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
  std::vector<domain::DriverPosition> points;
  std::string next_page_token;  // "": the last page
};

class LocationApi {
 public:
  template <typename Answer>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Answer>)>;
  // Whether whoever asked has gone: then nothing is read for him any more. Not called once `done` was.
  using Gone = std::function<bool()>;

  // All outlive this.
  LocationApi(storage::HotView& view, storage::Fleet& fleet, storage::LocationHistory& history,
              const HotViewFeeder& feeder, Executor& view_workers, Executor& history_workers, const Clock& clock)
      : view_(view),
        fleet_(fleet),
        history_(history),
        feeder_(feeder),
        view_workers_(view_workers),
        history_workers_(history_workers),
        clock_(clock) {}

  // The latest of each driver, in the order asked for; nothing where there is none. While the hot view is stale or does
  // not answer, history is asked too, and the newer one counts.
  void Drivers(
      std::vector<std::string> driver_ids, Done<std::vector<std::optional<DriverLocation>>> done,
      Gone gone = [] { return false; });
  void Near(
      const storage::NearestQuery& query, Done<Nearby> done, Gone gone = [] { return false; });
  // BAD_REQUEST for a page token that is none of this request's, or a range that ends before it starts.
  void Track(
      TrackRequest request, Done<TrackPage> done, Gone gone = [] { return false; });

 private:
  using Found = std::vector<std::optional<DriverLocation>>;

  void FindDrivers(std::vector<std::string> driver_ids, Done<Found> done, const Gone& gone);
  absl::StatusOr<Nearby> Locate(const storage::NearestQuery& query, const std::vector<storage::NearbyDriver>& near);
  absl::StatusOr<TrackPage> ReadTrack(const TrackRequest& request);
  absl::Duration Age(const domain::DriverPosition& position) const;
  // Runs `work` with `done` on a worker; QUEUE_FULL at once when all are behind. `ids`: of drivers, that wait with it.
  template <typename Answer, typename Work>
  void OnWorker(Executor& workers, size_t ids, Done<Answer> done, Gone gone, Work work);

  storage::HotView& view_;
  storage::Fleet& fleet_;
  storage::LocationHistory& history_;
  const HotViewFeeder& feeder_;
  Executor& view_workers_;
  Executor& history_workers_;
  const Clock& clock_;
  std::atomic<size_t> waiting_ids_{0};
};

}  // namespace waybill::ingest
