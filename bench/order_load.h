// Load on waybill.order.v1.OrderService: CreateOrder, closed loop by callers or open loop by rate.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "bench/guard.h"
#include "bench/histogram.h"
#include "bench/pacer.h"

namespace waybill::bench {

struct LoadOptions {
  std::string target;        // host:port
  std::string other_target;  // every second thread's, if not empty
  Pass pass;
  std::string run;    // prefix of the idempotency keys, see OrderNumber
  int callers = 256;  // closed loop: calls in flight; open loop: at most that many
  double rate = 0;    // calls a second; 0: closed loop
  int threads = 1;    // that complete calls, each with a channel of its own
  absl::Duration warm_up = absl::ZeroDuration();
  absl::Duration duration = absl::InfiniteDuration();  // of the measured window, which follows the warm-up
  int64_t orders_max = INT64_MAX;                      // ends the run when that many were started
  bool until_accepted = false;                         // else calls wait until the order is settled
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration call_deadline = absl::Seconds(30);
};

struct LoadResult {
  // What became of all calls, warm-up and drain included: the status of the order ("CONFIRMED"), or the error's code
  // and reason ("UNAVAILABLE SHUTTING_DOWN").
  std::map<std::string, int64_t> outcomes;
  int64_t answered = 0;  // all calls that were answered OK
  int64_t failed = 0;    // all others

  // The measured window: calls answered OK in it (closed loop), or due in it and answered OK (open loop).
  Histogram latency;  // closed loop: from start to answer; open loop: from the instant the call was due to its answer
  absl::Duration window = absl::ZeroDuration();
  double PerSecond() const { return static_cast<double>(latency.count()) / absl::ToDoubleSeconds(window); }

  // Another round of the same load: its calls and its window come to these.
  void Merge(const LoadResult& round);
};

class OrderLoad {
 public:
  struct Hooks {
    std::function<void()> window_starts = [] {};
    std::function<void()> window_ends = [] {};  // load is still on
    // About once a second: answered and failed so far.
    std::function<void(absl::Duration elapsed, int64_t answered, int64_t failed)> progress = [](absl::Duration, int64_t,
                                                                                                int64_t) {};
  };

  OrderLoad(LoadOptions options, Timer& timer) : options_(std::move(options)), timer_(timer) {}

  // Blocks until the window is over, `orders_max` were started or Stop was called, and every call has ended (its
  // deadline bounds that). Once an object. Hooks run on the calling thread.
  LoadResult Run(const Hooks& hooks);

  // From any thread.
  void Stop() { stopped_ = true; }

 private:
  class Worker;

  bool MayStart() const { return !stopped_.load(std::memory_order_relaxed) && started_ < options_.orders_max; }

  LoadOptions options_;
  Timer& timer_;
  std::atomic<bool> stopped_{false};
  std::atomic<int64_t> started_{0};
  std::atomic<int64_t> answered_{0};
  std::atomic<int64_t> failed_{0};
};

}  // namespace waybill::bench
