// One life of waybill-order: main's own objects, on simulated threads, stores and participants.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "runtime/log.h"
#include "runtime/testing/scheduled_executor.h"
#include "services/order/nearest_driver_dispatch.h"
#include "services/order/order_core.h"
#include "services/order/place_order.h"
#include "storage/testing/fake_audit_log.h"
#include "storage/testing/memory_order_book.h"
#include "tests/simulation/participants.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/stores.h"

namespace waybill::simulation {

// What all processes share.
struct Shared {
  const Plan& plan;
  EventLoop& loop;
  storage::testing::MemoryOrderBook& book;
  storage::testing::FakeFleet& fleet;
  Participants& participants;
  const Outages& outages;
  Metrics& metrics;
};

class OrderProcess {
 public:
  static constexpr absl::Duration kLease = absl::Seconds(3);

  // Its `life`s are numbered from 1, and never those of another process. Starts to work at once.
  OrderProcess(const Shared& shared, int number, int life, absl::Duration skew, std::function<void()> on_death)
      : host(shared.loop, life, shared.plan.gaps, Chance(shared.plan.seed, {2, static_cast<uint64_t>(life)}), skew,
             std::move(on_death)),
        journal_(shared.book, shared.loop, {fmt::format("p{}", number), std::to_string(life), kLease}, host,
                 shared.outages, loops_),
        store(shared.book, shared.loop, host, shared.outages),
        fleet_(shared.fleet, host, shared.outages),
        gateway_(shared.participants, life),
        metrics_(shared.metrics),
        random_(shared.plan.seed, {3, static_cast<uint64_t>(life)}),
        dispatch_(MakeDispatch(shared)),
        kinds_({order::PlaceOrder(gateway_, *dispatch_, host, SagaOptions())}),
        core_({kinds_, journal_, *dispatch_, store, audit_, workers_, list_workers_, host, host, random_, ids_,
               metrics_, log_},
              reconcile_, CoreOptions()) {
    metrics_.AddSteps(kinds_);
    store.fake().RecordDefinitions(kinds_);
    for (const auto& [driver_id, capacity] : shared.book.capacities) store.fake().SetCapacity(driver_id, capacity);
    journal_.set_kinds(&kinds_);
    core_.leases.Start(loops_);
    core_.housekeeping.Start(loops_);
  }

  ~OrderProcess() { loops_.Abandon(); }

  order::OrderApi& api() { return core_.api; }
  order::SagaApi& sagas() { return core_.sagas; }
  order::OrderWatches& watches() { return core_.watches; }
  saga::Runner& runner() { return core_.runner; }

  // As main stops, without waiting: first what it refuses, and some time later all that runs.
  void Drain() {
    core_.api.SetDraining();
    core_.watches.Stop();
  }
  void Stop() {
    core_.housekeeping.Stop();
    core_.runner.Stop(host.Steady());
    core_.leases.Stop();
    journal_.Stop();
    (void)core_.runner.ReleaseLeases();
  }

  Host host;

 private:
  // Patience that a story of a minute can see the end of.
  static order::PlaceOrderOptions SagaOptions() {
    saga::RetryPolicy retry;
    retry.attempts_max = 3;
    retry.retry_for = absl::Seconds(4);
    retry.attempt_timeout = absl::Milliseconds(800);
    retry.backoff_max = absl::Seconds(1);
    retry.attention_after = 4;
    retry.undo_backoff_max = absl::Seconds(2);
    return {retry, retry};
  }

  static order::OrderCoreOptions CoreOptions() {
    order::OrderCoreOptions options;
    options.lease = kLease;
    options.housekeeping.reconcile = absl::Seconds(5);
    options.api.wait_max = absl::Seconds(10);
    return options;
  }

  std::unique_ptr<order::Dispatch> MakeDispatch(const Shared& shared) {
    if (shared.plan.remote_dispatch) return std::make_unique<SimulatedDispatcher>(shared.participants, host.owner());
    auto nearest = std::make_unique<order::NearestDriverDispatch>(fleet_, store, dispatch_workers_, host, random_,
                                                                  order::NearestDriverOptions{});
    reconcile_ = [picker = nearest.get()] { return picker->Reconcile(); };
    return nearest;
  }

  testing::Delay Soon() {
    return [this] { return host.Soon(); };
  }

  testing::ScheduledLoops loops_{host, host, Soon()};
  testing::ScheduledExecutor workers_{host, host, 200, Soon()};
  testing::ScheduledExecutor list_workers_{host, host, 20, Soon()};
  testing::ScheduledExecutor dispatch_workers_{host, host, 200, Soon()};
  SimulatedJournal journal_;

 public:
  SimulatedStore store;

 private:
  SimulatedFleet fleet_;
  SimulatedGateway gateway_;
  Logger log_{LogFormat::kText, LogLevel::kOff, host};
  order::OrderMetrics metrics_;
  Chance random_;
  IdGenerator ids_{host, random_};
  std::function<absl::Status()> reconcile_;
  std::unique_ptr<order::Dispatch> dispatch_;
  const saga::Kinds kinds_;
  storage::testing::FakeAuditLog audit_;
  order::OrderCore core_;
};

}  // namespace waybill::simulation
