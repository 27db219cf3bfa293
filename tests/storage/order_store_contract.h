// What every OrderStore does; run against the fake and against Postgres.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "saga/definition.h"
#include "storage/order_store.h"

namespace waybill::storage {

// An empty store, and a way to put orders there.
class OrderStoreHarness {
 public:
  virtual ~OrderStoreHarness() = default;
  virtual OrderStore& store() = 0;
  virtual absl::Time Now() = 0;  // the store's time, whole microseconds
  // Unfinished ones get the owner "host/1" and a lease for a minute from now, unless they wait.
  virtual void Add(const OrderRecord& order, const std::vector<saga::LogEntry>& log) = 0;
  // As a journal does that is opened with them.
  virtual void RecordDefinitions(const saga::Kinds& kinds) = 0;
  virtual void SetCapacity(const std::string& driver_id, int capacity) = 0;  // 0: off duty
};

class OrderStoreContract : public ::testing::TestWithParam<std::function<std::unique_ptr<OrderStoreHarness>()>> {
 protected:
  // Ids carry the time at which their order was made.
  struct StoryClock final : Clock {
    absl::Time now;
    absl::Time Now() const override { return now; }
    SteadyTime Steady() const override { return {}; }
  };

  OrderStore& store() { return harness_->store(); }

  OrderRecord NewOrder(absl::Duration age, saga::State state = saga::State::kSucceeded,
                       const std::string& user = "ada") {
    clock_.now = now_ - age;
    OrderRecord order;
    order.id = ids_.Next();
    order.state = state;
    order.step = 1;
    order.attempt = 2;
    order.seq = 3;
    order.epoch = 4;
    order.created_at = clock_.now;
    order.updated_at = clock_.now + absl::Milliseconds(5);
    order.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    order.payload.client = "shop";
    order.payload.idempotency_key = order.id.ToString();
    order.payload.fingerprint = std::string(32, '\x7f');
    order.payload.user_id = user;
    order.payload.amount_minor = 1'250;
    order.payload.currency = "EUR";
    if (state != saga::State::kRunning && state != saga::State::kSucceeded && state != saga::State::kClosed) {
      order.failure = {"NO_DRIVER_AVAILABLE", "nobody within 5 km"};
    }
    return order;
  }
  OrderRecord Added(absl::Duration age, saga::State state = saga::State::kSucceeded, const std::string& user = "ada") {
    OrderRecord order = NewOrder(age, state, user);
    harness_->Add(order, {});
    return order;
  }
  std::vector<Uuid> List(const OrderQuery& query) {
    auto found = store().List(query);
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<Uuid> ids;
    if (found.ok()) {
      for (const OrderRecord& order : *found) ids.push_back(order.id);
    }
    return ids;
  }
  std::vector<Uuid> ListSagas(const SagaQuery& query) {
    auto found = store().ListSagas(query);
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<Uuid> ids;
    if (found.ok()) {
      for (const SagaView& saga : *found) ids.push_back(saga.header.id);
    }
    return ids;
  }

  static void ExpectEqual(const saga::Header& a, const saga::Header& b) {
    EXPECT_EQ(a.id, b.id);
    EXPECT_EQ(a.state, b.state);
    EXPECT_EQ(a.step, b.step);
    EXPECT_EQ(a.attempt, b.attempt);
    EXPECT_EQ(a.seq, b.seq);
    EXPECT_EQ(a.epoch, b.epoch);
    EXPECT_EQ(a.needs_attention, b.needs_attention);
    EXPECT_EQ(a.failure.reason, b.failure.reason);
    EXPECT_EQ(a.failure.detail, b.failure.detail);
    EXPECT_EQ(a.traceparent, b.traceparent);
    EXPECT_EQ(a.created_at, b.created_at);
    EXPECT_EQ(a.updated_at, b.updated_at);
    EXPECT_EQ(a.waits_for, b.waits_for);
    if (!a.waits_for.empty()) {
      EXPECT_EQ(a.wakes_at, b.wakes_at);
    }
  }

  std::unique_ptr<OrderStoreHarness> harness_ = GetParam()();
  const absl::Time now_ = harness_->Now();
  StoryClock clock_;
  SeededRandom random_{7};
  IdGenerator ids_{clock_, random_};
  const saga::Kinds kinds_{{saga::Define<domain::Order>().Step("charge_payment").Step("assign_driver").Done()}};
};

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_P(OrderStoreContract, AnOrderOfAnotherClientIsNotThere) {
  OrderRecord mine = NewOrder(absl::Minutes(2)), other = NewOrder(absl::Minutes(1));
  other.payload.client = "other";
  harness_->Add(mine, {});
  harness_->Add(other, {});
  EXPECT_EQ(store().GetOf(mine.id, "shop")->id, mine.id);
  EXPECT_EQ(store().GetOf(mine.id, std::nullopt)->id, mine.id);
  EXPECT_EQ(store().GetOf(mine.id, "other").status(), OrderNotFound(mine.id));
  const Uuid nobodys{};
  EXPECT_EQ(store().GetOf(nobodys, "other").status(), OrderNotFound(nobodys)) << "which cannot be told from it";
  OrderQuery query;
  EXPECT_THAT(List(query), ElementsAre(other.id, mine.id));
  query.owner = "shop";
  EXPECT_THAT(List(query), ElementsAre(mine.id));
  query.owner = "nobody";
  EXPECT_THAT(List(query), IsEmpty());
  query.owner = "";
  EXPECT_THAT(List(query), IsEmpty()) << "not everybody's";
}

TEST_P(OrderStoreContract, ReadsAnOrderWithAllItsParts) {
  OrderRecord order = NewOrder(absl::Minutes(1), saga::State::kCompensating, "user'; DROP TABLE payments; --");
  order.needs_attention = true;
  order.payload.pickup = domain::GeoPoint{52.5219, 13.4132};
  order.payload.metadata = {{"note", "\"quoted\" \\ and {braces}"}, {"ß", "✓"}};
  order.payload.payer = domain::Payer{"card \"1\"", "device-1", "::1", domain::GeoPoint{-0.5, 179.25},
                                      absl::FromUnixMicros(1'700'000'000'123'456)};
  order.payload.charge = domain::Charge{"ch_1", 1'250, order.created_at + absl::Seconds(1)};
  order.payload.refund = domain::Refund{1'000, order.created_at + absl::Seconds(2)};
  order.payload.driver = domain::DriverSlot{"driver-1", 1};
  harness_->Add(order, {});

  auto read = store().Get(order.id);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectEqual(*read, order);
  const domain::Order& payload = read->payload;
  EXPECT_EQ(payload.client, order.payload.client);
  EXPECT_EQ(payload.idempotency_key, order.payload.idempotency_key);
  EXPECT_EQ(payload.fingerprint, order.payload.fingerprint);
  EXPECT_EQ(payload.user_id, order.payload.user_id);
  EXPECT_EQ(payload.amount_minor, 1'250);
  EXPECT_EQ(payload.currency, "EUR");
  EXPECT_EQ(payload.pickup, order.payload.pickup);
  EXPECT_EQ(payload.metadata, order.payload.metadata);
  EXPECT_EQ(payload.payer, order.payload.payer);
  ASSERT_TRUE(payload.charge.has_value());
  EXPECT_EQ(payload.charge->gateway_reference, "ch_1");
  EXPECT_EQ(payload.charge->amount_minor, 1'250);
  EXPECT_EQ(payload.charge->at, order.payload.charge->at);
  ASSERT_TRUE(payload.refund.has_value());
  EXPECT_EQ(payload.refund->amount_minor, 1'000);
  EXPECT_EQ(payload.refund->at, order.payload.refund->at);
  ASSERT_TRUE(payload.driver.has_value());
  EXPECT_EQ(payload.driver->driver_id, "driver-1");
  EXPECT_EQ(payload.driver->slot, 1);
}

TEST_P(OrderStoreContract, ReadsAnOrderThatHasOnlyBegun) {
  OrderRecord order = NewOrder(absl::ZeroDuration(), saga::State::kRunning);
  order.traceparent = "";
  harness_->Add(order, {});
  auto read = store().Get(order.id);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectEqual(*read, order);
  EXPECT_EQ(read->payload.pickup, std::nullopt);
  EXPECT_THAT(read->payload.metadata, IsEmpty());
  EXPECT_FALSE(read->payload.charge.has_value());
  EXPECT_FALSE(read->payload.refund.has_value());
  EXPECT_FALSE(read->payload.driver.has_value());
}

TEST_P(OrderStoreContract, AnOrderThatIsNotThereIsNotFound) {
  auto order = store().Get(Uuid{});
  EXPECT_EQ(order.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorDetail(order.status()).reason, "ORDER_NOT_FOUND");
  auto saga = store().GetSaga(Uuid{});
  EXPECT_EQ(GetErrorDetail(saga.status()).reason, "SAGA_NOT_FOUND");
  auto log = store().Log(Uuid{}, 0);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_THAT(*log, IsEmpty());
}

TEST_P(OrderStoreContract, FindsAnOrderByItsClientsKey) {
  OrderRecord order = NewOrder(absl::Minutes(1));
  order.payload.idempotency_key = "k-1";
  harness_->Add(order, {});
  Added(absl::Minutes(1));
  auto found = store().GetByKey("shop", "k-1");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->id, order.id);
  EXPECT_EQ(found->payload.fingerprint, order.payload.fingerprint);
  for (const auto& [client, key] : {std::pair("kiosk", "k-1"), std::pair("shop", "k-2"), std::pair("", "")}) {
    EXPECT_EQ(GetErrorDetail(store().GetByKey(client, key).status()).reason, "ORDER_NOT_FOUND") << client << key;
  }
}

TEST_P(OrderStoreContract, SaysHowFarManyOrdersHaveCome) {
  using ::testing::Pair;
  using ::testing::UnorderedElementsAre;
  OrderRecord early = NewOrder(absl::Minutes(2));
  early.seq = 1;
  harness_->Add(early, {});
  const OrderRecord late = Added(absl::Minutes(1));
  Added(absl::Minutes(1));
  auto found = store().LastSequences({late.id, Uuid(), early.id, late.id});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, UnorderedElementsAre(Pair(early.id, 1), Pair(late.id, 3)));
  EXPECT_THAT(*store().LastSequences({}), IsEmpty());
  EXPECT_THAT(*store().RefundChanges({late.id, early.id}), IsEmpty());  // none had one
}

TEST_P(OrderStoreContract, ReadsTheLogFromASequence) {
  OrderRecord order = NewOrder(absl::ZeroDuration());
  std::vector<saga::LogEntry> log;
  for (int i = 1; i <= 3; ++i) {
    saga::LogEntry entry;
    entry.seq = i;
    entry.step = i == 3 ? "" : "charge_payment";
    entry.attempt = i;
    entry.outcome = i == 1   ? saga::LogOutcome::kUnknown
                    : i == 2 ? saga::LogOutcome::kSucceeded
                             : saga::LogOutcome::kClosed;
    entry.state = i == 3 ? saga::State::kClosed : saga::State::kRunning;
    entry.detail = i == 1 ? "deadline exceeded" : "";
    entry.at = now_ + absl::Seconds(i);
    log.push_back(entry);
  }
  harness_->Add(order, log);
  auto read = store().Log(order.id, 0);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(*read, SizeIs(3));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*read)[i].seq, log[i].seq);
    EXPECT_EQ((*read)[i].step, log[i].step);
    EXPECT_EQ((*read)[i].attempt, log[i].attempt);
    EXPECT_EQ((*read)[i].outcome, log[i].outcome);
    EXPECT_EQ((*read)[i].state, log[i].state);
    EXPECT_EQ((*read)[i].detail, log[i].detail);
    EXPECT_EQ((*read)[i].at, log[i].at);
  }
  read = store().Log(order.id, 3);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, SizeIs(1));
}

TEST_P(OrderStoreContract, ListsNewestFirstInPagesWithoutLossOrRepetition) {
  std::vector<Uuid> expected;
  for (int i = 0; i < 25; ++i)
    expected.push_back(Added(absl::Minutes(60 - i), saga::State::kClosed, i % 2 ? "ada" : "bob").id);
  std::reverse(expected.begin(), expected.end());
  std::vector<Uuid> seen;
  OrderQuery query;
  query.limit = 10;
  for (int page = 0; page < 4; ++page) {
    std::vector<Uuid> ids = List(query);
    EXPECT_EQ(ids.size(), page < 2 ? 10u : page == 2 ? 5u : 0u);
    seen.insert(seen.end(), ids.begin(), ids.end());
    if (!ids.empty()) query.before = ids.back();
    Added(absl::ZeroDuration());  // newer ones do not shift the pages
  }
  EXPECT_EQ(seen, expected);
}

TEST_P(OrderStoreContract, FiltersByUser) {
  Uuid first = Added(absl::Minutes(3), saga::State::kClosed, "ada").id;
  Added(absl::Minutes(2), saga::State::kClosed, "bob");
  Uuid second = Added(absl::Minutes(1), saga::State::kRunning, "ada").id;
  OrderQuery query;
  query.user_id = "ada";
  EXPECT_THAT(List(query), ElementsAre(second, first));
  query.before = second;
  EXPECT_THAT(List(query), ElementsAre(first));
  query.user_id = "nobody";
  EXPECT_THAT(List(query), IsEmpty());
}

TEST_P(OrderStoreContract, FiltersByTimeFromInclusiveToExclusive) {
  std::vector<OrderRecord> orders;
  for (int i = 0; i < 4; ++i) orders.push_back(Added(absl::Hours(4 - i)));
  OrderQuery query;
  query.created_from = orders[1].created_at;
  query.created_to = orders[3].created_at;
  EXPECT_THAT(List(query), ElementsAre(orders[2].id, orders[1].id));
  query.created_from += absl::Microseconds(1);
  query.created_to += absl::Microseconds(1);
  EXPECT_THAT(List(query), ElementsAre(orders[3].id, orders[2].id));
  query.created_from = absl::InfinitePast();
  query.created_to = absl::FromUnixSeconds(-1);
  EXPECT_THAT(List(query), IsEmpty());
  query.created_from = query.created_to;
  query.created_to = absl::FromUnixSeconds(int64_t{1} << 40);
  EXPECT_THAT(List(query), SizeIs(4));
}

TEST_P(OrderStoreContract, TheIdsTimeMayDifferALittleFromTheOrders) {
  OrderRecord order = NewOrder(absl::Hours(1));
  order.created_at += absl::Seconds(20);
  harness_->Add(order, {});
  OrderQuery query;
  query.created_from = order.created_at;
  query.created_to = order.created_at + absl::Microseconds(1);
  EXPECT_THAT(List(query), ElementsAre(order.id));
}

TEST_P(OrderStoreContract, FiltersByStatus) {
  Uuid running = Added(absl::Minutes(6), saga::State::kRunning).id;
  Uuid succeeded = Added(absl::Minutes(5), saga::State::kSucceeded).id;
  Uuid compensating = Added(absl::Minutes(4), saga::State::kCompensating).id;
  Uuid failed = Added(absl::Minutes(3), saga::State::kCompensated).id;
  OrderRecord order = NewOrder(absl::Minutes(2), saga::State::kCompensated);
  order.failure = {std::string(kCancelledReason), ""};
  harness_->Add(order, {});
  Uuid cancelled = order.id;

  OrderQuery query;
  query.statuses = {{saga::State::kRunning, std::nullopt}};
  EXPECT_THAT(List(query), ElementsAre(running));
  query.statuses = {{saga::State::kRunning, std::nullopt}, {saga::State::kCompensating, true}};
  EXPECT_THAT(List(query), ElementsAre(compensating, running));
  query.statuses = {{saga::State::kCompensated, std::nullopt}};
  EXPECT_THAT(List(query), ElementsAre(cancelled, failed));
  query.statuses = {{saga::State::kCompensated, true}};
  EXPECT_THAT(List(query), ElementsAre(cancelled));
  query.statuses = {{saga::State::kCompensated, false}, {saga::State::kSucceeded, std::nullopt}};
  EXPECT_THAT(List(query), ElementsAre(failed, succeeded));
  query.statuses = {{saga::State::kResolved, std::nullopt}};
  EXPECT_THAT(List(query), IsEmpty());
}

TEST_P(OrderStoreContract, FiltersByWhatIsWaitedFor) {
  Added(absl::Minutes(6), saga::State::kRunning);
  std::vector<Uuid> ids;
  for (const char* waits_for : {"charge_payment/do/pi_1", "assess_risk/do/review"}) {
    OrderRecord order = NewOrder(absl::Minutes(5), saga::State::kRunning);
    order.waits_for = waits_for;
    order.wakes_at = now_ + absl::Hours(1);
    harness_->Add(order, {});
    ids.push_back(order.id);
  }
  OrderQuery query;
  query.statuses = {{.state = saga::State::kRunning, .waiting = true, .review = true}};
  EXPECT_THAT(List(query), ElementsAre(ids[1]));
  query.statuses = {{.state = saga::State::kRunning, .waiting = true, .review = false}};
  EXPECT_THAT(List(query), ElementsAre(ids[0]));
}

TEST_P(OrderStoreContract, ListsWhatIsInReview) {
  Added(absl::Minutes(6), saga::State::kRunning);
  std::vector<Uuid> ids;
  for (const char* waits_for :
       {"assess_risk/do/review", "assess_risk/undo/review", "charge_payment/do/pi_1", "assess_risk/do/review"}) {
    const bool undoing = waits_for == std::string("assess_risk/undo/review");
    OrderRecord order = NewOrder(absl::Minutes(5), undoing ? saga::State::kCompensating : saga::State::kRunning);
    if (undoing) order.failure.reason = saga::kCancelledReason;
    order.waits_for = waits_for;
    order.wakes_at = now_ + absl::Hours(1);
    harness_->Add(order, {});
    EXPECT_EQ(IsInReview(order), waits_for == std::string("assess_risk/do/review"));
    ids.push_back(order.id);
  }
  using ::testing::IsEmpty;
  const Uuid older = std::min(ids[0], ids[3]), newer = std::max(ids[0], ids[3]);
  EXPECT_THAT(*store().InReview(std::nullopt, 9), ElementsAre(newer, older)) << "the newest first";
  EXPECT_THAT(*store().InReview(std::nullopt, 1), ElementsAre(newer));
  EXPECT_THAT(*store().InReview(newer, 9), ElementsAre(older));
  EXPECT_THAT(*store().InReview(older, 9), IsEmpty());
}

TEST_P(OrderStoreContract, FiltersAreConjunctive) {
  Uuid wanted = Added(absl::Minutes(30), saga::State::kSucceeded, "ada").id;
  Added(absl::Minutes(30), saga::State::kSucceeded, "bob");
  Added(absl::Minutes(30), saga::State::kClosed, "ada");
  Added(absl::Minutes(90), saga::State::kSucceeded, "ada");
  OrderQuery query;
  query.user_id = "ada";
  query.statuses = {{saga::State::kSucceeded, std::nullopt}};
  query.created_from = now_ - absl::Minutes(60);
  EXPECT_THAT(List(query), ElementsAre(wanted));
}

TEST_P(OrderStoreContract, ListsSagasOldestFirstByStateAgeAndAttention) {
  Uuid old_running = Added(absl::Hours(3), saga::State::kRunning).id;
  OrderRecord stuck = NewOrder(absl::Hours(2), saga::State::kCompensating);
  stuck.needs_attention = true;
  harness_->Add(stuck, {});
  Uuid closed = Added(absl::Hours(1), saga::State::kClosed).id;
  Uuid young = Added(absl::Minutes(1), saga::State::kRunning).id;

  SagaQuery query;
  EXPECT_THAT(ListSagas(query), ElementsAre(old_running, stuck.id, closed, young));
  query.limit = 2;
  EXPECT_THAT(ListSagas(query), ElementsAre(old_running, stuck.id));
  query.after = stuck.id;
  EXPECT_THAT(ListSagas(query), ElementsAre(closed, young));
  query = {};
  query.states = {saga::State::kRunning};
  EXPECT_THAT(ListSagas(query), ElementsAre(old_running, young));
  query.min_age = absl::Minutes(30);
  EXPECT_THAT(ListSagas(query), ElementsAre(old_running));
  query = {};
  query.states = {saga::State::kClosed, saga::State::kCompensating};
  EXPECT_THAT(ListSagas(query), ElementsAre(stuck.id, closed));
  query = {};
  query.needs_attention = true;
  EXPECT_THAT(ListSagas(query), ElementsAre(stuck.id));
}

TEST_P(OrderStoreContract, ASagaShowsItsLease) {
  OrderRecord running = Added(absl::Minutes(1), saga::State::kRunning);
  auto view = store().GetSaga(running.id);
  ASSERT_TRUE(view.ok()) << view.status();
  ExpectEqual(view->header, running);
  EXPECT_EQ(view->owner, "host/1");
  ASSERT_TRUE(view->lease_until.has_value());
  EXPECT_GT(*view->lease_until, now_);
  view = store().GetSaga(Added(absl::Minutes(1), saga::State::kClosed).id);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_FALSE(view->lease_until.has_value());
}

TEST_P(OrderStoreContract, ASagaThatWaitsHasNoLeaseAndIsListedApart) {
  const Uuid running = Added(absl::Minutes(3), saga::State::kRunning).id;
  OrderRecord waiting = NewOrder(absl::Minutes(2), saga::State::kRunning);
  waiting.waits_for = "charge_payment/do/pi_1";
  waiting.wakes_at = now_ + absl::Hours(2);
  harness_->Add(waiting, {});
  Added(absl::Minutes(1), saga::State::kClosed);

  auto view = store().GetSaga(waiting.id);
  ASSERT_TRUE(view.ok()) << view.status();
  ExpectEqual(view->header, waiting);
  EXPECT_TRUE(view->waiting());
  EXPECT_FALSE(view->lease_until.has_value());
  EXPECT_FALSE(store().GetSaga(running)->waiting());
  SagaQuery query;
  query.waiting = true;
  EXPECT_THAT(ListSagas(query), ElementsAre(waiting.id));
  query.states = {saga::State::kRunning, saga::State::kClosing, saga::State::kCompensating};
  EXPECT_THAT(ListSagas(query), ElementsAre(waiting.id));
  query.waiting = false;
  EXPECT_THAT(ListSagas(query), ElementsAre(running, waiting.id));
  query = {};
  query.waiting = true;
  query.states = {saga::State::kClosed};
  EXPECT_THAT(ListSagas(query), IsEmpty());
}

TEST_P(OrderStoreContract, NamesTheKindTheVersionAndTheStepOfASaga) {
  OrderRecord order = NewOrder(absl::Hours(1));
  order.step = 1;
  harness_->Add(order, {});
  auto saga = store().GetSaga(order.id);
  ASSERT_TRUE(saga.ok()) << saga.status();
  EXPECT_EQ(saga->step_name, "") << "nobody has written down what the steps are";
  harness_->RecordDefinitions(kinds_);
  saga = store().GetSaga(order.id);
  ASSERT_TRUE(saga.ok()) << saga.status();
  EXPECT_EQ(saga->step_name, "assign_driver");
  EXPECT_EQ(saga->header.kind, domain::Order::kKind);
  EXPECT_EQ(saga->header.version, 1);
  SagaQuery query;
  query.kind = std::string(domain::Order::kKind);
  EXPECT_THAT(ListSagas(query), ElementsAre(order.id));
  query.kind = "book_trip";
  EXPECT_THAT(ListSagas(query), IsEmpty());
}

TEST_P(OrderStoreContract, CountsWhatIsDrivenElsewhere) {
  Added(absl::Hours(1), saga::State::kRunning);
  Added(absl::Hours(1), saga::State::kClosed);
  EXPECT_EQ(store().Unfinished(kinds_)->not_driven_here, 0);
  EXPECT_EQ(store().Unfinished(saga::Kinds({}))->not_driven_here, 1);
  const saga::Kinds newer({saga::Define<domain::Order>().Version(2).Step("charge_payment").Done()});
  EXPECT_EQ(store().Unfinished(newer)->not_driven_here, 1);
}

TEST_P(OrderStoreContract, CountsWhatIsUnfinished) {
  auto stats = store().Unfinished(kinds_);
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->running + stats->compensating + stats->needing_attention, 0);
  EXPECT_EQ(stats->oldest_age, absl::ZeroDuration());

  Added(absl::Hours(9), saga::State::kClosed);
  Added(absl::Hours(2), saga::State::kRunning);
  Added(absl::Minutes(1), saga::State::kRunning);
  OrderRecord stuck = NewOrder(absl::Hours(1), saga::State::kCompensating);
  stuck.needs_attention = true;
  harness_->Add(stuck, {});
  stats = store().Unfinished(kinds_);
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->running, 2);
  EXPECT_EQ(stats->compensating, 1);
  EXPECT_EQ(stats->needing_attention, 1);
  EXPECT_GE(stats->oldest_age, absl::Hours(2));
  EXPECT_LT(stats->oldest_age, absl::Hours(2) + absl::Minutes(5));

  // One that has waited is no older than what it does since.
  OrderRecord woken = NewOrder(absl::Hours(8), saga::State::kRunning);
  woken.seq = 2;
  std::vector<saga::LogEntry> log(2);
  log[0] = {1, "charge_payment", 1, saga::LogOutcome::kWaiting, saga::State::kRunning, "", now_ - absl::Hours(7)};
  log[1] = {2, "charge_payment", 1, saga::LogOutcome::kSignalled, saga::State::kRunning, "", now_ - absl::Hours(3)};
  harness_->Add(woken, log);
  OrderRecord taken_up = NewOrder(absl::Hours(8), saga::State::kRunning);
  taken_up.seq = 1;
  log.pop_back();
  harness_->Add(taken_up, log);
  stats = store().Unfinished(kinds_);
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->running, 4);
  EXPECT_GE(stats->oldest_age, absl::Hours(3));
  EXPECT_LT(stats->oldest_age, absl::Hours(3) + absl::Minutes(5));
}

TEST_P(OrderStoreContract, KnowsTheTakenSlots) {
  EXPECT_THAT(*store().TakenSlots(), IsEmpty());
  OrderRecord held = NewOrder(absl::Minutes(1));
  held.payload.driver = domain::DriverSlot{"driver-1", 1};
  harness_->Add(held, {});
  Added(absl::Minutes(1));
  auto slots = store().TakenSlots();
  ASSERT_TRUE(slots.ok()) << slots.status();
  ASSERT_THAT(*slots, SizeIs(1));
  EXPECT_EQ((*slots)[0].driver_id, "driver-1");
  EXPECT_EQ((*slots)[0].slot, 1);
}

TEST_P(OrderStoreContract, TellsCapacitiesOtherThanOne) {
  using ::testing::AllOf;
  using ::testing::Field;
  harness_->SetCapacity("van", 8);
  harness_->SetCapacity("van", 12);
  harness_->SetCapacity("bike", 3);
  harness_->SetCapacity("bike", 1);
  harness_->SetCapacity("off duty", 0);
  auto capacities = store().Capacities();
  ASSERT_TRUE(capacities.ok()) << capacities.status();
  auto is = [](const char* driver_id, int capacity) {
    return AllOf(Field(&domain::DriverSlot::driver_id, driver_id), Field(&domain::DriverSlot::slot, capacity));
  };
  EXPECT_THAT(*capacities, ::testing::UnorderedElementsAre(is("van", 12), is("off duty", 0)));
}

TEST_P(OrderStoreContract, TellsWhatDriversMayHoldAndHold) {
  using ::testing::ElementsAre;
  harness_->SetCapacity("driver-1", 8);
  auto loads = store().Loads({"driver-1"});
  ASSERT_TRUE(loads.ok()) << loads.status();
  ASSERT_EQ(loads->size(), 1u);
  EXPECT_EQ((*loads)[0].capacity, 8);
  EXPECT_TRUE((*loads)[0].taken.empty());
  for (const domain::DriverSlot& slot :
       {domain::DriverSlot{"driver-1", 1}, domain::DriverSlot{"driver-1", 3}, domain::DriverSlot{"driver-2", 1}}) {
    OrderRecord held = NewOrder(absl::Minutes(1));
    held.payload.driver = slot;
    harness_->Add(held, {});
  }
  loads = store().Loads({"nobody", "driver-2", "driver-1", "driver-2"});
  ASSERT_TRUE(loads.ok()) << loads.status();
  ASSERT_EQ(loads->size(), 4u);
  EXPECT_EQ((*loads)[0].capacity, 1);
  EXPECT_TRUE((*loads)[0].taken.empty());
  EXPECT_EQ((*loads)[1].capacity, 1);
  EXPECT_THAT((*loads)[1].taken, ElementsAre(1));
  EXPECT_EQ((*loads)[2].capacity, 8);
  EXPECT_THAT((*loads)[2].taken, ::testing::UnorderedElementsAre(1, 3));
  EXPECT_THAT((*loads)[3].taken, ElementsAre(1));
  harness_->SetCapacity("driver-2", 0);
  harness_->SetCapacity("driver-3", 0);
  loads = store().Loads({"driver-2", "driver-3"});
  ASSERT_TRUE(loads.ok()) << loads.status();
  EXPECT_EQ((*loads)[0].capacity, 0);
  EXPECT_THAT((*loads)[0].taken, ElementsAre(1)) << "what he holds stays his";
  EXPECT_EQ((*loads)[1].capacity, 0);
  EXPECT_THAT((*loads)[1].taken, IsEmpty());
  EXPECT_THAT(*store().TakenSlots(), SizeIs(3)) << "off duty is no order";
  loads = store().Loads({});
  ASSERT_TRUE(loads.ok()) << loads.status();
  EXPECT_TRUE(loads->empty());
}

TEST_P(OrderStoreContract, Answers) { EXPECT_TRUE(store().Ping().ok()); }

}  // namespace waybill::storage
