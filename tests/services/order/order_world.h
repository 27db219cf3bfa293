// One process of the order service without gRPC and without waiting: the real saga, runner, API and watches over books
// in memory, on a clock that moves only when told to.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/ids.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "runtime/worker_pool.h"
#include "saga/testing/memory_journal.h"
#include "services/order/intake.h"
#include "services/order/nearest_driver_dispatch.h"
#include "services/order/order_api.h"
#include "services/order/order_metrics.h"
#include "services/order/order_observer.h"
#include "services/order/order_watch.h"
#include "services/order/place_order.h"
#include "services/order/refund_api.h"
#include "services/order/refund_order.h"
#include "services/order/saga_api.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "storage/testing/fake_audit_log.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/fake_order_store.h"
#include "storage/testing/memory_order_book.h"

namespace waybill::order {

// What the replicas share.
struct SharedWorld {
  waybill::testing::ManualTime time;
  waybill::testing::DistantClock store_clock{time};
  storage::testing::MemoryOrderBook book;
  storage::testing::FakeFleet fleet{store_clock};
  testing::FakePaymentGateway gateway;
  storage::testing::FakeAuditLog audit;

  void PutDrivers(std::vector<std::string> ids) {
    std::vector<domain::DriverPosition> positions;
    for (std::string& id : ids) {
      domain::DriverPosition position;
      position.driver_id = std::move(id);
      position.point = {52.5, 13.4};
      position.recorded_at = time.Now();
      positions.push_back(std::move(position));
    }
    ASSERT_TRUE(fleet.Put(positions, absl::Hours(24)).ok());
  }
};

class Replica {
 public:
  explicit Replica(SharedWorld& shared, std::string name = "a", std::unique_ptr<Dispatch> dispatch_to_use = nullptr)
      : world(shared),
        journal(shared.book, shared.store_clock, saga::Lease{name, "1", absl::Seconds(10)}),
        store(shared.book, shared.store_clock),
        random(std::hash<std::string>()(name)),
        ids(shared.time, random),
        log(LogFormat::kText, LogLevel::kOff, shared.time),
        dispatch_(dispatch_to_use ? std::move(dispatch_to_use)
                                  : std::make_unique<NearestDriverDispatch>(shared.fleet, store, workers, shared.time,
                                                                            random, NearestDriverOptions{})) {
    order_metrics.AddSteps(kinds);
    store.RecordDefinitions(kinds);
    journal.set_kinds(&kinds);
  }
  ~Replica() {
    list_workers.Stop();
    workers.Stop();
  }

  // Waits until the worker threads have done what they were given.
  void Settle() {
    std::promise<void> done;
    WorkerPool::Task last = [&] { done.set_value(); };
    ASSERT_TRUE(workers.Submit(last));
    done.get_future().get();
  }

  // Time goes by, and what falls due is done, by whichever worker.
  void Pass(absl::Duration time) {
    world.time.Advance(time);
    Settle();  // of the timers
    Settle();  // of what those left to the workers
  }

  struct Result {
    absl::Status status = absl::UnknownError("not answered");
    storage::OrderRecord order;
    bool replayed = false;
    bool answered = false;

    OrderStatus order_status() const { return StatusOf(order); }
    std::string reason() const { return GetErrorDetail(status).reason; }
    std::string Metadata(const std::string& key) const {
      for (const auto& [name, value] : GetErrorDetail(status).metadata) {
        if (name == key) return value;
      }
      return "";
    }
  };
  using ResultPtr = std::shared_ptr<std::promise<Result>>;

  // A call under way.
  class Call {
   public:
    OrderApi::Pending Expect(OrderApi& to) {
      auto state = state_;
      answer_ = to.Expect([state](absl::StatusOr<OrderApi::Answer> given) {
        Result result;
        result.answered = true;
        result.status = given.status();
        if (given.ok()) {
          result.order = *given->order;
          result.replayed = given->replayed;
        }
        state->set_value(std::move(result));
      });
      return answer_;
    }
    bool answered() const { return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }
    Result Get() {
      return future_.wait_for(std::chrono::seconds(30)) == std::future_status::ready ? future_.get() : Result();
    }
    void Abandon() { answer_->Abandon(); }

   private:
    std::shared_ptr<std::promise<Result>> state_ = std::make_shared<std::promise<Result>>();
    std::shared_future<Result> future_ = state_->get_future().share();
    OrderApi::Pending answer_;
  };

  static domain::Order NewOrder(const std::string& key, int64_t amount_minor = 1250) {
    OrderRequest request;
    request.idempotency_key = key;
    request.user_id = "user-1";
    request.amount = Money{amount_minor, "EUR"};
    return *TakeOrder(std::move(request));
  }

  Call Create(domain::Order order, absl::Duration timeout = absl::InfiniteDuration(),
              OrderApi::Wait wait = OrderApi::Wait::kUntilSettled) {
    Call call;
    api.Create(std::move(order), wait, world.time.Steady() + timeout, {}, call.Expect(api));
    return call;
  }
  Call Cancel(const Uuid& id, std::string reason = "", absl::Duration timeout = absl::InfiniteDuration(),
              domain::Actor by = {}) {
    Call call;
    api.Cancel(id, std::nullopt, std::move(by), std::move(reason), world.time.Steady() + timeout, call.Expect(api));
    return call;
  }
  Call CheckPayment(const Uuid& id, storage::Owner owner = std::nullopt, domain::Actor by = {}) {
    Call call;
    api.CheckPayment(id, std::move(owner), std::move(by), call.Expect(api));
    return call;
  }
  Call Complete(const Uuid& id, absl::Duration timeout = absl::InfiniteDuration(), domain::Actor by = {}) {
    Call call;
    api.Complete(id, std::nullopt, std::move(by), world.time.Steady() + timeout, call.Expect(api));
    return call;
  }

  // An order in the books whose charge was answered "later", under `token`; nobody drives it.
  Uuid AddWaiting(const std::string& key, const std::string& token, absl::Duration wait) {
    saga::RecordOf<domain::Order> record;
    record.id = ids.Next();
    record.payload = NewOrder(key);
    record.created_at = record.updated_at = world.time.Now();
    journal.Begin(record, [](const auto& existing) { ASSERT_TRUE(existing.ok() && *existing == nullptr); });
    record.seq = 1;
    record.waits_for = saga::WaitName(kChargePayment, saga::Direction::kDo, token);
    record.wakes_at = world.time.Now() + wait;
    saga::LogEntry waiting;
    waiting.seq = 1;
    waiting.step = std::string(kChargePayment);
    waiting.attempt = 1;
    waiting.outcome = saga::LogOutcome::kWaiting;
    waiting.at = world.time.Now();
    std::optional<saga::KeptSignal> signal;
    journal.Advance({&record, std::span(&waiting, 1), 0, &signal},
                    [](const auto& result) { ASSERT_TRUE(result.ok() && *result == saga::WriteResult::kApplied); });
    return record.id;
  }

  SharedWorld& world;
  saga::testing::MemoryJournal journal;
  storage::testing::FakeOrderStore store;
  SeededRandom random;
  IdGenerator ids;
  Logger log;
  Metrics metrics;
  WorkerPool workers{1, 1'000};
  WorkerPool list_workers{1, 1'000};

 private:
  std::unique_ptr<Dispatch> dispatch_;

 public:
  Dispatch& dispatch = *dispatch_;
  OrderMetrics order_metrics{metrics};
  OrderWatches watches{store, workers, world.time, world.time, WatchOptions{}};
  OrderObserver observer{order_metrics, dispatch, watches, log};
  saga::Kinds kinds{
      {PlaceOrder(world.gateway, dispatch, world.time), RefundOrder(&world.gateway, nullptr, world.time)}};
  saga::Runner runner{kinds, journal, world.time, world.time, random, observer, saga::RunnerOptions{}};
  OrderApi api{runner, dispatch, store, workers, list_workers, world.time, world.time, ids, OrderApiOptions{}};
  RefundApi refunds{runner, store, world.audit, workers, world.time, world.time, ids, OrderApiOptions{}};
  SagaApi sagas{kinds,   runner,       dispatch,   store,      world.audit,
                workers, list_workers, world.time, world.time, order_metrics};
};

}  // namespace waybill::order
