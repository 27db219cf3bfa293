// Reads from waybill.location.v1.LocationService, each answer checked: NearbyDrivers in an open loop, GetTrack by one
// caller.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bench/open_loop.h"
#include "bench/pacer.h"
#include "domain/geo.h"

namespace waybill::bench {

struct NearbyOptions {
  std::string target;                    // host:port
  std::vector<domain::GeoPoint> places;  // asked for in turn
  double radius_m = 500;
  int limit = 20;  // as many have to be found
  OpenLoopOptions loop;
};

// An answer has to be whole, not stale, and nearest first.
QueryResult AskNearby(const NearbyOptions& options, Timer& timer);
// Waits until the hot view is whole: NearbyDrivers no longer answers `stale`. DEADLINE_EXCEEDED.
absl::Status AwaitHotView(const std::string& target, Timer& timer, absl::Duration timeout);

struct TrackOptions {
  std::string target;                      // host:port
  std::vector<std::string> driver_ids;     // asked for in turn, each once
  absl::Time start;                        // of what is there
  absl::Duration step;                     // between two points
  int64_t points = 0;                      // of each driver
  absl::Duration length = absl::Hours(1);  // of a track; where it starts is different each time
};

// One call after the other. An answer has to hold every point of the track and no other.
QueryResult AskTracks(const TrackOptions& options, Timer& timer);

}  // namespace waybill::bench
