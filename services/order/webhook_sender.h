// Delivers what is due to endpoints of clients, on any replica: each delivery is claimed for a while and attempted
// once, and what became of it is written. A process that dies leaves it to the end of that while, and then it is sent
// again, under the same id.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "storage/webhook_store.h"
#include "webhooks/address_guard.h"

namespace waybill::order {

struct WebhookOptions {
  webhooks::AddressGuard guard;
  int in_flight_max = 256;                        // attempts at the same time
  int each_max = 4;                               // of them to one endpoint
  absl::Duration timeout = absl::Seconds(20);     // of an attempt, the lookup of its host included
  absl::Duration poll = absl::Milliseconds(200);  // for what is due
  absl::Duration failing_max = absl::Hours(5 * 24);
  absl::Duration retention = absl::Hours(30 * 24);  // of what has ended
  // A connection is used again for so long after its address was looked at, and after its last use.
  absl::Duration kept_for = absl::Minutes(1);
  absl::Duration idle_max = absl::Seconds(10);

  // So long a claim lasts: an attempt, and what its result may take to be written.
  absl::Duration lease() const { return 3 * timeout; }
};

// Names are listed in docs/operations.md.
struct WebhookMetrics {
  explicit WebhookMetrics(Metrics& metrics);

  prometheus::Counter& delivered;
  prometheus::Counter& refused;      // another status than 2xx
  prometheus::Counter& unreachable;  // no answer
  prometheus::Counter& forbidden;    // the guard lets nobody go there
  prometheus::Counter& died;
  prometheus::Counter& disabled;
  prometheus::Histogram& attempt_seconds;
  prometheus::Histogram& delivered_seconds;  // since what it tells
  prometheus::Gauge& endpoints;
  prometheus::Gauge& endpoints_disabled;
  prometheus::Gauge& waiting;
  prometheus::Gauge& dead;
  prometheus::Gauge& overdue;
  prometheus::Gauge& in_flight;
  prometheus::Counter& connections;  // that were asked for
  prometheus::Gauge& connections_kept;
};

class WebhookSender {
 public:
  // All outlive it.
  WebhookSender(storage::WebhookStore& store, const storage::WebhookInterest& interest, const Clock& clock,
                Random& random, WebhookMetrics& metrics, const Logger& log, WebhookOptions options);
  ~WebhookSender();
  WebhookSender(const WebhookSender&) = delete;
  WebhookSender& operator=(const WebhookSender&) = delete;

  void Start(const Loops& loops);
  void SetDraining();  // begins nothing more
  // And waits until `deadline` for what is under way; the rest is sent again, by others. Joins the
  // loop. Repeating it does nothing.
  void Stop(SteadyTime deadline);

  // A turn, and when the next is; nullopt: none. For tests, instead of Start.
  std::optional<SteadyTime> TakeTurn();

 private:
  class Engine;

  const std::unique_ptr<Engine> engine_;
  std::unique_ptr<Loop> loop_;
};

// Asks whether anybody wants events, counts, buries and forgets. All outlive the chores.
std::vector<Chore> WebhookChores(storage::WebhookStore& store, storage::WebhookInterest& interest, const Clock& clock,
                                 WebhookMetrics& metrics, const WebhookOptions& options);

}  // namespace waybill::order
