// The order service between its stores and its edge: what calls meet, what drives their sagas, and what is done
// besides. main builds it with threads, connections and a gRPC server around it; tests/simulation builds the same with
// neither.
#pragma once

#include <functional>
#include <utility>

#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "saga/runner.h"
#include "services/order/dispatch.h"
#include "services/order/housekeeping.h"
#include "services/order/order_api.h"
#include "services/order/order_metrics.h"
#include "services/order/order_observer.h"
#include "services/order/order_watch.h"
#include "services/order/refund_api.h"
#include "services/order/saga_api.h"
#include "storage/audit_log.h"
#include "storage/order_store.h"

namespace waybill::order {

struct OrderCoreOptions {
  absl::Duration lease = absl::Seconds(10);  // as the journal's
  size_t live_max = saga::RunnerOptions().live_max;
  HousekeepingOptions housekeeping;
  OrderApiOptions api;
  WatchOptions watches;
};

// What it is built on. All outlive it.
struct OrderBase {
  const saga::Kinds& kinds;
  saga::Journal& journal;
  Dispatch& dispatch;
  storage::OrderStore& store;
  storage::AuditLog& audit;
  Executor& workers;
  Executor& list_workers;
  Scheduler& scheduler;
  const Clock& clock;
  Random& random;
  IdGenerator& ids;
  OrderMetrics& metrics;
  const Logger& log;
  Tracer* tracer = nullptr;           // null: nothing is traced
  PaymentRouting* routing = nullptr;  // null: there is one gateway
};

struct OrderCore {
  // `reconcile` compares the dispatch's book with the journal; null: there is none.
  OrderCore(const OrderBase& on, std::function<absl::Status()> reconcile, const OrderCoreOptions& options)
      : watches(on.store, on.workers, on.scheduler, on.clock, options.watches),
        observer(on.metrics, on.dispatch, watches, on.log),
        runner(on.kinds, on.journal, on.clock, on.scheduler, on.random, observer, RunnerOptionsOf(options, on.tracer)),
        api(runner, on.dispatch, on.store, on.workers, on.list_workers, on.scheduler, on.clock, on.ids, options.api,
            on.routing),
        refunds(runner, on.store, on.audit, on.workers, on.scheduler, on.clock, on.ids, options.api),
        sagas(on.kinds, runner, on.dispatch, on.store, on.audit, on.workers, on.list_workers, on.scheduler, on.clock,
              on.metrics),
        recovery(runner, on.log, options.housekeeping),
        housekeeping(
            HousekeepingChores(on.store, on.kinds, on.metrics, recovery, std::move(reconcile), options.housekeeping),
            on.clock, on.log),
        leases({RenewingLeases(runner, options.lease)}, on.clock, on.log) {}

  OrderWatches watches;
  OrderObserver observer;
  saga::Runner runner;
  OrderApi api;
  RefundApi refunds;
  SagaApi sagas;
  Recovery recovery;
  Chores housekeeping;
  Chores leases;

 private:
  static saga::RunnerOptions RunnerOptionsOf(const OrderCoreOptions& options, Tracer* tracer) {
    saga::RunnerOptions runner_options;
    runner_options.lease = options.lease;
    runner_options.tracer = tracer;
    runner_options.live_max = options.live_max;
    return runner_options;
  }
};

}  // namespace waybill::order
