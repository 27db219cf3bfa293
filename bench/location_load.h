// Load on waybill.location.v1.LocationService: streams of points, closed loop by a window of unacked messages, or open
// loop by rate.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "bench/guard.h"
#include "bench/histogram.h"
#include "bench/location_message.h"
#include "bench/pacer.h"

namespace waybill::bench {

struct LocationLoadOptions {
  std::string target;  // host:port
  Pass pass;
  std::string run;  // prefix of the driver ids, see LocationMessage
  int streams = 64;
  int connections = 8;                   // the streams are spread over
  int threads = 1;                       // that serve them
  int points = 50;                       // a message
  int drivers = 8;                       // each stream's own
  int window = 16;                       // closed loop: messages of a stream that are not yet acked, at most
  double rate = 0;                       // messages a second, to the streams in turn; 0: closed loop
  int64_t messages_max = INT64_MAX;      // a stream; ends the run when all were sent
  absl::Time epoch = absl::UnixEpoch();  // the time of day when Run is called; the timer takes it from there
  absl::Duration warm_up = absl::ZeroDuration();
  absl::Duration duration = absl::InfiniteDuration();  // of the measured window, which follows the warm-up
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration drain_timeout = absl::Seconds(30);  // for the last acks, and once more for the streams to end
};

struct LocationLoadResult {
  // How the streams ended: "OK", or the error's code and message. A stream that was ended with messages unacked, or was
  // sent an ack that makes no sense, is not OK.
  std::map<std::string, int64_t> streams;
  int64_t broken = 0;    // streams that did not end OK, or not before they had to be cancelled
  int64_t messages = 0;  // acked; warm-up and drain included, as in the next four
  int64_t points = 0;    // acked
  int64_t unacked = 0;   // messages that were sent, or due
  int64_t rejected = 0;  // points
  int64_t acks = 0;
  std::vector<DriverTally> drivers;  // what was sent; all of it is acked when no stream is broken

  // The measured window: messages acked in it (closed loop), or due in it and acked (open loop).
  Histogram latency;  // from the start of sending (open loop: from the instant it was due) to the ack that covers it
  int points_a_message = 0;
  absl::Duration window = absl::ZeroDuration();
  double PointsPerSecond() const {
    return static_cast<double>(latency.count() * points_a_message) / absl::ToDoubleSeconds(window);
  }

  // Another round of the same load: what was counted, its calls and its window come to these; `drivers` stay.
  void Merge(const LocationLoadResult& round);
};

class LocationLoad {
 public:
  struct Hooks {
    std::function<void()> window_starts = [] {};
    std::function<void()> window_ends = [] {};  // load is still on
    // Nothing more is sent, all that was is acked, and the streams are still open.
    std::function<void()> drained = [] {};
    // About once a second: points acked, and streams that are broken, so far.
    std::function<void(absl::Duration elapsed, int64_t points, int64_t broken)> progress = [](absl::Duration, int64_t,
                                                                                              int64_t) {};
  };

  LocationLoad(LocationLoadOptions options, Timer& timer) : options_(std::move(options)), timer_(timer) {}

  // Opens the streams and blocks until the window is over, all messages were sent, no stream is left or Stop was
  // called, and every message is acked and every stream has ended (drain_timeout bounds that). Once an object. Hooks
  // run on the calling thread.
  LocationLoadResult Run(const Hooks& hooks);

  // From any thread.
  void Stop() { stopped_ = true; }

 private:
  class Stream;
  class Worker;
  struct Window;

  // What the calling thread waits for: how many streams there are of each kind.
  struct Standing {
    int unopened = 0;
    int busy = 0;  // have a message that is not acked, or may yet send one by themselves
    int open = 0;
  };
  // Changes the standing and wakes whoever waits for it.
  void Count(int unopened, int busy, int open);
  // False: not within the time.
  bool Await(const std::function<bool(const Standing&)>& reached, absl::Duration timeout);

  LocationLoadOptions options_;
  Timer& timer_;
  std::atomic<bool> stopped_{false};
  std::atomic<int64_t> points_{0};
  std::atomic<int64_t> broken_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  Standing standing_;  // guarded by mutex_
};

}  // namespace waybill::bench
