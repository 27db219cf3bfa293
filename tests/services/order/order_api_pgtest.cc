// The order service without gRPC over the real journal: what holds over books in memory has to hold there too.
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "runtime/worker_pool.h"
#include "services/order/intake.h"
#include "services/order/order_api.h"
#include "services/order/order_metrics.h"
#include "services/order/order_observer.h"
#include "services/order/order_watch.h"
#include "services/order/place_order.h"
#include "services/order/refund_api.h"
#include "services/order/refund_order.h"
#include "services/order/testing/fake_dispatch.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "storage/postgres/order_store.h"
#include "storage/postgres/order_tables.h"
#include "storage/postgres/partial_refund_tables.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/saga_journal.h"
#include "storage/testing/fake_audit_log.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::order {
namespace {

using ::testing::AnyOf;

// Holds up the first two that come until both are there.
class Meeting {
 public:
  void Begin() {
    std::lock_guard lock(mutex_);
    came_ = 0;
  }
  void Come() {
    std::unique_lock lock(mutex_);
    if (++came_ > 2) return;
    both_.notify_all();
    EXPECT_TRUE(both_.wait_for(lock, std::chrono::seconds(20), [this] { return came_ >= 2; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable both_;
  int came_ = 2;
};

// What the replicas share.
struct PostgresWorld {
  waybill::testing::MigratedDatabase database;
  SystemClock clock;
  testing::FakePaymentGateway gateway;
  testing::FakeDispatch dispatch{{"ann"}};
  Meeting claims;  // where directives of one order meet, each with its claim
};

class PostgresReplica {
 public:
  struct Result {
    absl::Status status;
    storage::OrderRecord order;
  };

  PostgresReplica(PostgresWorld& world, const std::string& name) : world_(world) {
    order_metrics_.AddSteps(kinds_);
    storage::SagaJournalOptions options;
    options.in_gap = [&world](saga::Gap gap) {
      if (gap == saga::Gap::kAfterClaim) world.claims.Come();
      return absl::OkStatus();
    };
    auto journal = storage::PostgresSagaJournal::Open({&tables_, &refund_tables_}, kinds_,
                                                      saga::Lease{name, "1", absl::Seconds(10)}, world.database.url(),
                                                      pool_, ThreadLoops(), options);
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    runner_ = std::make_unique<saga::Runner>(kinds_, *journal_, world.clock, scheduler_, random_, observer_,
                                             saga::RunnerOptions{});
    api_ = std::make_unique<OrderApi>(*runner_, world.dispatch, store_, workers_, list_workers_, scheduler_,
                                      world.clock, ids_, OrderApiOptions{});
    refunds_ = std::make_unique<RefundApi>(*runner_, store_, audit_, workers_, scheduler_, world.clock, ids_,
                                           OrderApiOptions{});
  }
  ~PostgresReplica() {
    scheduler_.Stop();
    workers_.Stop();
    journal_->Stop();
  }

  std::future<Result> Create(const std::string& key) {
    OrderRequest request;
    request.idempotency_key = key;
    request.user_id = "user-1";
    request.amount = Money{1250, "EUR"};
    return Ask([&](OrderApi::Pending answer) {
      api_->Create(*TakeOrder(std::move(request)), OrderApi::Wait::kUntilSettled, SteadyTime::InfiniteFuture(), {},
                   std::move(answer));
    });
  }
  std::future<Result> Cancel(const Uuid& id) {
    return Ask([&](OrderApi::Pending answer) {
      api_->Cancel(id, std::nullopt, {}, "", SteadyTime::InfiniteFuture(), std::move(answer));
    });
  }
  std::future<Result> Complete(const Uuid& id) {
    return Ask([&](OrderApi::Pending answer) {
      api_->Complete(id, std::nullopt, {}, SteadyTime::InfiniteFuture(), std::move(answer));
    });
  }

  std::future<absl::StatusOr<domain::PartialRefund>> Refund(const Uuid& order_id, const std::string& refund_id,
                                                            int64_t amount_minor) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<domain::PartialRefund>>>();
    auto future = promise->get_future();
    refunds_->Refund({order_id, refund_id, amount_minor, "it was cold"}, std::nullopt, {}, {},
                     SteadyTime::InfiniteFuture(),
                     refunds_->Expect([promise](absl::StatusOr<domain::PartialRefund> refund) {
                       promise->set_value(std::move(refund));
                     }));
    return future;
  }

  storage::PostgresOrderStore& store() { return store_; }

 private:
  template <typename Call>
  std::future<Result> Ask(Call call) {
    auto promise = std::make_shared<std::promise<Result>>();
    std::future<Result> future = promise->get_future();
    call(api_->Expect([promise](absl::StatusOr<OrderApi::Answer> answer) {
      Result result;
      result.status = answer.status();
      if (answer.ok()) result.order = *answer->order;
      promise->set_value(std::move(result));
    }));
    return future;
  }

  PostgresWorld& world_;
  storage::Pool pool_{world_.database.url(), {}, {}};
  storage::PostgresOrderStore store_{pool_};
  storage::OrderTables tables_;
  const storage::SharedSagaTables<domain::PartialRefund> refund_tables_ = storage::PartialRefundTables();
  storage::testing::FakeAuditLog audit_;
  SeededRandom random_{EntropySeed()};
  IdGenerator ids_{world_.clock, random_};
  ThreadScheduler scheduler_{world_.clock};
  WorkerPool workers_{2, 100}, list_workers_{1, 100};
  Logger log_{LogFormat::kText, LogLevel::kOff, world_.clock};
  Metrics metrics_;
  OrderMetrics order_metrics_{metrics_};
  OrderWatches watches_{store_, workers_, scheduler_, world_.clock, WatchOptions{}};
  OrderObserver observer_{order_metrics_, world_.dispatch, watches_, log_};
  saga::Kinds kinds_{
      {PlaceOrder(world_.gateway, world_.dispatch, world_.clock), RefundOrder(&world_.gateway, nullptr, world_.clock)}};
  std::unique_ptr<storage::PostgresSagaJournal> journal_;
  std::unique_ptr<saga::Runner> runner_;
  std::unique_ptr<OrderApi> api_;
  std::unique_ptr<RefundApi> refunds_;
};

// Both are told the truth, although each has claimed the order before the other one writes.
TEST(OrderApiPgTest, CompletesAndCancelsConcurrentlyWithOneWinner) {
  PostgresWorld world;
  PostgresReplica a(world, "a"), b(world, "b");
  for (int round = 0; round < 20; ++round) {
    PostgresReplica::Result created = a.Create("k" + std::to_string(round)).get();
    ASSERT_EQ(StatusOf(created.order), OrderStatus::kConfirmed) << created.status;
    const Uuid id = created.order.id;
    world.claims.Begin();
    std::future<PostgresReplica::Result> cancel = a.Cancel(id), complete = b.Complete(id);
    const absl::Status cancelled = cancel.get().status, completed = complete.get().status;
    const OrderStatus status = StatusOf(*a.store().Get(id));
    EXPECT_THAT(status, AnyOf(OrderStatus::kCancelled, OrderStatus::kCompleted)) << round;
    EXPECT_EQ(cancelled.ok(), status == OrderStatus::kCancelled) << cancelled;
    EXPECT_EQ(completed.ok(), status == OrderStatus::kCompleted) << completed;
    EXPECT_EQ(world.database.sql().Value(
                  "SELECT count(*) FROM payments WHERE order_id = $1 AND refund_minor IS NOT NULL", {id.ToString()}),
              status == OrderStatus::kCancelled ? "1" : "0");
    // A completion is answered before the dispatcher is told.
    EXPECT_TRUE(::waybill::testing::Eventually(absl::Seconds(10), [&] { return world.dispatch.assigned().empty(); }));
    EXPECT_EQ(world.database.sql().Value("SELECT count(*) FROM order_assignments WHERE released_at IS NULL"), "0");
  }
}

TEST(OrderApiPgTest, ARefundIsDurableOnceAndInTheBooks) {
  PostgresWorld world;
  PostgresReplica a(world, "a"), b(world, "b");
  const Uuid id = a.Create("k").get().order.id;
  const auto first = a.Refund(id, "r1", 250).get();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->state, domain::PartialRefund::State::kDone);
  const auto again = b.Refund(id, "r1", 250).get();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->reference, first->reference);
  EXPECT_EQ(GetErrorDetail(b.Refund(id, "r1", 251).get().status()).reason, "REFUND_ID_REUSED");
  EXPECT_EQ(GetErrorDetail(b.Refund(id, "r2", 1001).get().status()).reason, "REFUND_BEYOND_CHARGE");
  ASSERT_TRUE(b.Refund(id, "r2", 1000).get().ok());
  EXPECT_EQ(world.gateway.NetMinor(), 0);
  const storage::OrderRecord order = *a.store().Get(id);
  ASSERT_EQ(order.payload.refunds.size(), 2u);
  EXPECT_EQ(order.payload.refunds[0].refund_id, "r1");
  EXPECT_EQ(order.payload.refunds[0].reason, "it was cold");
  EXPECT_EQ(RefundedOf(order.payload), 1250);
  EXPECT_EQ(world.database.sql().Value("SELECT parts_minor FROM payments"), "1250");
  EXPECT_EQ(world.database.sql().Value("SELECT count(*) || ' ' || sum(amount_minor) FROM gateway_refunds"), "2 1250");
}

// Each alone is within the charge, all together are not, and none of them sees the others.
TEST(OrderApiPgTest, RefundsThatMeetNeverExceedTheCharge) {
  PostgresWorld world;
  PostgresReplica a(world, "a"), b(world, "b");
  for (int round = 0; round < 10; ++round) {
    const Uuid id = a.Create("k" + std::to_string(round)).get().order.id;
    const int64_t before = world.gateway.NetMinor();
    std::vector<std::future<absl::StatusOr<domain::PartialRefund>>> asked;
    for (int i = 0; i < 8; ++i) asked.push_back((i % 2 == 0 ? a : b).Refund(id, "r" + std::to_string(i), 300));
    int done = 0;
    for (auto& each : asked) {
      const auto refund = each.get();
      if (refund.ok()) {
        ++done;
      } else {
        EXPECT_EQ(GetErrorDetail(refund.status()).reason, "REFUND_BEYOND_CHARGE") << refund.status();
      }
    }
    EXPECT_EQ(done, 4) << round;
    EXPECT_EQ(before - world.gateway.NetMinor(), 1200) << round;
    EXPECT_EQ(world.database.sql().Value("SELECT count(*) FROM partial_refunds WHERE order_id = $1", {id.ToString()}),
              "4");
    ASSERT_TRUE(a.Cancel(id).get().status.ok());  // frees the driver, and gives the rest back
  }
  EXPECT_EQ(world.gateway.NetMinor(), 0);
}

TEST(OrderApiPgTest, ARefundAndACancelThatMeetGiveBackTheChargeAndNoMore) {
  PostgresWorld world;
  PostgresReplica a(world, "a"), b(world, "b");
  for (int round = 0; round < 20; ++round) {
    const Uuid id = a.Create("k" + std::to_string(round)).get().order.id;
    auto refund = b.Refund(id, "r", 300);
    auto cancel = a.Cancel(id);
    EXPECT_TRUE(cancel.get().status.ok());
    const auto refunded = refund.get();
    if (!refunded.ok()) {
      EXPECT_EQ(GetErrorDetail(refunded.status()).reason, "ORDER_NOT_REFUNDABLE");
    }
    EXPECT_EQ(world.gateway.NetMinor(), 0) << round;
    const storage::OrderRecord order = *a.store().Get(id);
    EXPECT_EQ(RefundedOf(order.payload), 1250);
    EXPECT_EQ(world.database.sql().Value("SELECT sum(amount_minor) FROM gateway_refunds WHERE order_id = $1",
                                         {id.ToString()}),
              "1250")
        << round;
  }
}

}  // namespace
}  // namespace waybill::order
