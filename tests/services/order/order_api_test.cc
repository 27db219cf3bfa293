#include "services/order/order_api.h"

#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "domain/reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/worker_pool.h"
#include "services/order/testing/fake_dispatch.h"
#include "services/order/testing/mock_payment_gateway.h"
#include "tests/services/order/order_world.h"

namespace waybill::order {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using testing::FakePaymentGateway;
using testing::Fate;

class OrderApiTest : public ::testing::Test {
 protected:
  // Gateway answers wait in a queue until they are let go.
  void HoldGateway() {
    world_.gateway.set_defer([this](FakePaymentGateway::Task task) {
      std::lock_guard lock(held_mutex_);
      held_.push_back(std::move(task));
    });
  }
  void LetGo() {
    while (true) {
      FakePaymentGateway::Task task;
      {
        std::lock_guard lock(held_mutex_);
        if (held_.empty()) return;
        task = std::move(held_.front());
        held_.pop_front();
      }
      task();
    }
  }
  // Moves time in small steps, so that backoffs, polls and what they start take their turns.
  void Pass(absl::Duration duration, Replica& replica) {
    for (const SteadyTime end = world_.time.Steady() + duration; world_.time.Steady() < end;) {
      world_.time.Advance(absl::Milliseconds(50));
      replica.Settle();
    }
  }

  // A budget of attempts only.
  static void HaveNoPatience(Replica& replica) {
    std::vector<saga::Definition> definitions = replica.kinds.all();
    for (saga::Definition& definition : definitions) {
      for (saga::Step& step : definition.steps) step.retry.retry_for = absl::ZeroDuration();
    }
    replica.kinds = saga::Kinds(std::move(definitions));
  }

  SharedWorld world_;
  std::mutex held_mutex_;
  std::deque<FakePaymentGateway::Task> held_;
  Replica a_{world_, "a"};
};

// --- Creating.

TEST_F(OrderApiTest, ConfirmsAnOrderWithAPaymentAndADriver) {
  world_.PutDrivers({"ann"});
  auto result = a_.Create(a_.NewOrder("k")).Get();
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.order_status(), OrderStatus::kConfirmed);
  EXPECT_EQ(result.order.payload.driver->driver_id, "ann");
  EXPECT_EQ(result.order.payload.charge->amount_minor, 1250);
  EXPECT_FALSE(result.replayed);
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
}

TEST_F(OrderApiTest, FailsADeclinedOrderWithoutAnythingToUndo) {
  world_.PutDrivers({"ann"});
  world_.gateway.WillMeet({Fate::kDeclined});
  auto result = a_.Create(a_.NewOrder("k")).Get();
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_EQ(result.order.failure.reason, "PAYMENT_DECLINED");
  EXPECT_EQ(result.order.failure.detail, "CARD_DECLINED");
  EXPECT_FALSE(result.order.payload.charge.has_value());
}

TEST_F(OrderApiTest, GivesTheMoneyBackWhenThereIsNoDriver) {
  auto result = a_.Create(a_.NewOrder("k")).Get();
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_EQ(result.order.failure.reason, "NO_DRIVER_AVAILABLE");
  EXPECT_EQ(result.order.payload.refund->amount_minor, 1250);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(OrderApiTest, BooksAChargeWhoseAnswerWasLostWhenItIsGivenBack) {
  HaveNoPatience(a_);
  std::deque<Fate> lost(5, Fate::kLostAfter);
  world_.gateway.WillMeet(lost);
  auto call = a_.Create(a_.NewOrder("k"));
  Pass(absl::Seconds(30), a_);
  auto result = call.Get();
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_EQ(result.order.failure.reason, "PAYMENT_UNKNOWN");
  ASSERT_TRUE(result.order.payload.charge && result.order.payload.refund);
  EXPECT_EQ(result.order.payload.charge->amount_minor, result.order.payload.refund->amount_minor);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(OrderApiTest, GivesBackWhatAnEarlierAttemptTookWhenTheNextIsDeclined) {
  world_.gateway.WillMeet({Fate::kLostAfter, Fate::kRefused});
  auto call = a_.Create(a_.NewOrder("k"));
  Pass(absl::Seconds(30), a_);
  auto result = call.Get();
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_EQ(result.order.failure.reason, "PAYMENT_DECLINED");
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
  ASSERT_TRUE(result.order.payload.charge && result.order.payload.refund) << "the books know of both";
}

TEST_F(OrderApiTest, ReleasesTheDriverOfAnEarlierAttemptWhenTheNextFindsNobody) {
  auto dispatch = std::make_unique<testing::FakeDispatch>(std::vector<std::string>{"ann"});
  testing::FakeDispatch& fake = *dispatch;
  Replica remote(world_, "remote", std::move(dispatch));
  fake.WillMeet({Fate::kLostAfter, Fate::kRefused});
  auto call = remote.Create(remote.NewOrder("k"));
  Pass(absl::Seconds(30), remote);
  EXPECT_EQ(call.Get().order.failure.reason, "NO_DRIVER_AVAILABLE");
  EXPECT_TRUE(fake.assigned().empty()) << "the dispatcher keeps a driver for an order that is gone";
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(OrderApiTest, KeepsAReferenceCleanedAndSaysSo) {
  world_.PutDrivers({"ann"});
  testing::MockPaymentGateway gateway;
  EXPECT_CALL(gateway, Charge).WillOnce([](const auto&, const auto&, auto done) {
    done(ChargeResult::Approve(std::string("ch\0\xff", 4)));
  });
  a_.kinds = saga::Kinds({PlaceOrder(gateway, a_.dispatch, world_.time)});
  auto result = a_.Create(a_.NewOrder("k")).Get();
  ASSERT_EQ(result.order_status(), OrderStatus::kConfirmed);
  EXPECT_EQ(result.order.payload.charge->gateway_reference, "ch\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_THAT(world_.book.rows.at(result.order.id).log[0].detail, ::testing::HasSubstr("cleaned"));
}

TEST_F(OrderApiTest, TakesADriverWithoutAValidIdForABrokenDispatcher) {
  auto dispatch = std::make_unique<testing::FakeDispatch>(std::vector<std::string>{std::string("an\0n", 4)});
  testing::FakeDispatch& fake = *dispatch;
  Replica remote(world_, "remote", std::move(dispatch));
  auto result = remote.Create(remote.NewOrder("k")).Get();
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_EQ(result.order.failure.reason, "DISPATCH_UNKNOWN");
  EXPECT_TRUE(fake.assigned().empty()) << "whoever it was is released";
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(OrderApiTest, ClosesTheKeyOfAChargeThatNeverHappened) {
  HaveNoPatience(a_);
  world_.gateway.WillMeet(std::deque<Fate>(5, Fate::kUnavailable));
  auto call = a_.Create(a_.NewOrder("k"));
  Pass(absl::Seconds(30), a_);
  auto result = call.Get();
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_FALSE(result.order.payload.charge.has_value());
  EXPECT_FALSE(result.order.payload.refund.has_value());
  EXPECT_TRUE(world_.gateway.books().begin()->second.closed);
}

TEST_F(OrderApiTest, AnswersAtOnceWhenAskedToAndGoesOn) {
  world_.PutDrivers({"ann"});
  HoldGateway();
  auto result = a_.Create(a_.NewOrder("k"), absl::Seconds(5), OrderApi::Wait::kUntilAccepted).Get();
  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(result.order_status(), OrderStatus::kPending);
  LetGo();
  a_.Settle();
  EXPECT_EQ(StatusOf(*a_.store.Get(result.order.id)), OrderStatus::kConfirmed);
}

TEST_F(OrderApiTest, NamesTheOrderThatIsStillRunningAtTheDeadline) {
  world_.PutDrivers({"ann"});
  HoldGateway();
  auto call = a_.Create(a_.NewOrder("k"), absl::Seconds(2));
  world_.time.Advance(absl::Milliseconds(1'990));
  EXPECT_FALSE(call.answered());
  world_.time.Advance(absl::Milliseconds(10));
  auto result = call.Get();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(result.reason(), "ORDER_STILL_RUNNING");
  auto id = Uuid::Parse(result.Metadata("order_id"));
  ASSERT_TRUE(id.has_value());
  LetGo();
  a_.Settle();
  EXPECT_EQ(StatusOf(*a_.store.Get(*id)), OrderStatus::kConfirmed) << "the deadline bounds the wait, not the work";
}

TEST_F(OrderApiTest, WaitsNoLongerThanItsOwnBound) {
  HoldGateway();
  auto call = a_.Create(a_.NewOrder("k"));
  world_.time.Advance(OrderApiOptions{}.wait_max);
  EXPECT_EQ(call.Get().reason(), "ORDER_STILL_RUNNING");
  LetGo();
}

TEST_F(OrderApiTest, WaitsNoLongerWhenTheWallClockIsSetBack) {
  HoldGateway();
  auto call = a_.Create(a_.NewOrder("k"), absl::Seconds(2));
  world_.time.SetWall(world_.time.Now() - absl::Hours(1));
  world_.time.Advance(absl::Seconds(2));
  EXPECT_EQ(call.Get().reason(), "ORDER_STILL_RUNNING");
  LetGo();
}

TEST_F(OrderApiTest, DoesNotPromiseAnOrderThatTheJournalHasNotAnsweredFor) {
  world_.gateway.WillMeet({Fate::kDeclined});  // so that all of it happens on this thread
  std::deque<saga::testing::MemoryJournal::Task> writes;
  a_.journal.set_defer([&](auto task) { writes.push_back(std::move(task)); });
  auto call = a_.Create(a_.NewOrder("k"), absl::Seconds(1));
  world_.time.Advance(absl::Seconds(1));
  auto result = call.Get();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(result.reason(), "STORE_UNAVAILABLE");
  while (!writes.empty()) {
    auto write = std::move(writes.front());
    writes.pop_front();
    write();
  }
}

TEST_F(OrderApiTest, PassesOnThatTheJournalIsFull) {
  a_.journal.set_error(domain::ReasonError("QUEUE_FULL", "full"));
  auto result = a_.Create(a_.NewOrder("k")).Get();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(OrderApiTest, LetsGoOfACallerThatWentAway) {
  world_.PutDrivers({"ann"});
  HoldGateway();
  auto call = a_.Create(a_.NewOrder("k"));
  call.Abandon();
  EXPECT_EQ(call.Get().status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(world_.time.pending(), 0u) << "the deadline's timer is left";
  LetGo();
  a_.Settle();
  EXPECT_EQ(world_.gateway.NetMinor(), 1250) << "the order goes on";
}

TEST_F(OrderApiTest, RefusesNewOrdersWhileDraining) {
  a_.api.SetDraining();
  auto result = a_.Create(a_.NewOrder("k")).Get();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(result.reason(), "SHUTTING_DOWN");
  EXPECT_TRUE(world_.book.rows.empty());
}

// --- The same key again.

TEST_F(OrderApiTest, RepeatsTheAnswerForTheSameKey) {
  world_.PutDrivers({"ann", "bob"});
  auto first = a_.Create(a_.NewOrder("k")).Get();
  auto again = a_.Create(a_.NewOrder("k")).Get();
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.order.id, first.order.id);
  EXPECT_EQ(again.order_status(), OrderStatus::kConfirmed);
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
}

TEST_F(OrderApiTest, LeavesAFailedKeyFailed) {
  auto first = a_.Create(a_.NewOrder("k")).Get();
  world_.PutDrivers({"ann"});
  world_.time.Advance(absl::Seconds(5));
  auto again = a_.Create(a_.NewOrder("k")).Get();
  EXPECT_EQ(again.order.id, first.order.id);
  EXPECT_EQ(again.order_status(), OrderStatus::kFailed);
  EXPECT_TRUE(again.replayed);
}

TEST_F(OrderApiTest, LetsDuplicatesWaitForTheOneThatRuns) {
  world_.PutDrivers({"ann"});
  HoldGateway();
  auto first = a_.Create(a_.NewOrder("k"));
  std::vector<Replica::Call> duplicates;
  for (int i = 0; i < 10; ++i) duplicates.push_back(a_.Create(a_.NewOrder("k")));
  auto accepted = a_.Create(a_.NewOrder("k"), absl::Seconds(1), OrderApi::Wait::kUntilAccepted).Get();
  EXPECT_TRUE(accepted.replayed);
  EXPECT_EQ(accepted.order_status(), OrderStatus::kPending);
  for (auto& duplicate : duplicates) EXPECT_FALSE(duplicate.answered());
  LetGo();
  const Uuid id = first.Get().order.id;
  for (auto& duplicate : duplicates) {
    auto result = duplicate.Get();
    EXPECT_EQ(result.order.id, id);
    EXPECT_EQ(result.order_status(), OrderStatus::kConfirmed);
    EXPECT_TRUE(result.replayed);
  }
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
}

TEST_F(OrderApiTest, NamesTheExistingOrderWhenADuplicateWaitsTooLong) {
  world_.PutDrivers({"ann"});
  HoldGateway();
  auto first = a_.Create(a_.NewOrder("k"));
  auto duplicate = a_.Create(a_.NewOrder("k"), absl::Seconds(1));
  world_.time.Advance(absl::Seconds(1));
  auto result = duplicate.Get();
  EXPECT_EQ(result.reason(), "ORDER_STILL_RUNNING");
  LetGo();
  EXPECT_EQ(result.Metadata("order_id"), first.Get().order.id.ToString());
}

TEST_F(OrderApiTest, RefusesAKeyReusedForAnotherRequest) {
  a_.Create(a_.NewOrder("k", 100)).Get();
  auto result = a_.Create(a_.NewOrder("k", 101)).Get();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(result.reason(), "IDEMPOTENCY_KEY_REUSED");
  EXPECT_EQ(result.Metadata("fields"), "amount.minor_units");
}

// The lev was Bulgaria's money until 2026-01-31.
TEST_F(OrderApiTest, TakesNoNewOrderInACurrencyWhoseTenderEndedButRepeatsOldAnswers) {
  domain::Order lev = a_.NewOrder("k");
  lev.currency = "BGN";
  lev.fingerprint = Fingerprint(lev);
  Replica::Result refused = a_.Create(lev).Get();
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kInvalidArgument);
  const auto violations = GetErrorDetail(refused.status).violations;
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].first, "amount.currency");
  EXPECT_EQ(violations[0].second, "BGN is no legal tender since 2026-02-01");
  EXPECT_TRUE(world_.book.rows.empty());

  ASSERT_TRUE(a_.Create(a_.NewOrder("k")).Get().status.ok());
  auto& old = saga::As<domain::Order>(*world_.book.rows.begin()->second.record);  // as if it had been made in time
  old.payload.currency = lev.currency;
  old.payload.fingerprint = lev.fingerprint;
  Replica::Result repeated = a_.Create(lev).Get();
  ASSERT_TRUE(repeated.status.ok()) << repeated.status;
  EXPECT_TRUE(repeated.replayed);
  EXPECT_EQ(repeated.order.id, old.id);
  lev.amount_minor += 1;
  lev.fingerprint = Fingerprint(lev);
  EXPECT_EQ(a_.Create(lev).Get().reason(), "IDEMPOTENCY_KEY_REUSED");
}

TEST_F(OrderApiTest, WaitsForAnOrderThatAnotherReplicaDrives) {
  world_.PutDrivers({"ann"});
  Replica b(world_, "b");
  HoldGateway();
  auto first = a_.Create(a_.NewOrder("k"));
  auto duplicate = b.Create(b.NewOrder("k"));
  Pass(absl::Milliseconds(500), b);
  EXPECT_FALSE(duplicate.answered());
  LetGo();
  const Uuid id = first.Get().order.id;
  Pass(absl::Seconds(1), b);
  auto result = duplicate.Get();
  EXPECT_EQ(result.order.id, id);
  EXPECT_EQ(result.order_status(), OrderStatus::kConfirmed);
  EXPECT_TRUE(result.replayed);
}

TEST_F(OrderApiTest, AnswersWithWhatAnotherReplicaMadeOfAnOrderItTookOver) {
  world_.PutDrivers({"ann"});
  Replica b(world_, "b");
  HoldGateway();
  auto call = a_.Create(a_.NewOrder("k"));
  world_.gateway.set_defer(nullptr);
  world_.time.Advance(absl::Seconds(11));  // a's lease runs out
  ASSERT_EQ(*b.runner.RecoverExpired(false, 100), 1u);
  b.Settle();
  LetGo();  // a learns that it was fenced
  Pass(absl::Seconds(1), a_);
  auto result = call.Get();
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.order_status(), OrderStatus::kConfirmed);
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
  EXPECT_EQ(world_.book.taken_slots.size(), 1u);
}

TEST_F(OrderApiTest, TwoReplicasNeverGiveADriverToTwoOrders) {
  world_.PutDrivers({"ann", "bob", "cem"});
  Replica b(world_, "b");
  std::set<std::string> drivers;
  for (int i = 0; i < 3; ++i) {
    auto result = (i % 2 == 0 ? a_ : b).Create(a_.NewOrder("k" + std::to_string(i))).Get();
    ASSERT_EQ(result.order_status(), OrderStatus::kConfirmed) << i;
    EXPECT_TRUE(drivers.insert(result.order.payload.driver->driver_id).second);
  }
  EXPECT_EQ(b.Create(b.NewOrder("k3")).Get().order.failure.reason, "NO_DRIVER_AVAILABLE");
}

// --- A payment that is decided later.

class PendingPaymentTest : public OrderApiTest {
 protected:
  PendingPaymentTest() {
    world_.PutDrivers({"ann"});
    world_.gateway.set_pending_until(world_.time.Now() + absl::Hours(1));
    world_.gateway.WillMeet({Fate::kPending});
  }
  Uuid CreatePending() {
    auto result = a_.Create(a_.NewOrder("k")).Get();
    EXPECT_TRUE(result.status.ok()) << result.status;
    EXPECT_EQ(result.order_status(), OrderStatus::kAwaitingPayment);
    return result.order.id;
  }
  static std::string KeyOf(const Uuid& id) { return id.ToString() + "/charge_payment"; }
  static saga::SignalResult Tell(Replica& replica, const Uuid& id, saga::Outcome outcome) {
    auto told = replica.runner.AddSignal(
        id, {"charge_payment", saga::Direction::kDo, "pending-" + KeyOf(id), std::move(outcome)});
    EXPECT_TRUE(told.ok()) << told.status();
    return told.value_or(saga::SignalResult::kLate);
  }
  std::vector<std::string> Outcomes(const Uuid& id) {
    std::vector<std::string> outcomes;
    for (const saga::LogEntry& entry : world_.book.rows.at(id).log) outcomes.emplace_back(Name(entry.outcome));
    return outcomes;
  }
  OrderStatus Status(const Uuid& id) { return StatusOf(*a_.store.Get(id)); }
};

TEST_F(PendingPaymentTest, IsAnsweredAtOnceAndDrivenByNobody) {
  const Uuid id = CreatePending();
  EXPECT_EQ(a_.runner.live(), 0u);
  EXPECT_EQ(a_.store.Unfinished(a_.kinds)->waiting, 1);
  EXPECT_EQ(world_.time.pending(), 0u) << "no timer of this process waits for it";
  EXPECT_THAT(Outcomes(id), ElementsAre("waiting"));
  auto again = a_.Create(a_.NewOrder("k")).Get();
  EXPECT_EQ(again.order_status(), OrderStatus::kAwaitingPayment);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.order.id, id);
  EXPECT_EQ(a_.Complete(id).Get().reason(), "ORDER_NOT_CONFIRMED");
}

TEST_F(PendingPaymentTest, AsksTheGatewayAgainWhenItIsSignalledAndBelievesItsAnswer) {
  const Uuid id = CreatePending();
  world_.gateway.Decide(KeyOf(id), true);
  EXPECT_EQ(Tell(a_, id, saga::Outcome::Rejected("LIES")), saga::SignalResult::kWoken);
  a_.Settle();
  EXPECT_EQ(Status(id), OrderStatus::kConfirmed);
  EXPECT_EQ(a_.store.Get(id)->payload.charge->gateway_reference, "fake-" + KeyOf(id));
  EXPECT_THAT(Outcomes(id), ElementsAre("waiting", "signalled", "succeeded", "succeeded"));
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
  EXPECT_EQ(Tell(a_, id, saga::Outcome::Succeeded()), saga::SignalResult::kKept);
}

TEST_F(PendingPaymentTest, AsksTheGatewayWhenThePayerIsBack) {
  const Uuid id = CreatePending();
  EXPECT_EQ(a_.CheckPayment(id, "somebody else").Get().reason(), "ORDER_NOT_FOUND");
  EXPECT_EQ(a_.CheckPayment(id).Get().order_status(), OrderStatus::kAwaitingPayment);
  a_.Settle();
  EXPECT_THAT(Outcomes(id), ElementsAre("waiting", "signalled", "waiting"))
      << "the gateway is believed, and no browser";
  Replica b(world_, "b");
  world_.gateway.Decide(KeyOf(id), true);
  const size_t deeds = world_.book.deeds.size();
  ASSERT_TRUE(b.CheckPayment(id, std::nullopt, {"ops", "key-1"}).Get().status.ok());
  ASSERT_EQ(world_.book.deeds.size(), deeds + 1) << "whose order it is, who asks is another client";
  EXPECT_EQ(world_.book.deeds.back().action, "order.check_payment");
  b.Settle();
  EXPECT_EQ(Status(id), OrderStatus::kConfirmed);
  const size_t lines = Outcomes(id).size();
  EXPECT_EQ(a_.CheckPayment(id).Get().order_status(), OrderStatus::kConfirmed);
  a_.Settle();
  EXPECT_EQ(Outcomes(id).size(), lines) << "it waits for nobody any more";
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
}

TEST_F(PendingPaymentTest, AGatewayIsAskedForOnePaymentNoMoreOftenThanEveryTwoSeconds) {
  const Uuid id = CreatePending();
  const auto asked = [&] {
    const std::vector<std::string> outcomes = Outcomes(id);
    return std::count(outcomes.begin(), outcomes.end(), "signalled");
  };
  for (int i = 0; i < 20; ++i) {
    const Replica::Result checked = a_.CheckPayment(id, std::nullopt, {a_.store.Get(id)->payload.client}).Get();
    EXPECT_EQ(checked.order_status(), OrderStatus::kAwaitingPayment);
    a_.Settle();
  }
  EXPECT_EQ(asked(), 1);
  a_.Pass(absl::Milliseconds(1'999));
  EXPECT_EQ(asked(), 1);
  world_.gateway.Decide(KeyOf(id), true);
  a_.Pass(absl::Milliseconds(1));
  EXPECT_EQ(asked(), 2) << "for all who came in between";
  EXPECT_EQ(Status(id), OrderStatus::kConfirmed) << "and the payer was back after the first time";
  a_.Pass(absl::Seconds(10));
  EXPECT_EQ(asked(), 2) << "nobody has come since";
}

TEST(PaymentChecks, HoldNoMoreThanTheyMay) {
  waybill::testing::ManualTime time;
  SeededRandom random(1);
  IdGenerator ids(time, random);
  PaymentChecks checks(absl::Seconds(2), /*most=*/2);
  const Uuid one = ids.Next(), two = ids.Next(), three = ids.Next();
  using Turn = PaymentChecks::Turn;
  EXPECT_EQ(checks.Take(one, time.Steady()).turn, Turn::kNow);
  EXPECT_EQ(checks.Take(two, time.Steady()).turn, Turn::kNow);
  EXPECT_EQ(checks.Take(three, time.Steady()).turn, Turn::kNow);
  EXPECT_EQ(checks.Take(three, time.Steady()).turn, Turn::kNow) << "there is no room for it";
  EXPECT_EQ(checks.Take(one, time.Steady()).turn, Turn::kLater);
  EXPECT_EQ(checks.Take(one, time.Steady()).turn, Turn::kShared);
  time.Advance(absl::Seconds(2));
  EXPECT_EQ(checks.Take(three, time.Steady()).turn, Turn::kNow);
  EXPECT_EQ(checks.Take(three, time.Steady()).turn, Turn::kLater) << "in the place of two";
  checks.Asks(one, time.Steady());
  EXPECT_EQ(checks.Take(one, time.Steady()).turn, Turn::kLater);
}

TEST_F(PendingPaymentTest, GoesOnOnAnyReplica) {
  const Uuid id = CreatePending();
  Replica b(world_, "b");
  world_.gateway.Decide(KeyOf(id), true);
  EXPECT_EQ(Tell(b, id, saga::Outcome::Succeeded()), saga::SignalResult::kWoken);
  b.Settle();
  EXPECT_EQ(Status(id), OrderStatus::kConfirmed);
}

TEST_F(PendingPaymentTest, WaitsOnWhenTheGatewayHasNotDecidedAfterAll) {
  const Uuid id = CreatePending();
  EXPECT_EQ(Tell(a_, id, saga::Outcome::Succeeded()), saga::SignalResult::kWoken);
  a_.Settle();
  EXPECT_EQ(Status(id), OrderStatus::kAwaitingPayment) << "no money came";
  EXPECT_EQ(a_.runner.live(), 0u);
  EXPECT_THAT(Outcomes(id), ElementsAre("waiting", "signalled", "waiting"));
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(PendingPaymentTest, FailsWhenThePayerDeclinesAndClosesTheKey) {
  const Uuid id = CreatePending();
  world_.gateway.Decide(KeyOf(id), false);
  Tell(a_, id, saga::Outcome::Succeeded());
  a_.Settle();
  EXPECT_EQ(Status(id), OrderStatus::kFailed);
  EXPECT_EQ(a_.store.Get(id)->failure.reason, "PAYMENT_DECLINED");
  EXPECT_EQ(a_.store.Get(id)->failure.detail, "CARD_DECLINED");
  EXPECT_FALSE(a_.store.Get(id)->payload.charge.has_value());
}

TEST_F(PendingPaymentTest, AsksByItselfWhenTheTimeIsOver) {
  const Uuid id = CreatePending();
  world_.gateway.Decide(KeyOf(id), true);
  world_.time.Advance(absl::Hours(1) - absl::Seconds(1));
  EXPECT_EQ(*a_.runner.RecoverExpired(false, 100), 0u);
  world_.PutDrivers({"ann"});
  world_.time.Advance(absl::Seconds(1));
  EXPECT_EQ(*a_.runner.RecoverExpired(false, 100), 1u);
  Pass(absl::Seconds(5), a_);
  EXPECT_EQ(Status(id), OrderStatus::kConfirmed);
  EXPECT_THAT(Outcomes(id), ElementsAre("waiting", "unknown", "succeeded", "succeeded"));
}

TEST_F(PendingPaymentTest, IsAskedForAfterAMonthWhateverTheGatewaySays) {
  world_.gateway.set_pending_until(absl::FromUnixSeconds(253'370'764'800));  // the year 9999
  const Uuid id = CreatePending();
  EXPECT_EQ(world_.book.rows.at(id).record->wakes_at, world_.time.Now() + absl::Hours(24 * 30));
}

TEST_F(PendingPaymentTest, ShowsWhereAndUntilWhenToPayWhileItWaits) {
  const absl::Time expires = world_.time.Now() + absl::Minutes(20);
  world_.gateway.set_checkout("https://pay.example/c/1?a=b#c", expires);
  const Uuid id = CreatePending();
  const domain::Order order = a_.store.Get(id)->payload;
  ASSERT_TRUE(order.pending.has_value());
  EXPECT_EQ(order.pending->checkout_url, "https://pay.example/c/1?a=b#c");
  EXPECT_EQ(order.pending->expires, expires);
  EXPECT_EQ(world_.book.rows.at(id).record->wakes_at, expires) << "before the gateway's own time, which is later";
}

TEST_F(PendingPaymentTest, LeavesOutACheckoutUrlThatIsNone) {
  int n = 0;
  for (const std::string& url :
       {std::string("javascript:alert(1)"), std::string("https://"), std::string("https:///x"),
        std::string("ftp://a/b"), std::string("https://a/ b"), std::string("https://a/\xc3\xbc"),
        std::string("https://a/<b>"), "https://a/" + std::string(2048, 'x')}) {
    world_.gateway.set_checkout(url, std::nullopt);
    world_.gateway.WillMeet({Fate::kPending});
    auto result = a_.Create(a_.NewOrder("url-" + std::to_string(++n))).Get();
    ASSERT_EQ(result.order_status(), OrderStatus::kAwaitingPayment) << url;
    EXPECT_EQ(a_.store.Get(result.order.id)->payload.pending->checkout_url, "") << url;
    EXPECT_THAT(a_.store.Log(result.order.id, 1)->back().detail, ::testing::HasSubstr("URL was left out")) << url;
  }
}

TEST_F(PendingPaymentTest, EndsWhenTheTimeToPayIsOver) {
  world_.gateway.set_checkout("", world_.time.Now() + absl::Minutes(20));
  const Uuid id = CreatePending();
  world_.time.Advance(absl::Minutes(20));
  ASSERT_TRUE(a_.runner.RecoverExpired(false, 100).ok());
  Pass(absl::Seconds(10), a_);
  EXPECT_EQ(Status(id), OrderStatus::kFailed);
  EXPECT_EQ(a_.store.Get(id)->failure.reason, "PAYMENT_EXPIRED");
  EXPECT_TRUE(world_.gateway.books().at(KeyOf(id)).closed);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(PendingPaymentTest, IsPaidInTheLastMomentAlsoWhenNobodySaysSo) {
  world_.gateway.set_checkout("", world_.time.Now() + absl::Minutes(20));
  const Uuid id = CreatePending();
  world_.gateway.Decide(KeyOf(id), true);
  world_.time.Advance(absl::Minutes(20));
  ASSERT_TRUE(a_.runner.RecoverExpired(false, 100).ok());
  Pass(absl::Seconds(10), a_);
  EXPECT_EQ(Status(id), OrderStatus::kConfirmed);
}

TEST_F(PendingPaymentTest, TurnsBackWhenTheGatewayNeverDecides) {
  const Uuid id = CreatePending();
  for (int i = 0; i < 20 && Status(id) == OrderStatus::kAwaitingPayment; ++i) {
    world_.time.Advance(absl::Hours(1));
    ASSERT_TRUE(a_.runner.RecoverExpired(false, 100).ok());
    Pass(absl::Seconds(10), a_);
  }
  EXPECT_EQ(Status(id), OrderStatus::kFailed);
  EXPECT_EQ(a_.store.Get(id)->failure.reason, "NOT_SIGNALLED");
  EXPECT_TRUE(world_.gateway.books().at(KeyOf(id)).closed);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(PendingPaymentTest, IsTurnedBackWhileItWaits) {
  const Uuid id = CreatePending();
  Replica b(world_, "b");
  EXPECT_EQ(b.Cancel(id).Get().order_status(), OrderStatus::kCancelled);
  world_.gateway.Decide(KeyOf(id), true);  // too late
  EXPECT_EQ(Tell(a_, id, saga::Outcome::Succeeded()), saga::SignalResult::kLate);
  EXPECT_EQ(Status(id), OrderStatus::kCancelled);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(PendingPaymentTest, IsAskedForByAnOperatorsRetry) {
  const Uuid id = CreatePending();
  world_.gateway.Decide(KeyOf(id), true);
  std::promise<absl::StatusOr<SagaApi::Answer>> answer;
  a_.sagas.Retry(id, {}, world_.time.Steady() + absl::Seconds(5),
                 [&](absl::StatusOr<SagaApi::Answer> given) { answer.set_value(std::move(given)); });
  auto given = answer.get_future().get();
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->saga.header.state, saga::State::kSucceeded);
}

TEST_F(PendingPaymentTest, ARetryThatChangesNothingIsAnsweredWithAnOrderThatWaits) {
  const Uuid id = CreatePending();
  std::promise<absl::StatusOr<SagaApi::Answer>> answer;
  a_.sagas.Retry(id, {}, world_.time.Steady() + absl::Seconds(5),
                 [&](absl::StatusOr<SagaApi::Answer> given) { answer.set_value(std::move(given)); });
  auto given = answer.get_future().get();
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->saga.header.state, saga::State::kRunning);
  EXPECT_EQ(a_.runner.live(), 0u);
}

TEST_F(PendingPaymentTest, AnOddTokenOrTimeIsNoAnswer) {
  world_.gateway.set_pending_until(absl::InfiniteFuture());
  auto call = a_.Create(a_.NewOrder("k"), absl::Seconds(1));
  Pass(absl::Seconds(1), a_);
  EXPECT_EQ(call.Get().reason(), "ORDER_STILL_RUNNING");
  const auto& row = *world_.book.rows.begin();
  ASSERT_FALSE(row.second.log.empty());
  EXPECT_EQ(Name(row.second.log[0].outcome), "unknown");
  EXPECT_THAT(row.second.log[0].detail, ::testing::HasSubstr("BAD_TOKEN"));
  world_.gateway.Decide(KeyOf(row.first), true);
  Pass(absl::Minutes(1), a_);
}

// --- Turning back.

TEST_F(OrderApiTest, RefundsAndFreesTheDriverOfACancelledOrder) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto result = a_.Cancel(id, "changed my mind").Get();
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.order_status(), OrderStatus::kCancelled);
  EXPECT_EQ(result.order.failure.detail, "changed my mind");
  EXPECT_FALSE(result.order.payload.driver.has_value());
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
  EXPECT_TRUE(world_.book.taken_slots.empty());
  EXPECT_EQ(a_.Cancel(id).Get().order_status(), OrderStatus::kCancelled);
  EXPECT_EQ(a_.Create(a_.NewOrder("k2")).Get().order_status(), OrderStatus::kConfirmed) << "ann is free again";
}

TEST_F(OrderApiTest, TurnsBackAnOrderThatIsStillRunning) {
  world_.PutDrivers({"ann"});
  HoldGateway();
  auto create = a_.Create(a_.NewOrder("k"));
  const Uuid id = world_.book.rows.begin()->first;
  auto cancel = a_.Cancel(id);
  a_.Settle();
  EXPECT_FALSE(cancel.answered());
  LetGo();
  a_.Settle();
  LetGo();
  EXPECT_EQ(cancel.Get().order_status(), OrderStatus::kCancelled);
  EXPECT_EQ(create.Get().order_status(), OrderStatus::kCancelled);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(OrderApiTest, CancelsThroughAnotherReplica) {
  world_.PutDrivers({"ann"});
  Replica b(world_, "b");
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  EXPECT_EQ(b.Cancel(id).Get().order_status(), OrderStatus::kCancelled);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

TEST_F(OrderApiTest, AnswersAFailedOrderAsItIs) {
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto result = a_.Cancel(id).Get();
  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_EQ(result.order.failure.reason, "NO_DRIVER_AVAILABLE");
}

TEST_F(OrderApiTest, WaitsForAnOrderThatIsBeingTurnedBackAlready) {
  world_.gateway.WillMeet({Fate::kAnswered, Fate::kUnavailable});  // the charge, then the first refund
  auto create = a_.Create(a_.NewOrder("k"));
  a_.Settle();
  auto cancel = a_.Cancel(world_.book.rows.begin()->first);
  Pass(absl::Seconds(5), a_);
  EXPECT_EQ(cancel.Get().order_status(), OrderStatus::kFailed);
  EXPECT_EQ(create.Get().order_status(), OrderStatus::kFailed);
}

TEST_F(OrderApiTest, NamesTheOrderWhoseCancellationTakesTooLong) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  world_.gateway.set_fate(Fate::kUnavailable);
  auto cancel = a_.Cancel(id, "", absl::Seconds(2));
  Pass(absl::Seconds(3), a_);
  auto result = cancel.Get();
  EXPECT_EQ(result.reason(), "ORDER_STILL_RUNNING");
  EXPECT_EQ(result.Metadata("order_id"), id.ToString());
}

TEST_F(OrderApiTest, DoesNotTurnBackACompletedOrder) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  ASSERT_TRUE(a_.Complete(id).Get().status.ok());
  auto result = a_.Cancel(id).Get();
  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(result.reason(), "ORDER_NOT_CANCELLABLE");
  EXPECT_EQ(result.Metadata("status"), "COMPLETED");
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
}

TEST_F(OrderApiTest, DoesNotKnowOrdersThatAreNotThere) {
  EXPECT_EQ(a_.Cancel(Uuid()).Get().reason(), "ORDER_NOT_FOUND");
  EXPECT_EQ(a_.Complete(Uuid()).Get().reason(), "ORDER_NOT_FOUND");
}

// --- Completing.

TEST_F(OrderApiTest, FreesTheDriverOfACompletedOrder) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto result = a_.Complete(id).Get();
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.order_status(), OrderStatus::kCompleted);
  EXPECT_FALSE(result.order.payload.driver.has_value());
  EXPECT_EQ(a_.Complete(id).Get().order_status(), OrderStatus::kCompleted) << "repeating it is harmless";
  EXPECT_TRUE(world_.book.taken_slots.empty());
  EXPECT_EQ(a_.Create(a_.NewOrder("k2")).Get().order_status(), OrderStatus::kConfirmed);
}

TEST_F(OrderApiTest, CompletesOnlyAConfirmedOrder) {
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto result = a_.Complete(id).Get();
  EXPECT_EQ(result.reason(), "ORDER_NOT_CONFIRMED");
  EXPECT_EQ(result.Metadata("status"), "FAILED");
}

TEST_F(OrderApiTest, CompletesAndCancelsConcurrentlyWithOneWinner) {
  for (int round = 0; round < 20; ++round) {
    world_.PutDrivers({"ann"});
    auto created = a_.Create(a_.NewOrder("k" + std::to_string(round))).Get();
    ASSERT_EQ(created.order_status(), OrderStatus::kConfirmed) << round;
    const Uuid id = created.order.id;
    Replica b(world_, "b" + std::to_string(round));
    auto cancel = a_.Cancel(id);
    auto complete = b.Complete(id);
    a_.Settle();
    b.Settle();
    Pass(absl::Seconds(1), a_);
    const OrderStatus status = StatusOf(*a_.store.Get(id));
    EXPECT_THAT(status, AnyOf(OrderStatus::kCancelled, OrderStatus::kCompleted));
    EXPECT_EQ(cancel.Get().status.ok(), status == OrderStatus::kCancelled);
    EXPECT_EQ(complete.Get().status.ok(), status == OrderStatus::kCompleted);
    EXPECT_TRUE(world_.book.taken_slots.empty());
    world_.time.Advance(absl::Seconds(3));
  }
}

// --- Lists.

TEST_F(OrderApiTest, ASlowListHoldsUpNothingElse) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  std::promise<void> read;
  WorkerPool::Task slow = [done = read.get_future().share()] { done.wait(); };
  ASSERT_TRUE(a_.list_workers.Submit(slow));
  std::promise<size_t> listed;
  a_.api.List({}, [&](auto orders) { listed.set_value(orders->size()); });
  std::promise<absl::Status> got;
  a_.api.Get(id, std::nullopt, [&](auto story) { got.set_value(story.status()); });
  EXPECT_TRUE(got.get_future().get().ok());
  EXPECT_TRUE(a_.Cancel(id).Get().status.ok());
  read.set_value();
  EXPECT_EQ(listed.get_future().get(), 1u);
}

// --- With a dispatcher outside.

class RemoteDispatchTest : public ::testing::Test {
 protected:
  explicit RemoteDispatchTest(std::vector<std::string> drivers = {"ann"}) {
    auto dispatch = std::make_unique<testing::FakeDispatch>(std::move(drivers));
    dispatcher_ = dispatch.get();
    replica_.emplace(world_, "a", std::move(dispatch));
  }

  SharedWorld world_;
  testing::FakeDispatch* dispatcher_;
  std::optional<Replica> replica_;
};

TEST_F(RemoteDispatchTest, TellsTheDispatcherOfACompletion) {
  const Uuid id = replica_->Create(Replica::NewOrder("k")).Get().order.id;
  EXPECT_THAT(dispatcher_->assigned(),
              ElementsAre(std::pair<const std::string, std::string>(AssignmentKey(id), "ann")));
  EXPECT_EQ(replica_->Complete(id).Get().order_status(), OrderStatus::kCompleted);
  replica_->Settle();
  EXPECT_TRUE(dispatcher_->assigned().empty());
  EXPECT_TRUE(world_.book.taken_slots.empty());
}

TEST_F(RemoteDispatchTest, ConfirmsAnOrderThatARestartingDispatcherKeptWaiting) {
  dispatcher_->WillMeet(std::deque<Fate>(8, Fate::kUnavailable));  // more than the attempts
  auto call = replica_->Create(Replica::NewOrder("k"));
  world_.time.Advance(absl::Seconds(20));
  replica_->Settle();
  EXPECT_EQ(call.Get().order_status(), OrderStatus::kConfirmed);
}

TEST_F(RemoteDispatchTest, IsCompletedBeforeTheDispatcherIsTold) {
  const Uuid id = replica_->Create(Replica::NewOrder("k")).Get().order.id;
  std::deque<FakePaymentGateway::Task> held;
  dispatcher_->set_defer([&](FakePaymentGateway::Task task) { held.push_back(std::move(task)); });
  EXPECT_EQ(replica_->Complete(id).Get().order_status(), OrderStatus::kCompleted) << "durable, whoever answers or not";
  replica_->Settle();
  EXPECT_EQ(replica_->store.Get(id)->state, saga::State::kClosing);
  EXPECT_TRUE(world_.book.taken_slots.empty()) << "our books free the driver first";
  EXPECT_EQ(replica_->Cancel(id).Get().reason(), "ORDER_NOT_CANCELLABLE");
  EXPECT_EQ(replica_->Complete(id).Get().order_status(), OrderStatus::kCompleted);
  ASSERT_EQ(held.size(), 1u);
  held.front()();
  EXPECT_EQ(replica_->store.Get(id)->state, saga::State::kClosed);
}

TEST_F(RemoteDispatchTest, IsFreedInOurBooksBeforeTheDispatcherIsToldOfACancel) {
  const Uuid id = replica_->Create(Replica::NewOrder("k-1")).Get().order.id;
  std::deque<FakePaymentGateway::Task> held;
  dispatcher_->set_defer([&](FakePaymentGateway::Task task) { held.push_back(std::move(task)); });
  auto cancel = replica_->Cancel(id);
  replica_->Settle();
  EXPECT_TRUE(dispatcher_->assigned().empty()) << "told, and its answer is on the way";
  EXPECT_TRUE(world_.book.taken_slots.empty()) << "our books free the driver first";
  dispatcher_->set_defer(nullptr);
  EXPECT_EQ(replica_->Create(Replica::NewOrder("k-2")).Get().order_status(), OrderStatus::kConfirmed)
      << "the dispatcher gives him away at once";
  ASSERT_EQ(held.size(), 1u);
  held.front()();
  EXPECT_EQ(cancel.Get().order_status(), OrderStatus::kCancelled);
  EXPECT_EQ(world_.book.taken_slots.size(), 1u) << "the other order keeps him";
}

TEST_F(RemoteDispatchTest, TellsTheDispatcherForAsLongAsItTakes) {
  const Uuid id = replica_->Create(Replica::NewOrder("k")).Get().order.id;
  dispatcher_->WillMeet(std::deque<Fate>(20, Fate::kUnavailable));
  EXPECT_EQ(replica_->Complete(id).Get().order_status(), OrderStatus::kCompleted);
  replica_->Settle();
  world_.time.Advance(absl::Minutes(2));
  EXPECT_TRUE(replica_->store.Get(id)->needs_attention);
  EXPECT_EQ(dispatcher_->assigned().size(), 1u);
  world_.time.Advance(absl::Minutes(20));
  EXPECT_EQ(replica_->store.Get(id)->state, saga::State::kClosed);
  EXPECT_TRUE(dispatcher_->assigned().empty());
  EXPECT_THAT(replica_->metrics.ToText(), ::testing::HasSubstr("waybill_sagas_settled_total{outcome=\"completed\"} 1"));
}

TEST_F(RemoteDispatchTest, WhoeverComesNextTellsTheDispatcher) {
  const Uuid id = replica_->Create(Replica::NewOrder("k")).Get().order.id;
  dispatcher_->set_defer([](FakePaymentGateway::Task) {});  // this process dies before it has the answer
  dispatcher_->WillMeet({Fate::kLostBefore});
  EXPECT_EQ(replica_->Complete(id).Get().order_status(), OrderStatus::kCompleted);
  replica_->Settle();
  auto dispatch = std::make_unique<testing::FakeDispatch>(std::vector<std::string>{"ann"});
  testing::FakeDispatch& asked = *dispatch;
  asked.Assign({AssignmentKey(id), id.ToString(), SteadyTime::InfiniteFuture(), ""}, id, domain::Order(), 0,
               [](auto) {});
  ASSERT_EQ(asked.assigned().size(), 1u);
  Replica next(world_, "b", std::move(dispatch));
  world_.time.Advance(absl::Seconds(11));
  EXPECT_EQ(*next.runner.RecoverExpired(false, 10), 1u);
  EXPECT_TRUE(asked.assigned().empty());
  EXPECT_EQ(next.store.Get(id)->state, saga::State::kClosed);
}

TEST_F(RemoteDispatchTest, TurnsTheOrderBackWhenTheDispatchersDriverHoldsAnotherOrder) {
  world_.book.taken_slots[{"ann", 1}] = Uuid();  // as our own books have it
  auto result = replica_->Create(Replica::NewOrder("k")).Get();
  EXPECT_EQ(result.order_status(), OrderStatus::kFailed);
  EXPECT_EQ(result.order.failure.reason, "NO_DRIVER_AVAILABLE");
  EXPECT_TRUE(dispatcher_->assigned().empty()) << "the dispatcher must have its driver back";
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

// --- Reading.

TEST_F(OrderApiTest, TellsAnOrdersStoryFromItsAcceptance) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  std::promise<absl::StatusOr<OrderApi::Story>> answer;
  a_.api.Get(id, std::nullopt, [&](absl::StatusOr<OrderApi::Story> story) { answer.set_value(std::move(story)); });
  auto story = answer.get_future().get();
  ASSERT_TRUE(story.ok());
  std::vector<std::string> lines;
  for (const Transition& line : story->transitions) {
    lines.push_back(std::to_string(line.entry.seq) + " " + line.entry.step + " " + std::string(line.outcome()));
  }
  EXPECT_THAT(lines, ElementsAre("0  accepted", "1 charge_payment succeeded", "2 assign_driver succeeded"));
  EXPECT_EQ(story->transitions.front().status, OrderStatus::kPending);
  EXPECT_EQ(story->transitions.back().status, OrderStatus::kConfirmed);
}

// --- For operators.

class SagaApiTest : public OrderApiTest {
 protected:
  const domain::Actor by_{"console", "k1", "ops"};

  absl::StatusOr<SagaApi::Answer> Retry(const Uuid& id) {
    std::promise<absl::StatusOr<SagaApi::Answer>> answer;
    a_.sagas.Retry(id, by_, SteadyTime::InfiniteFuture(), [&](auto result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
  }
  absl::StatusOr<SagaApi::Answer> Resolve(const Uuid& id) {
    std::promise<absl::StatusOr<SagaApi::Answer>> answer;
    a_.sagas.Resolve(id, by_, "paid back by hand", SteadyTime::InfiniteFuture(),
                     [&](auto result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
  }
  absl::StatusOr<SagaApi::SignalAnswer> Signal(const Uuid& id, saga::Signal signal) {
    std::promise<absl::StatusOr<SagaApi::SignalAnswer>> answer;
    a_.sagas.Signal(id, by_, std::move(signal), [&](auto result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
  }
  static saga::Signal Charge(const std::string& token, saga::Outcome outcome) {
    return {std::string(kChargePayment), saga::Direction::kDo, token, std::move(outcome)};
  }
  template <typename T>
  static std::string ReasonOf(const absl::StatusOr<T>& answer) {
    return GetErrorDetail(answer.status()).reason;
  }
  std::string Signals(const std::string& result) {
    const std::string name = "waybill_saga_signals_total{result=\"" + result + "\"} ";
    const std::string text = a_.metrics.ToText();
    const size_t at = text.find(name);
    return at == std::string::npos ? "none" : text.substr(at + name.size(), text.find('\n', at) - at - name.size());
  }
  // An order whose refund fails for as long as the gateway is down.
  Uuid Stuck() {
    world_.gateway.WillMeet({Fate::kAnswered});
    world_.gateway.set_fate(Fate::kUnavailable);
    auto call = a_.Create(a_.NewOrder("k"));
    Pass(absl::Minutes(3), a_);
    EXPECT_EQ(call.Get().reason(), "ORDER_STILL_RUNNING");
    return world_.book.rows.begin()->first;
  }
};

TEST_F(SagaApiTest, RetriesAtOnceWhatIsBackingOff) {
  const Uuid id = Stuck();
  EXPECT_TRUE(a_.store.Get(id)->needs_attention);
  world_.gateway.set_fate(Fate::kAnswered);
  auto answer = Retry(id);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->saga.header.state, saga::State::kCompensated);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
  EXPECT_EQ(ReasonOf(Retry(id)), "SAGA_FINISHED");
  EXPECT_THAT(world_.audit.deeds(), ElementsAre(domain::Deed{by_, "saga.retry", "saga", id.ToString()}));
}

TEST_F(SagaApiTest, EndsAStuckSagaWithAWrittenReason) {
  const Uuid id = Stuck();
  auto answer = Resolve(id);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->saga.header.state, saga::State::kResolved);
  EXPECT_EQ(answer->log.back().outcome, saga::LogOutcome::kResolved);
  EXPECT_EQ(answer->log.back().detail, "ops: paid back by hand");
  EXPECT_EQ(ReasonOf(Resolve(id)), "SAGA_NOT_STUCK");
  EXPECT_THAT(world_.book.deeds,
              ElementsAre(domain::Deed{by_, "saga.resolve", "saga", id.ToString(), {{"reason", "paid back by hand"}}}));
  EXPECT_EQ(a_.Cancel(id).Get().reason(), "ORDER_NOT_CANCELLABLE");
}

TEST_F(SagaApiTest, DoesNotResolveWhatIsNotStuck) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  EXPECT_EQ(ReasonOf(Resolve(id)), "SAGA_NOT_STUCK");
  EXPECT_EQ(ReasonOf(Retry(Uuid())), "SAGA_NOT_FOUND");
}

TEST_F(SagaApiTest, ASignalWakesWhatWaitsForIt) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.AddWaiting("k", "pi_1", absl::Hours(2));
  EXPECT_TRUE(a_.store.GetSaga(id)->waiting());
  auto answer = Signal(id, Charge("pi_1", saga::Outcome::Unknown("NOBODY_KNOWS", "ada: ticket 812")));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->result, saga::SignalResult::kWoken);
  ASSERT_TRUE(answer->saga.has_value());
  EXPECT_FALSE(answer->saga->saga.waiting()) << "it is driven here";
  EXPECT_EQ(answer->saga->saga.owner, "a/1");
  EXPECT_EQ(answer->saga->log.back().outcome, saga::LogOutcome::kUnknown);
  EXPECT_EQ(answer->saga->log.back().detail, "NOBODY_KNOWS: ada: ticket 812");
  EXPECT_EQ(Signals("woken"), "1");
  Pass(absl::Minutes(1), a_);
  EXPECT_EQ(a_.store.Get(id)->state, saga::State::kSucceeded) << "the charge is tried again";
}

TEST_F(SagaApiTest, TheLogSaysWhoSignalledAlsoWhenTheParticipantIsAsked) {
  world_.PutDrivers({"ann"});
  std::vector<saga::Definition> definitions = a_.kinds.all();
  definitions[0].steps[0].does.signalled = [](saga::Outcome, saga::Record&) { return std::nullopt; };
  a_.kinds = saga::Kinds(std::move(definitions));
  const Uuid id = a_.AddWaiting("k", "pi_1", absl::Hours(2));
  auto answer = Signal(id, Charge("pi_1", saga::Outcome::Rejected("PAYMENT_DECLINED", "ada: ticket 812")));
  ASSERT_TRUE(answer.ok() && answer->saga.has_value()) << answer.status();
  EXPECT_EQ(answer->saga->log.at(1).outcome, saga::LogOutcome::kSignalled);
  EXPECT_EQ(answer->saga->log.at(1).detail, "rejected: PAYMENT_DECLINED: ada: ticket 812");
  Pass(absl::Seconds(1), a_);
  EXPECT_EQ(a_.store.Get(id)->state, saga::State::kSucceeded) << "the gateway knows better";
}

TEST_F(SagaApiTest, ARetryAsksInsteadOfWaiting) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.AddWaiting("k", "pi_1", absl::Hours(2));
  auto answer = Retry(id);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->saga.header.state, saga::State::kSucceeded);
  EXPECT_FALSE(answer->saga.waiting());
  EXPECT_EQ(world_.gateway.NetMinor(), 1250);
}

TEST_F(SagaApiTest, ASignalThatIsNotWaitedForIsKeptAndTheFirstCounts) {
  const Uuid id = Stuck();
  auto answer = Signal(id, Charge("pi_1", saga::Outcome::Succeeded("ada")));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->result, saga::SignalResult::kKept);
  EXPECT_EQ(answer->saga->saga.header.state, saga::State::kCompensating);
  answer = Signal(id, Charge("pi_1", saga::Outcome::Rejected("PAYMENT_DECLINED", "bob")));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->result, saga::SignalResult::kRepeated);
  const saga::Outcome& kept = world_.book.rows.at(id).signals.at("charge_payment/do/pi_1").outcome;
  EXPECT_EQ(kept.kind, saga::Outcome::Kind::kSucceeded);
  EXPECT_EQ(kept.detail, "ada");
  ASSERT_EQ(world_.book.deeds.size(), 1u);
  EXPECT_EQ(world_.book.deeds.front().action, "saga.signal");
  EXPECT_EQ(world_.book.deeds.front().by, by_);
  EXPECT_EQ(Signals("kept"), "1");
  EXPECT_EQ(Signals("repeated"), "1");
}

TEST_F(SagaApiTest, AWordOnAReviewThatIsNotOpenIsKeptNowhere) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.AddWaiting("k", "pi_1", absl::Hours(2));
  auto answer = Signal(id, {std::string(domain::kAssessRisk), saga::Direction::kDo, "review",
                            saga::Outcome::Rejected("RISK_DENIED", "ada")});
  EXPECT_EQ(ReasonOf(answer), "REVIEW_NOT_OPEN");
  EXPECT_TRUE(world_.book.deeds.empty());
  EXPECT_EQ(Signals("unawaited"), "1");
}

TEST_F(SagaApiTest, ASignalToWhatHasEndedIsLate) {
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto answer = Signal(id, Charge("pi_1", saga::Outcome::Succeeded("ada")));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->result, saga::SignalResult::kLate);
  EXPECT_EQ(answer->saga->saga.header.state, saga::State::kCompensated);
  EXPECT_EQ(Signals("late"), "1");
  EXPECT_EQ(ReasonOf(Signal(Uuid(), Charge("pi_1", saga::Outcome::Succeeded("ada")))), "SAGA_NOT_FOUND");
  EXPECT_EQ(ReasonOf(Signal(id, Charge("", saga::Outcome::Succeeded("ada")))), "BAD_REQUEST");
  EXPECT_EQ(Signals("late"), "1") << "what is refused is no signal";
}

TEST_F(SagaApiTest, ARetryThatCannotBeAuditedIsNotMade) {
  const Uuid id = Stuck();
  world_.gateway.set_fate(Fate::kAnswered);
  world_.audit.set_error(absl::UnavailableError("down"));
  EXPECT_EQ(Retry(id).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(a_.store.Get(id)->state, saga::State::kCompensated);
}

TEST_F(SagaApiTest, ASignalIsAnsweredEvenWhenTheSagaCannotBeRead) {
  const Uuid id = a_.AddWaiting("k", "pi_1", absl::Hours(2));
  a_.store.set_error(absl::UnavailableError("down"));
  auto answer = Signal(id, Charge("pi_2", saga::Outcome::Succeeded("ada")));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->result, saga::SignalResult::kKept);
  EXPECT_FALSE(answer->saga.has_value());
}

// --- The audit.

TEST_F(OrderApiTest, WhatIsDoneToAnothersOrderIsAudited) {
  world_.PutDrivers({"ann", "bob"});
  domain::Order order = a_.NewOrder("k");
  order.client = "shop";
  const Uuid cancelled = a_.Create(order).Get().order.id;
  order.idempotency_key = "l";
  const Uuid completed = a_.Create(order).Get().order.id;
  const domain::Actor by{"console", "k1"};
  ASSERT_TRUE(a_.Cancel(cancelled, "a storm", absl::InfiniteDuration(), by).Get().status.ok());
  ASSERT_TRUE(a_.Cancel(cancelled, "again", absl::InfiniteDuration(), by).Get().status.ok()) << "changes nothing";
  ASSERT_TRUE(a_.Complete(completed, absl::InfiniteDuration(), by).Get().status.ok());
  using Detail = std::vector<std::pair<std::string, std::string>>;
  EXPECT_THAT(world_.book.deeds, ElementsAre(domain::Deed{by, "order.cancel", "order", cancelled.ToString(),
                                                          Detail{{"reason", "a storm"}, {"of_client", "shop"}}},
                                             domain::Deed{by, "order.complete", "order", completed.ToString(),
                                                          Detail{{"of_client", "shop"}}}));
}

TEST_F(OrderApiTest, WhatAClientDoesToItsOwnOrderIsInTheOrdersLogAlone) {
  world_.PutDrivers({"ann"});
  domain::Order order = a_.NewOrder("k");
  order.client = "shop";
  const Uuid id = a_.Create(order).Get().order.id;
  ASSERT_TRUE(a_.Cancel(id, "a change of mind", absl::InfiniteDuration(), {"shop", "k2"}).Get().status.ok());
  EXPECT_TRUE(world_.book.deeds.empty());
}

}  // namespace
}  // namespace waybill::order
