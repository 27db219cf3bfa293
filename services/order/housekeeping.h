// What the order service does besides serving: takes up orders that nobody drives, keeps its leases, compares books,
// and counts what is unfinished.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "services/order/order_api.h"
#include "services/order/order_metrics.h"
#include "storage/order_store.h"

namespace waybill::order {

struct HousekeepingOptions {
  absl::Duration lease = absl::Seconds(10);  // the journal's
  size_t recovery_in_flight = 2'000;
  absl::Duration look = absl::Milliseconds(500);  // for expired leases
  absl::Duration count = absl::Seconds(5);        // unfinished sagas
  absl::Duration reconcile = absl::Seconds(30);
};

class Housekeeping {
 public:
  // Starts the thread. `reconcile` compares the dispatch's book with the journal; null: there is none. All outlive
  // this.
  Housekeeping(OrderRunner& runner, storage::OrderStore& store, OrderMetrics& metrics,
               std::function<absl::Status()> reconcile, const Clock& clock, const Logger& log,
               HousekeepingOptions options);
  ~Housekeeping() { Stop(); }
  Housekeeping(const Housekeeping&) = delete;
  Housekeeping& operator=(const Housekeeping&) = delete;

  void Stop();  // joins the thread

 private:
  struct Chore {
    absl::Duration every;
    std::function<absl::Status()> run;
    const char* what;
    absl::Time due = absl::InfinitePast();
    bool failing = false;
  };
  void Run();
  void RunIfDue(Chore& chore);
  // How long to pause before the next look.
  absl::Duration Recover();

  OrderRunner& runner_;
  const Clock& clock_;
  const Logger& log_;
  const HousekeepingOptions options_;
  std::vector<Chore> chores_;
  bool own_ = true;  // orders of this instance's earlier life may be left
  bool recovery_failing_ = false;

  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace waybill::order
