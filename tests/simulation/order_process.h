// One life of waybill-order: main's own objects, on simulated threads, stores and participants.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "payments/router.h"
#include "payments/webhooks/gateways.h"
#include "runtime/chores.h"
#include "runtime/log.h"
#include "runtime/testing/scheduled_executor.h"
#include "services/order/gateway_webhooks.h"
#include "services/order/nearest_driver_dispatch.h"
#include "services/order/order_core.h"
#include "services/order/payment_routing.h"
#include "services/order/place_order.h"
#include "services/order/refund_order.h"
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
  Participants& participants;                                  // the dispatcher, and the gateway of plans with one
  const std::vector<std::unique_ptr<Participants>>& gateways;  // as the plan has them
  storage::testing::MemoryInboxBook& inbox;
  const payments::WebhookGateways& webhooks;  // empty: none are taken
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
        router_(host, random_, RouterOptions()),
        routing_(MakeRouting(shared)),
        kinds_(MakeKinds()),
        core_({kinds_, journal_, *dispatch_, store, audit_, workers_, list_workers_, host, host, random_, ids_,
               metrics_, log_, nullptr, routing_.get()},
              reconcile_, CoreOptions()),
        inbox_(shared.inbox, shared.book, shared.loop, host, shared.outages),
        webhooks_(inbox_, nullptr, core_.runner, metrics_, inbox_workers_, host, own_metrics_, log_) {
    metrics_.AddSteps(kinds_);
    store.fake().RecordDefinitions(kinds_);
    for (const auto& [driver_id, capacity] : shared.book.capacities) store.fake().SetCapacity(driver_id, capacity);
    journal_.set_kinds(&kinds_);
    core_.leases.Start(loops_);
    core_.housekeeping.Start(loops_);
    if (shared.webhooks.empty()) return;
    webhooks_.Use(shared.webhooks);
    inbox_chores_.Start(loops_);
  }

  ~OrderProcess() { loops_.Abandon(); }

  order::OrderApi& api() { return core_.api; }
  order::RefundApi& refunds() { return core_.refunds; }
  order::SagaApi& sagas() { return core_.sagas; }
  order::OrderWatches& watches() { return core_.watches; }
  saga::Runner& runner() { return core_.runner; }
  order::GatewayWebhooks& webhooks() { return webhooks_; }

  // As main stops, without waiting: first what it refuses, and some time later all that runs.
  void Drain() {
    core_.api.SetDraining();
    core_.refunds.SetDraining();
    webhooks_.SetDraining();
    core_.watches.Stop();
  }
  void Stop() {
    core_.housekeeping.Stop();
    inbox_chores_.Stop();
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

  // Outages, too.
  static payments::RouterOptions RouterOptions() {
    payments::RouterOptions options;
    options.health.explore_after = absl::Seconds(2);
    return options;
  }

  std::unique_ptr<order::PaymentRouting> MakeRouting(const Shared& shared) {
    if (shared.plan.gateways.empty()) return nullptr;
    payments::Routes routes;
    std::map<std::string, order::PaymentGateway*> by_name;
    for (size_t number = 0; number < shared.plan.gateways.size(); ++number) {
      const GatewayPlan& gateway = shared.plan.gateways[number];
      routes.gateways.push_back(gateway.route);
      gateways_.push_back(std::make_unique<SimulatedGateway>(*shared.gateways[number], host.owner(),
                                                             /*one_of_several=*/true, gateway.declines_retryably));
      by_name[gateway.route.name] = gateways_.back().get();
    }
    router_.Use(std::move(routes));
    order::RoutingOptions options;
    options.asks_max = shared.plan.asks_max;
    return std::make_unique<order::PaymentRouting>(router_, std::move(by_name), host, own_metrics_, options);
  }

  saga::Kinds MakeKinds() {
    std::vector<saga::Definition> kinds = {order::PlaceOrder(gateway_, *dispatch_, host, SagaOptions())};
    kinds.push_back(order::RefundOrder(&gateway_, routing_.get(), host, SagaOptions().payment));
    if (routing_) kinds.push_back(order::PlaceRoutedOrder(*routing_, *dispatch_, host, SagaOptions()));
    return saga::Kinds(std::move(kinds));
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
  testing::ScheduledExecutor inbox_workers_{host, host, 20, Soon()};
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
  payments::Router router_;
  std::vector<std::unique_ptr<SimulatedGateway>> gateways_;
  Metrics own_metrics_;  // they ask what ends with this life
  std::unique_ptr<order::PaymentRouting> routing_;
  const saga::Kinds kinds_;
  storage::testing::FakeAuditLog audit_;
  order::OrderCore core_;
  SimulatedInbox inbox_;
  order::GatewayWebhooks webhooks_;
  Chores inbox_chores_{webhooks_.MakeChores(/*keep=*/absl::Hours(24 * 90)), host, log_};
};

}  // namespace waybill::simulation
