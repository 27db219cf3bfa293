// The LocationBatch messages of one stream, as they go over the wire: encoded once, then only what changes is written
// into place. Encoding them anew each time would cost the load generator more than sending them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waybill::bench {

// What was put into the messages of one driver: the books are checked against it.
struct DriverTally {
  std::string driver_id;
  int64_t points = 0;
  int64_t time_sum = 0;  // of recorded_at, in microseconds since the run's epoch
  int64_t newest = 0;    // recorded_at of the newest point, in microseconds since 1970
  double latitude = 0;   // of that point
  double longitude = 0;

  friend bool operator==(const DriverTally&, const DriverTally&) = default;
};

class LocationMessage {
 public:
  // Batches of `points` points, of `drivers` drivers in turn from one batch to the next, who are called "<run>-0000000"
  // from `first_driver` on. `epoch`: start of the run, in microseconds since 1970.
  LocationMessage(std::string_view run, int64_t first_driver, int drivers, int points, int64_t epoch);

  // Sequences are these and above, so that all have the same length.
  static constexpr int64_t kFirstSequence = int64_t{1} << 28;

  // The next message: every point is new, recorded at `now` (microseconds since 1970) or, when the stream sends more
  // than a point a microsecond, a little later. Valid until the next call.
  std::string_view Next(int64_t sequence, int64_t now);

  int points() const { return points_; }
  // Of all messages so far.
  const std::vector<DriverTally>& tallies() const { return tallies_; }

 private:
  struct Template {
    std::string bytes;
    std::vector<size_t> point_at;  // where each point's latitude begins
  };

  int points_;
  std::vector<Template> templates_;  // in turn: the first driver of each follows the last of the one before
  size_t next_template_ = 0;
  size_t next_driver_ = 0;
  std::vector<DriverTally> tallies_;
  std::vector<int64_t> homes_e7_;  // where each driver is at the epoch: its latitude, in 10^-7 degrees
  int64_t epoch_;
  int64_t last_ = 0;  // recorded_at of the last point
};

}  // namespace waybill::bench
