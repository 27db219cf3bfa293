// Payments without an order over the real journal: what stands in the books, and that it stands there once.
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "runtime/worker_pool.h"
#include "services/order/payment_api.h"
#include "services/order/take_payment.h"
#include "services/order/testing/fake_payment_gateway.h"
#include "storage/postgres/payment_store.h"
#include "storage/postgres/payment_summary_store.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/saga_journal.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using testing::Fate;

constexpr char kPaidOnce[] = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3";

payments::Gateway Costing(std::string name, int64_t cost_ppm) {
  payments::Gateway gateway;
  gateway.name = std::move(name);
  gateway.cost_ppm = cost_ppm;
  return gateway;
}

// What the processes share.
struct PaymentWorld {
  waybill::testing::MigratedDatabase database;
  SystemClock clock;
  testing::FakePaymentGateway north, south;
};

class PaymentProcess {
 public:
  using Result = absl::StatusOr<PaymentApi::Answer>;

  PaymentProcess(PaymentWorld& world, const std::string& name) : world_(world) {
    router_.Use({{Costing("north", 70'000), Costing("south", 100'000)}, {}});
    auto journal = storage::PostgresSagaJournal::Open({&tables_}, kinds_, saga::Lease{name, "1", absl::Seconds(10)},
                                                      world.database.url(), pool_, ThreadLoops(), {});
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    runner_ = std::make_unique<saga::Runner>(kinds_, *journal_, world.clock, scheduler_, random_, observer_,
                                             saga::RunnerOptions{});
    api_ = std::make_unique<PaymentApi>(*runner_, store_, workers_, scheduler_, world.clock, ids_, &routing_,
                                        OrderApiOptions());
  }
  ~PaymentProcess() {
    scheduler_.Stop();
    workers_.Stop();
    journal_->Stop();
  }

  std::future<Result> Take(const std::string& id, int64_t amount_minor = 1990, const std::string& client = "shop") {
    auto promise = std::make_shared<std::promise<Result>>();
    api_->Take(*TakeNewPayment(client, id, Money{amount_minor, "BRL"}, "u-1", payer), {}, SteadyTime::InfiniteFuture(),
               api_->Expect([promise](Result result) { promise->set_value(std::move(result)); }));
    return promise->get_future();
  }
  absl::StatusOr<storage::PaymentRecord> Decided(const std::string& id, const std::string& client = "shop") {
    absl::StatusOr<storage::PaymentRecord> record = absl::UnknownError("");
    EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
      record = store_.Find(client, id);
      return record.ok() && StatusOfPayment(*record) != PaymentStatus::kPending;
    })) << record.status();
    return record;
  }
  storage::PostgresPaymentStore& store() { return store_; }

  std::optional<domain::Payer> payer = domain::Payer{"card-1", "", "", domain::GeoPoint{1.5, -2}, absl::UnixEpoch()};

 private:
  PaymentWorld& world_;
  storage::Pool pool_{world_.database.url(), {}, {}};
  storage::PostgresPaymentStore store_{pool_};
  const storage::SharedSagaTables<domain::Payment> tables_ = storage::PaymentTables();
  SeededRandom random_{EntropySeed()};
  IdGenerator ids_{world_.clock, random_};
  ThreadScheduler scheduler_{world_.clock};
  WorkerPool workers_{2, 100};
  Metrics metrics_;
  payments::Router router_{world_.clock, random_};
  PaymentRouting routing_{router_, {{"north", &world_.north}, {"south", &world_.south}}, world_.clock, metrics_};
  saga::Observer observer_;
  saga::Kinds kinds_{{TakePayment(routing_, world_.clock)}};
  std::unique_ptr<storage::PostgresSagaJournal> journal_;
  std::unique_ptr<saga::Runner> runner_;
  std::unique_ptr<PaymentApi> api_;
};

TEST(PaymentApiPgTest, APaymentIsInTheBooksOfItsGatewayAndInTheSummary) {
  PaymentWorld world;
  PaymentProcess a(world, "a");
  world.north.set_fate(Fate::kNotSent);
  const PaymentProcess::Result taken = a.Take(kPaidOnce).get();
  ASSERT_TRUE(taken.ok()) << taken.status();
  const storage::PaymentRecord paid = a.Decided(kPaidOnce).value();
  EXPECT_EQ(StatusOfPayment(paid), PaymentStatus::kPaid);
  EXPECT_EQ(paid.id, taken->payment.id);
  EXPECT_EQ(paid.payload.client, "shop");
  EXPECT_EQ(paid.payload.idempotency_key, kPaidOnce);
  EXPECT_EQ(paid.payload.amount_minor, 1990);
  EXPECT_EQ(paid.payload.currency, "BRL");
  EXPECT_EQ(paid.payload.user_id, "u-1");
  EXPECT_EQ(paid.payload.payer, a.payer);
  ASSERT_EQ(paid.payload.attempts.size(), 2u);
  EXPECT_EQ(paid.payload.attempts[0].state, domain::PaymentAttempt::State::kNotSent);
  EXPECT_EQ(paid.payload.attempts[1].state, domain::PaymentAttempt::State::kApproved);
  EXPECT_EQ(paid.payload.attempts[1].gateway, "south");
  EXPECT_EQ(paid.payload.attempts[1].cost_ppm, 100'000);
  ASSERT_TRUE(paid.payload.charge.has_value());
  EXPECT_FALSE(paid.payload.charge->gateway_reference.empty());

  waybill::testing::Sql& sql = world.database.sql();
  const std::string id = paid.id.ToString();
  EXPECT_EQ(sql.Value("SELECT string_agg(gateway || '=' || state || '@' || cost_ppm, ' ' ORDER BY number) "
                      "FROM payment_attempts WHERE order_id = $1",
                      {id}),
            "north=not_sent@70000 south=approved@100000");
  EXPECT_EQ(sql.Value("SELECT gateway || ' ' || amount_minor || ' ' || currency || ' ' || "
                      "COALESCE(refund_minor, 0) FROM gateway_books WHERE order_id = $1",
                      {id}),
            "south 1990 BRL 0");
  EXPECT_EQ(sql.Value("SELECT count(*) FROM order_sagas"), "0");

  storage::Pool pool(world.database.url(), storage::PaymentSummaryConnectionOptions(), {});
  storage::PostgresPaymentSummaryStore sums(pool);
  const absl::Time at = paid.payload.charge->at;
  EXPECT_THAT(sums.Summarize({at, at + absl::Microseconds(1), ""}).value(),
              ElementsAre(storage::PaymentTotals{"south", "BRL", 1, 1990, 199, 0, 0}));
  EXPECT_THAT(sums.Summarize({at + absl::Microseconds(1), at + absl::Hours(1), ""}).value(), ElementsAre());
}

TEST(PaymentApiPgTest, IsTakenOnceThoughTwoProcessesAreAsked) {
  PaymentWorld world;
  PaymentProcess a(world, "a"), b(world, "b");
  constexpr int kRounds = 30;
  for (int round = 0; round < kRounds; ++round) {
    const std::string id = fmt::format("00000000-0000-4000-8000-{:012}", round);
    std::future<PaymentProcess::Result> first = a.Take(id), second = b.Take(id), third = a.Take(id);
    const PaymentProcess::Result said[] = {first.get(), second.get(), third.get()};
    int made = 0;
    for (const PaymentProcess::Result& one : said) {
      ASSERT_TRUE(one.ok()) << one.status();
      EXPECT_EQ(one->payment.id, said[0]->payment.id);
      if (!one->replayed) ++made;
    }
    EXPECT_EQ(made, 1);
    EXPECT_EQ(StatusOfPayment(*b.Decided(id)), PaymentStatus::kPaid);
  }
  EXPECT_EQ(world.north.NetMinor() + world.south.NetMinor(), kRounds * 1990);
  EXPECT_EQ(world.database.sql().Value("SELECT count(*) FROM payments"), std::to_string(kRounds));
  EXPECT_EQ(GetErrorDetail(b.Take("00000000-0000-4000-8000-000000000000", 5).get().status()).reason,
            "PAYMENT_ID_REUSED");
  EXPECT_EQ(GetErrorDetail(b.store().Find("other", "00000000-0000-4000-8000-000000000000").status()).reason,
            "PAYMENT_NOT_FOUND");
}

TEST(PaymentApiPgTest, WhatGoesBackIsInTheBooks) {
  PaymentWorld world;
  PaymentProcess a(world, "a");
  world.north.WillMeet(
      {Fate::kLostAfter, Fate::kLostAfter, Fate::kLostAfter});  // then its key is closed, and south asked
  ASSERT_TRUE(a.Take(kPaidOnce).get().ok());
  const storage::PaymentRecord paid = a.Decided(kPaidOnce).value();
  EXPECT_EQ(paid.payload.attempts.at(0).state, domain::PaymentAttempt::State::kRefunded);
  EXPECT_EQ(world.north.NetMinor(), 0);
  EXPECT_EQ(world.south.NetMinor(), 1990);
  EXPECT_EQ(world.database.sql().Value("SELECT string_agg(gateway || ' ' || COALESCE(refund_minor, 0), ', ' ORDER BY "
                                       "gateway) FROM gateway_books"),
            "north 1990, south 0");
}

// Partial refunds are of orders; the schema says so, whoever writes.
TEST(PaymentApiPgTest, NoPartOfItGoesBack) {
  PaymentWorld world;
  PaymentProcess a(world, "a");
  ASSERT_TRUE(a.Take(kPaidOnce).get().ok());
  const std::string id = a.Decided(kPaidOnce)->id.ToString();
  const auto attack = world.database.sql().Run(
      "INSERT INTO partial_refunds (order_id, refund_id, saga_id, idempotency_key, amount_minor, currency, begun_at) "
      "VALUES ('" +
      id + "', 'r', gen_random_uuid(), 'k', 1, 'BRL', now())");
  EXPECT_EQ(attack.constraint, "partial_refunds_of_an_order_that_stands");
}

}  // namespace
}  // namespace waybill::order
