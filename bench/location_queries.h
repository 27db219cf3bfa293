// Reads from waybill.location.v1.LocationService, each answer checked: NearbyDrivers in an open loop, GetTrack by one
// caller.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bench/histogram.h"
#include "bench/pacer.h"
#include "domain/geo.h"

namespace waybill::bench {

struct QueryResult {
  // What became of all calls: "OK", the error's code and message, or what is wrong with the answer.
  std::map<std::string, int64_t> outcomes;
  Histogram latency;  // of calls that were answered as they should be, in the window
  absl::Duration window = absl::ZeroDuration();
  double PerSecond() const { return static_cast<double>(latency.count()) / absl::ToDoubleSeconds(window); }
};

struct NearbyOptions {
  std::string target;                    // host:port
  double rate = 1'000;                   // calls a second
  std::vector<domain::GeoPoint> places;  // asked for in turn
  double radius_m = 500;
  int limit = 20;  // as many have to be found
  absl::Duration warm_up = absl::ZeroDuration();
  absl::Duration duration = absl::Seconds(10);
  absl::Duration call_deadline = absl::Seconds(10);
};

// Latency is from the instant a call was due. An answer has to be whole, not stale, and nearest first.
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
