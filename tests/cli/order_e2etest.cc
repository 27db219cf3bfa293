// The binary against the real services: sessions of a caller and of an operator, from an empty database.
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "examples/trip/trip_tables.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/executor.h"
#include "storage/postgres/saga_journal.h"
#include "tests/cli/order_session.h"
#include "tests/examples/trip_story.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"
#include "tests/support/temp_directory.h"

namespace waybill::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Another kind of sagas, driven by another process, in the same database.
class TripsBesideOrdersTest : public OrderSessionTest {
 protected:
  // A trip whose hotel will confirm later; its id.
  std::string BookTripThatWaits() {
    SystemClock clock;
    ThreadScheduler scheduler(clock);
    SeededRandom random(1);
    IdGenerator ids(clock, random);
    example::FakeReservations airline, hotel;
    const saga::Kinds kinds({example::BookTrip(airline, hotel)});
    const auto tables = example::TripTables();
    testing::Sql(database_.url()).Exec(std::string(example::kTripSchema));
    storage::Pool pool(database_.url(), {}, {});
    auto journal = storage::PostgresSagaJournal::Open({&tables}, kinds, {"trips", "1", absl::Seconds(10)},
                                                      database_.url(), pool, ThreadLoops(), {});
    EXPECT_TRUE(journal.ok()) << journal.status();
    saga::Observer observer;
    saga::Runner runner(kinds, **journal, clock, scheduler, random, observer, {});
    hotel.WillAnswer(saga::Outcome::Later("h-1", clock.Now() + absl::Hours(1)));
    auto trip = example::NewTrip(ids.Next(), clock.Now(), "b-1");
    const std::string id = trip->id.ToString();
    std::promise<void> settled;
    runner.Start(
        std::move(trip), [](auto) {}, [&](auto) { settled.set_value(); });
    settled.get_future().get();
    scheduler.Stop();
    (*journal)->Stop();
    return id;
  }
};

TEST_F(TripsBesideOrdersTest, AreListedAndShownAndLeftToTheProcessThatDrivesThem) {
  const std::string order = Create("k-1").json.at(0)["order_id"];
  const std::string trip = BookTripThatWaits();
  Ran all = Run({"saga", "list", "--state", "running", "--state", "compensated", "--json"});
  ASSERT_EQ(all.json.size(), 2u) << all.output;
  EXPECT_EQ(all.json[0]["saga_id"], order);
  EXPECT_EQ(all.json[0]["kind"], "place_order");
  EXPECT_EQ(all.json[1]["saga_id"], trip);
  EXPECT_EQ(all.json[1]["kind"], "book_trip");
  EXPECT_EQ(all.json[1]["step"], "book_hotel");
  EXPECT_THAT(Run({"saga", "list"}).output, AllOf(HasSubstr("book_trip"), Not(HasSubstr("place_order"))));
  EXPECT_EQ(Run({"saga", "list", "--kind", "place_order", "--json"}).json.size(), 0u);
  EXPECT_THAT(Run({"saga", "show", trip}).output,
              AllOf(HasSubstr("kind       book_trip, version 2"), HasSubstr("book_flight"), HasSubstr("token h-1")));
  for (const std::vector<std::string>& asked : std::vector<std::vector<std::string>>{
           {"saga", "retry", trip}, {"saga", "resolve", trip, "--reason", "no trip"}}) {
    Ran refused = Run(asked);
    EXPECT_EQ(refused.code, 4);
    EXPECT_THAT(refused.output, HasSubstr("this process does not drive version 2 of book_trip"));
  }
  EXPECT_EQ(Run({"saga", "signal", trip, "--step", "book_hotel", "--token", "h-1", "--outcome", "succeeded"}).code, 2);
  EXPECT_EQ(SignalCharge(trip, "h-1").code, 4) << "a step of an order's, and no order";
  EXPECT_EQ(testing::Sql(database_.url()).Value("SELECT epoch || ' ' || waits_for FROM sagas"), "1 book_hotel/do/h-1");
}

// The service's role owns nothing: the owner of the tables grants it what it needs, before or after its start.
class RestrictedRoleTest : public OrderSessionTest {
 protected:
  void TearDown() override {
    OrderSessionTest::TearDown();
    sql_.Exec(fmt::format("DROP OWNED BY {0}; DROP ROLE {0}", role_));
  }
  void StartOrderService() override {
    sql_.Exec(fmt::format("CREATE ROLE {} LOGIN", role_));
    std::string url = database_.url();
    const size_t user = url.find("//") + 2;
    url.replace(user, url.find('@') - user, role_);
    testing::ProcessOptions options;
    options.args = {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0"};
    options.env = {{"DATABASE_URL", url}, {"REDIS_URL", redis_.url()}};
    service_ = testing::Process::Start(WAYBILL_ORDER_BINARY, options).value();
    auto waits = service_->WaitForLine("waiting for Postgres", absl::Seconds(30));
    ASSERT_TRUE(waits.has_value()) << service_->Output();
    EXPECT_THAT(*waits, HasSubstr("schema_migrations"));
    Ran granted = RunBinary(WAYBILL_BINARY, {"migrate", "--grant", role_}, Stores());
    EXPECT_EQ(granted.code, 0) << granted.output;
    EXPECT_THAT(granted.output, HasSubstr(fmt::format("GRANT SELECT, INSERT, UPDATE ON payments TO {}\n", role_)));
    env_.emplace_back("WAYBILL_SERVER", fmt::format("127.0.0.1:{}", PortOf(*service_)));
  }

  testing::Sql sql_{database_.url()};
  const std::string role_ = database_.name() + "_app";
};

TEST_F(RestrictedRoleTest, DoesAllThatOrdersNeed) {
  for (const std::string van : {"van-1", "van-2"}) {
    ASSERT_EQ(Run({"driver", "put", van, "--at", "52.521,13.405", "--capacity", "1"}).code, 0);
  }
  for (const std::string duty : {"off", "on"}) ASSERT_EQ(Run({"driver", "duty", "van-3", duty}).code, 0);
  std::vector<std::string> ids;
  for (const std::string key : {"a", "b"}) {
    Ran created = Create(key);
    ASSERT_EQ(created.code, 0) << created.output << service_->Output();
    ids.push_back(created.json[0]["order_id"]);
  }
  EXPECT_EQ(Create("c").code, 6) << "no driver is left, so it is refunded";
  EXPECT_EQ(Run({"order", "complete", ids[0]}).code, 0);
  EXPECT_EQ(Run({"order", "cancel", ids[1]}).code, 0);
  EXPECT_EQ(Run({"order", "list", "--user", "u-17"}).code, 0);
  EXPECT_EQ(Run({"saga", "show", ids[1]}).code, 0);
  EXPECT_EQ(Run({"saga", "list", "--needs-attention"}).code, 0);
  EXPECT_EQ(SignalCharge(ids[1], "pi_1").code, 0);
  EXPECT_EQ(service_->Output().find("permission denied for table order"), std::string::npos) << service_->Output();
  EXPECT_EQ(service_->Output().find(" fails"), std::string::npos) << service_->Output();
}

TEST_F(OrderSessionTest, AnOrderIsCreatedReadListedAndCompleted) {
  ASSERT_EQ(Run({"driver", "put", "d-7", "--at", "52.521,13.405"}).code, 0);
  Ran created = Create("k-1");
  ASSERT_EQ(created.code, 0) << created.output;
  ASSERT_EQ(created.json.size(), 1u) << created.output;
  EXPECT_EQ(created.json[0]["status"], "CONFIRMED");
  EXPECT_EQ(created.json[0]["driver_id"], "d-7");
  std::string id = created.json[0]["order_id"];

  Ran again = Create("k-1");
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.output, HasSubstr("this key already had an order"));
  Ran reused = Run({"order", "create", "--user", "u-18", "--amount", "12.50", "--currency", "EUR", "--key", "k-1"});
  EXPECT_EQ(reused.code, 4) << reused.output;
  EXPECT_THAT(reused.output, HasSubstr("IDEMPOTENCY_KEY_REUSED"));

  EXPECT_THAT(Run({"order", "get", id}).output, HasSubstr("Charged 12.50 EUR, and driver d-7 has it."));
  EXPECT_THAT(Run({"order", "list", "--user", "u-17"}).output, HasSubstr(id));
  EXPECT_TRUE(Run({"order", "list", "--user", "nobody", "--json"}).json.empty());
  EXPECT_EQ(Run({"order", "watch", id, "--until", "settled"}).code, 0);

  EXPECT_EQ(Run({"order", "complete", id}).code, 0);
  Ran refused = Run({"order", "cancel", id});
  EXPECT_EQ(refused.code, 4) << refused.output;
  EXPECT_EQ(Run({"order", "watch", id}).code, 0);
}

TEST_F(OrderSessionTest, APaddedAmountIsDecimal) {
  ASSERT_EQ(Run({"driver", "put", "d-7", "--at", "52.521,13.405", "--capacity", "010"}).code, 0);
  Ran created = Run({"order", "create", "--user", "u-17", "--amount-minor", "0000001250", "--currency", "EUR",
                     "--pickup", "52.52,13.405", "--key", "k-1", "--json"});
  ASSERT_EQ(created.code, 0) << created.output;
  EXPECT_THAT(Run({"order", "get", created.json[0]["order_id"]}).output, HasSubstr("Charged 12.50 EUR"));
}

TEST_F(OrderSessionTest, WithoutADriverTheMoneyGoesBack) {
  Ran created = Create("k-1");
  EXPECT_EQ(created.code, 6) << created.output;
  ASSERT_EQ(created.json.size(), 1u) << created.output;
  EXPECT_EQ(created.json[0]["failure"]["reason"], "NO_DRIVER_AVAILABLE");
  std::string id = created.json[0]["order_id"];

  Ran watch = Run({"order", "watch", id});
  EXPECT_EQ(watch.code, 6);
  EXPECT_THAT(watch.output, HasSubstr("12.50 EUR was charged, all of it went back."));

  EXPECT_TRUE(Run({"saga", "list", "--json"}).json.empty());
  Ran compensated = Run({"saga", "list", "--state", "compensated", "--json"});
  ASSERT_EQ(compensated.json.size(), 1u) << compensated.output;
  EXPECT_EQ(compensated.json[0]["saga_id"], id);
  EXPECT_THAT(Run({"saga", "show", id}).output, HasSubstr("COMPENSATED"));
  EXPECT_EQ(Run({"saga", "retry", id}).code, 4);
  EXPECT_EQ(Run({"saga", "resolve", id, "--reason", "ticket 812"}).code, 4);
  Ran late = SignalCharge(id, "pi_1");
  EXPECT_EQ(late.code, 0) << late.output;
  EXPECT_EQ(late.json.at(0)["result"], "LATE");
  EXPECT_EQ(late.json.at(0)["saga"]["state"], "COMPENSATED");
}

TEST_F(OrderSessionTest, ACancelledOrderIsRefundedAndItsDriverFreed) {
  ASSERT_EQ(Run({"driver", "put", "d-7", "--at", "52.521,13.405"}).code, 0);
  Ran first = Create("k-1");
  ASSERT_EQ(first.code, 0) << first.output;
  Ran cancelled = Run({"order", "cancel", first.json[0]["order_id"], "--reason", "customer called", "--json"});
  EXPECT_EQ(cancelled.code, 0) << cancelled.output;
  ASSERT_EQ(cancelled.json.size(), 1u);
  EXPECT_EQ(cancelled.json[0]["status"], "CANCELLED");
  EXPECT_EQ(cancelled.json[0]["payment"]["refunded_minor_units"], "1250");
  Ran second = Create("k-2");
  EXPECT_EQ(second.code, 0) << second.output;
  EXPECT_EQ(second.json[0]["driver_id"], "d-7");
}

TEST_F(OrderSessionTest, WhatIsNotThereOrNotRightIsSaidClearly) {
  EXPECT_EQ(Run({"order", "get", "01939f6e-0000-7000-8000-000000000001"}).code, 3);
  EXPECT_EQ(Run({"saga", "show", "01939f6e-0000-7000-8000-000000000001"}).code, 3);
  EXPECT_EQ(SignalCharge("01939f6e-0000-7000-8000-000000000001", "pi_1").code, 3);
  Ran malformed = Run({"order", "get", "not-an-id"});
  EXPECT_EQ(malformed.code, 2);
  EXPECT_THAT(malformed.output, HasSubstr("order_id: "));
  Ran bad = Run({"order", "create", "--user", std::string(1'000, 'u'), "--amount-minor", "-5", "--currency", "EUX",
                 "--key", "k"});
  EXPECT_EQ(bad.code, 2);
  for (const char* field : {"user_id: ", "amount.minor_units: ", "amount.currency: "}) {
    EXPECT_THAT(bad.output, HasSubstr(field));
  }
}

// With the sandbox's gateway, and an order service that calls a person early.
class OperatorSessionTest : public OrderSessionTest {
 protected:
  void StartOrderService() override {
    testing::ProcessOptions options;
    options.args = {"--log",      directory_.path() / "books.log", "--listen", "127.0.0.1:0", "--side-listen",
                    "127.0.0.1:0"};
    auto started = testing::Process::Start(WAYBILL_SANDBOX_BINARY, options);
    ASSERT_TRUE(started.ok()) << started.status();
    sandbox_ = *std::move(started);
    std::string address = fmt::format("127.0.0.1:{}", PortOf(*sandbox_));
    env_.emplace_back("WAYBILL_SANDBOX", address);
    // The pause after a failed refund is so long that only the operator's retry can come before its end.
    OrderSessionTest::StartOrderService({"--payment-gateway", "grpc://" + address, "--attention-after", "1",
                                         "--backoff", "10h", "--backoff-max", "10h", "--undo-backoff-max", "10h"});
  }

  // An order whose refund keeps failing; its id, once a person is called.
  std::string CreateStuckOrder() {
    EXPECT_EQ(Run({"sandbox", "set", "--target", "gateway", "--unavailable", "1", "--method", "Refund"}).code, 0);
    Ran created = Run({"order", "create", "--user", "u-17", "--amount", "12.50", "--currency", "EUR", "--wait",
                       "accepted", "--json"});
    EXPECT_EQ(created.code, 0) << created.output;
    std::vector<nlohmann::json> stuck;
    EXPECT_TRUE(testing::Eventually(absl::Seconds(30), [&] {
      stuck = Run({"saga", "list", "--needs-attention", "--json"}).json;
      return stuck.size() == 1;
    })) << service_->Output();
    EXPECT_EQ(stuck.at(0)["state"], "COMPENSATING");
    EXPECT_EQ(stuck.at(0)["saga_id"], created.json.at(0)["order_id"]);
    return created.json.at(0)["order_id"];
  }

  testing::TempDirectory directory_;
  std::unique_ptr<testing::Process> sandbox_;
};

TEST_F(OperatorSessionTest, AStuckRefundIsRetriedOnceTheGatewayIsWell) {
  std::string id = CreateStuckOrder();
  EXPECT_THAT(Run({"order", "get", id}).output, HasSubstr("none of it went back yet. It keeps failing"));
  ASSERT_EQ(Run({"sandbox", "set"}).code, 0);
  Ran retried = Run({"saga", "retry", id, "--json"});
  EXPECT_EQ(retried.code, 0) << retried.output;

  Ran watch = Run({"order", "watch", id, "--timeout", "30s"});
  EXPECT_EQ(watch.code, 6) << watch.output;
  EXPECT_THAT(watch.output, HasSubstr("all of it went back."));
  Ran books = Run({"sandbox", "books", "--order", id, "--json"});
  ASSERT_EQ(books.json.size(), 1u) << books.output;
  EXPECT_EQ(books.json[0]["charged_minor"], "1250");
  EXPECT_EQ(books.json[0]["refunded_minor"], "1250");
  EXPECT_TRUE(Run({"saga", "list", "--json"}).json.empty());
}

TEST_F(OperatorSessionTest, AStuckRefundIsResolvedByHandWithAReasonThatIsKept) {
  std::string id = CreateStuckOrder();
  Ran resolved = Run({"saga", "resolve", id, "--reason", "refunded at the bank, ticket 812", "--json"});
  EXPECT_EQ(resolved.code, 0) << resolved.output;
  ASSERT_EQ(resolved.json.size(), 1u) << resolved.output;
  EXPECT_EQ(resolved.json[0]["state"], "RESOLVED");
  Ran shown = Run({"saga", "show", id});
  EXPECT_THAT(shown.output, AllOf(HasSubstr("refunded at the bank, ticket 812"), HasSubstr("ada")));
  EXPECT_EQ(Run({"saga", "resolve", id, "--reason", "again"}).code, 4);
  EXPECT_TRUE(Run({"saga", "list", "--needs-attention", "--json"}).json.empty());
}

TEST_F(OperatorSessionTest, ASignalThatIsNotWaitedForIsKeptOnce) {
  std::string id = CreateStuckOrder();
  Ran kept = SignalCharge(id, "pi_1");
  EXPECT_EQ(kept.code, 0) << kept.output;
  EXPECT_EQ(kept.json.at(0)["result"], "KEPT");
  EXPECT_EQ(kept.json.at(0)["saga"]["saga_id"], id);
  EXPECT_EQ(SignalCharge(id, "pi_1").json.at(0)["result"], "REPEATED");
  EXPECT_EQ(
      testing::Sql(database_.url()).Value("SELECT waits_for || ' ' || outcome || ' ' || detail FROM saga_signals"),
      "charge_payment/do/pi_1 succeeded ada");
  Ran refused = SignalCharge(id, "pi 1");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.output, HasSubstr("token: "));
}

TEST_F(OperatorSessionTest, ASagaThatWaitsIsSeenAndSignalledByHand) {
  std::string id = CreateStuckOrder();
  service_->Signal(SIGTERM);
  ASSERT_EQ(service_->Wait(absl::Seconds(30)), 0) << service_->Output();
  // As if the refund had been answered "later".
  testing::Sql(database_.url())
      .Exec(
          "UPDATE order_sagas SET lease_until = NULL, waits_for = 'charge_payment/undo/re_1', "
          "wakes_at = now() + interval '2 hours'");
  StartOrderService();
  Ran waiting = Run({"saga", "list", "--waiting", "--json"});
  ASSERT_EQ(waiting.json.size(), 1u) << waiting.output;
  EXPECT_EQ(waiting.json[0]["waits"][0]["token"], "re_1");
  EXPECT_EQ(waiting.json[0]["owner"], "");
  EXPECT_THAT(Run({"saga", "show", id}).output,
              HasSubstr("--step charge_payment --action undo --token=re_1 --outcome OUTCOME"));
  Ran woken = Run({"saga", "signal", id, "--step", "charge_payment", "--action", "undo", "--token", "re_1", "--outcome",
                   "unknown", "--reason", "NOBODY_KNOWS", "--detail", "ticket 812", "--json"});
  EXPECT_EQ(woken.code, 0) << woken.output;
  EXPECT_EQ(woken.json.at(0)["result"], "WOKEN");
  EXPECT_TRUE(Run({"saga", "list", "--waiting", "--json"}).json.empty());
}

TEST_F(OperatorSessionTest, TheSandboxShowsItsBehaviourAndRestarts) {
  ASSERT_EQ(Run({"sandbox", "set", "--target", "gateway", "--decline", "1", "--latency", "1ms"}).code, 0);
  EXPECT_THAT(Run({"sandbox", "show"}).output, HasSubstr("100 %"));
  Ran declined = Create("k-1");
  EXPECT_EQ(declined.code, 6) << declined.output;
  EXPECT_EQ(declined.json.at(0)["failure"]["reason"], "PAYMENT_DECLINED");
  EXPECT_EQ(Run({"sandbox", "restart"}).code, 0);
  Ran shown = Run({"sandbox", "show"});
  EXPECT_EQ(shown.code, 0) << shown.output << sandbox_->Output();
}

}  // namespace
}  // namespace waybill::cli
