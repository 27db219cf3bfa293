// What every journal of orders has to do; run against the one in memory and the one in Postgres. A World opens journals
// (processes) on one book, lets a test stand in their gaps (`in_gap`), and can make every lease run out.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/driver.h"
#include "domain/geo.h"
#include "domain/order.h"
#include "domain/partial_refund.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "saga/journal.h"
#include "storage/order_record.h"

namespace waybill::storage {

// What a journal of orders answers, as orders.
inline absl::StatusOr<OrderRecord> AsOrder(const absl::StatusOr<std::unique_ptr<saga::Record>>& record) {
  if (!record.ok()) return record.status();
  return saga::As<domain::Order>(**record);
}
inline absl::StatusOr<std::optional<OrderRecord>> AsExisting(
    const absl::StatusOr<std::unique_ptr<saga::Record>>& existing) {
  if (!existing.ok()) return existing.status();
  return *existing == nullptr ? std::nullopt : std::optional(saga::As<domain::Order>(**existing));
}
inline absl::StatusOr<std::vector<OrderRecord>> AsOrders(
    const absl::StatusOr<std::vector<std::unique_ptr<saga::Record>>>& records) {
  if (!records.ok()) return records.status();
  std::vector<OrderRecord> orders;
  for (const auto& record : *records) orders.push_back(saga::As<domain::Order>(*record));
  return orders;
}

template <typename World>
class JournalContract : public ::testing::Test {
 protected:
  OrderRecord NewOrder(const std::string& key) {
    OrderRecord record;
    record.id = ids_.Next();
    record.created_at = record.updated_at = absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now()));
    record.payload.client = "shop";
    record.payload.idempotency_key = key;
    record.payload.fingerprint = std::string(32, '\x7f');
    record.payload.user_id = "user'; DROP TABLE payments; --";
    record.payload.amount_minor = 1250;
    record.payload.currency = "EUR";
    record.payload.pickup = domain::GeoPoint{52.5, 13.4};
    record.payload.metadata = {{"note", "\"quoted\" \\ and {braces}, NULL"}};
    record.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    return record;
  }

  absl::StatusOr<std::optional<OrderRecord>> Begin(saga::Journal& journal, const OrderRecord& record) {
    std::promise<absl::StatusOr<std::optional<OrderRecord>>> answer;
    journal.Begin(record, [&](auto existing) { answer.set_value(AsExisting(existing)); });
    return answer.get_future().get();
  }

  absl::StatusOr<saga::WriteResult> Advance(saga::Journal& journal, const OrderRecord& record,
                                            std::vector<saga::LogEntry> log, int64_t expected_seq) {
    std::promise<absl::StatusOr<saga::WriteResult>> answer;
    saga::Write write{&record, log, expected_seq, record.waits_for.empty() ? nullptr : &signal_, acts_on_};
    signal_.reset();
    journal.Advance(write, [&](auto result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
  }

  // The write by which a charge is answered Later. `record` is an order's first.
  saga::WriteResult Wait(saga::Journal& journal, OrderRecord record, const std::string& token = "t-1") {
    std::vector<saga::LogEntry> log = {Entry(record, "charge_payment", saga::LogOutcome::kWaiting)};
    record.waits_for = saga::WaitName("charge_payment", saga::Direction::kDo, token);
    record.wakes_at = kMuchLater;
    return *Advance(journal, record, log, 0);
  }
  absl::StatusOr<saga::SignalResult> Say(saga::Journal& journal, const Uuid& id, saga::Outcome outcome,
                                         const std::string& token = "t-1") {
    return journal.AddSignal(id, {"charge_payment", saga::Direction::kDo, token, std::move(outcome)});
  }

  // The write that ends a happy order: charged, and given the driver.
  std::pair<OrderRecord, std::vector<saga::LogEntry>> Finish(OrderRecord record, const std::string& driver) {
    std::vector<saga::LogEntry> log = {Entry(record, "charge_payment", saga::LogOutcome::kSucceeded),
                                       Entry(record, "assign_driver", saga::LogOutcome::kSucceeded)};
    record.state = saga::State::kSucceeded;
    record.step = 1;
    for (auto& entry : log) entry.state = record.state;
    record.payload.charge = domain::Charge{"ref-1", record.payload.amount_minor, record.created_at};
    record.payload.driver = domain::DriverSlot{driver, 1};
    record.payload.effects.charged = true;
    record.payload.effects.claimed = true;
    return {record, log};
  }

  saga::LogEntry Entry(OrderRecord& record, std::string step, saga::LogOutcome outcome) {
    saga::LogEntry entry;
    entry.seq = ++record.seq;
    entry.step = std::move(step);
    entry.attempt = 1;
    entry.outcome = outcome;
    entry.state = record.state;
    entry.at = record.created_at;
    return entry;
  }

  OrderRecord Started(saga::Journal& journal, const std::string& key) {
    OrderRecord record = NewOrder(key);
    auto begun = Begin(journal, record);
    EXPECT_TRUE(begun.ok() && !begun->has_value()) << begun.status();
    return record;
  }

  // The write that ends a finished order for good.
  std::pair<OrderRecord, std::vector<saga::LogEntry>> Close(OrderRecord record) {
    record.state = saga::State::kClosed;
    record.payload.effects = {};
    std::vector<saga::LogEntry> log = {Entry(record, "", saga::LogOutcome::kClosed)};
    return {record, log};
  }

  // The write that turns a finished order back. As many entries as in Close.
  std::pair<OrderRecord, std::vector<saga::LogEntry>> TurnBack(OrderRecord record) {
    record.state = saga::State::kCompensating;
    record.failure = {"CANCELLED", ""};
    record.payload.effects = {};
    std::vector<saga::LogEntry> log = {Entry(record, "", saga::LogOutcome::kCancelled)};
    return {record, log};
  }

  OrderRecord Finished(saga::Journal& journal, const std::string& key) {
    auto [finished, log] = Finish(Started(journal, key), "driver-of-" + key);
    EXPECT_EQ(*Advance(journal, finished, log, 0), saga::WriteResult::kApplied);
    finished.payload.effects = {};
    return finished;
  }

  // What becomes of a new order that is given this slot.
  saga::WriteResult Claim(saga::Journal& journal, const std::string& key, const domain::DriverSlot& slot) {
    auto [finished, log] = Finish(Started(journal, key), slot.driver_id);
    finished.payload.driver = slot;
    return *Advance(journal, finished, log, 0);
  }
  // An order that holds the slot.
  OrderRecord Holding(saga::Journal& journal, const std::string& key, const domain::DriverSlot& slot) {
    auto [finished, log] = Finish(Started(journal, key), slot.driver_id);
    finished.payload.driver = slot;
    EXPECT_EQ(*Advance(journal, finished, log, 0), saga::WriteResult::kApplied);
    return finished;
  }
  void GiveBack(saga::Journal& journal, const OrderRecord& order) {
    auto [closed, log] = Close(order);
    closed.payload.effects.released = true;
    closed.payload.driver.reset();
    EXPECT_EQ(*Advance(journal, closed, log, 2), saga::WriteResult::kApplied);
  }

  // Does something the next time a journal is in that gap. `lost`: the answer to what it just did never comes.
  void Once(saga::Gap wanted, std::function<void()> meanwhile, bool lost = false) {
    gap_met_ = false;
    world_.in_gap = [this, wanted, meanwhile = std::move(meanwhile), lost](saga::Gap gap) {
      if (gap != wanted || gap_met_) return absl::OkStatus();
      gap_met_ = true;
      meanwhile();
      return lost ? absl::UnavailableError("the connection broke") : absl::OkStatus();
    };
  }
  void TearDown() override { EXPECT_TRUE(gap_met_) << "no journal came to the gap that the test stood in"; }

  const absl::Time kMuchLater = absl::FromUnixSeconds(4'000'000'000);

  World world_;
  int64_t acts_on_ = 0;                     // the signal that writes act on
  std::optional<saga::KeptSignal> signal_;  // what the newest write that waits was told
  std::atomic<bool> gap_met_ = true;
  SystemClock clock_;
  SeededRandom random_{EntropySeed()};
  IdGenerator ids_{clock_, random_};
};

TYPED_TEST_SUITE_P(JournalContract);

TYPED_TEST_P(JournalContract, KeepsWhatWasBegun) {
  auto& journal = this->world_.Open("a", "1");
  OrderRecord record = this->Started(journal, "key");
  auto loaded = AsOrder(journal.Load(record.id));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->state, saga::State::kRunning);
  EXPECT_EQ(loaded->epoch, 1);
  EXPECT_EQ(loaded->seq, 0);
  EXPECT_EQ(loaded->traceparent, record.traceparent);
  EXPECT_EQ(loaded->created_at, record.created_at);
  EXPECT_EQ(loaded->payload.user_id, record.payload.user_id);
  EXPECT_EQ(loaded->payload.fingerprint, record.payload.fingerprint);
  EXPECT_EQ(loaded->payload.amount_minor, 1250);
  EXPECT_EQ(loaded->payload.metadata, record.payload.metadata);
  EXPECT_EQ(loaded->payload.pickup, record.payload.pickup);
}

TYPED_TEST_P(JournalContract, AnswersTheHolderOfTheKey) {
  auto& journal = this->world_.Open("a", "1");
  OrderRecord first = this->Started(journal, "key");
  OrderRecord second = this->NewOrder("key");
  auto begun = this->Begin(journal, second);
  ASSERT_TRUE(begun.ok() && begun->has_value()) << begun.status();
  EXPECT_EQ((*begun)->id, first.id);
  EXPECT_EQ(AsOrder(journal.Load(second.id)).status().code(), absl::StatusCode::kNotFound) << "nothing was written";
  OrderRecord other = this->NewOrder("key");
  other.payload.client = "another shop";
  begun = this->Begin(journal, other);
  EXPECT_TRUE(begun.ok() && !begun->has_value()) << "keys are scoped by client";
}

TYPED_TEST_P(JournalContract, BeginningTheSameRecordAgainIsHarmless) {
  auto& journal = this->world_.Open("a", "1");
  OrderRecord record = this->Started(journal, "key");
  auto again = this->Begin(journal, record);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(!again->has_value() || (*again)->id == record.id);
}

TYPED_TEST_P(JournalContract, ConcurrentDuplicatesBecomeOneOrder) {
  auto& journal = this->world_.Open("a", "1");
  std::vector<OrderRecord> records;
  for (int i = 0; i < 64; ++i) records.push_back(this->NewOrder("key"));
  std::vector<std::promise<absl::StatusOr<std::optional<OrderRecord>>>> answers(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    journal.Begin(records[i], [&answers, i](auto existing) { answers[i].set_value(AsExisting(existing)); });
  }
  int started = 0;
  std::optional<Uuid> winner;
  for (size_t i = 0; i < records.size(); ++i) {
    auto begun = answers[i].get_future().get();
    ASSERT_TRUE(begun.ok()) << begun.status();
    Uuid id = begun->has_value() ? (*begun)->id : records[i].id;
    started += !begun->has_value();
    if (!winner) winner = id;
    EXPECT_EQ(id, *winner);
  }
  EXPECT_EQ(started, 1);
}

TYPED_TEST_P(JournalContract, BooksEffectsWithTheHeader) {
  auto& journal = this->world_.Open("a", "1");
  OrderRecord record = this->Started(journal, "key");
  auto [finished, log] = this->Finish(record, "driver-1");
  auto written = this->Advance(journal, finished, log, 0);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*written, saga::WriteResult::kApplied);
  auto loaded = AsOrder(journal.Load(record.id));
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->state, saga::State::kSucceeded);
  EXPECT_EQ(loaded->seq, 2);
  ASSERT_TRUE(loaded->payload.charge.has_value());
  EXPECT_EQ(loaded->payload.charge->amount_minor, 1250);
  ASSERT_TRUE(loaded->payload.driver.has_value());
  EXPECT_EQ(loaded->payload.driver->driver_id, "driver-1");
  auto kept = journal.LoadLog(record.id, 0);
  ASSERT_TRUE(kept.ok());
  ASSERT_EQ(kept->size(), 2u);
  EXPECT_EQ((*kept)[1].step, "assign_driver");
  EXPECT_EQ(journal.LoadLog(record.id, 2)->size(), 1u);
}

TYPED_TEST_P(JournalContract, AWriteWhoseAnswerWasLostIsAppliedOnce) {
  auto& journal = this->world_.Open("a", "1");
  auto [finished, log] = this->Finish(this->Started(journal, "key"), "driver-1");
  this->Once(
      saga::Gap::kAfterAdvance, [] {}, true);
  EXPECT_EQ(*this->Advance(journal, finished, log, 0), saga::WriteResult::kApplied);
  EXPECT_EQ(journal.LoadLog(finished.id, 0)->size(), 2u);
}

TYPED_TEST_P(JournalContract, AWriteWhoseAnswerWasLostIsFencedOnceItIsTakenOver) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord order = this->Started(a, "key");
  auto [finished, log] = this->Finish(order, "driver-1");
  this->Once(
      saga::Gap::kAfterAdvance, [&] { EXPECT_TRUE(AsOrder(b.Claim(order.id, saga::ClaimMode::kTakeOver)).ok()); },
      true);
  EXPECT_EQ(*this->Advance(a, finished, log, 0), saga::WriteResult::kFenced);
  EXPECT_EQ(a.LoadLog(order.id, 0)->size(), 2u);
}

TYPED_TEST_P(JournalContract, AnothersWriteIsNotTakenForOnesOwn) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord order = this->Finished(a, "key");
  auto [closed, closing] = this->Close(order);
  auto [turned, turning] = this->TurnBack(order);
  // Under one epoch and to one sequence, which no two claims can have.
  EXPECT_EQ(*this->Advance(a, closed, closing, 2), saga::WriteResult::kApplied);
  EXPECT_EQ(*this->Advance(b, turned, turning, 2), saga::WriteResult::kFenced);
  EXPECT_EQ(*this->Advance(a, closed, closing, 2), saga::WriteResult::kFenced) << "the same again is another write";
  EXPECT_EQ(AsOrder(a.Load(order.id))->state, saga::State::kClosed);
  EXPECT_EQ(a.LoadLog(order.id, 0)->size(), 3u);
}

TYPED_TEST_P(JournalContract, ALostClaimThatIsTakenOverBeforeItIsLookedUpIsFenced) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  auto [first, first_log] = this->Finish(this->Started(a, "key-1"), "driver-1");
  OrderRecord order = this->Started(a, "key-2");
  auto [second, second_log] = this->Finish(order, "driver-1");
  ASSERT_EQ(*this->Advance(a, first, first_log, 0), saga::WriteResult::kApplied);
  this->Once(saga::Gap::kAfterAdvance,
             [&] { EXPECT_TRUE(AsOrder(b.Claim(order.id, saga::ClaimMode::kTakeOver)).ok()); });
  EXPECT_EQ(*this->Advance(a, second, second_log, 0), saga::WriteResult::kFenced);
}

TYPED_TEST_P(JournalContract, AFencedWriteIsNotTakenForWhatTheNewOwnerWrites) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord order = this->Finished(a, "key");
  auto mine = AsOrder(a.Claim(order.id, saga::ClaimMode::kTakeOver));
  auto theirs = AsOrder(b.Claim(order.id, saga::ClaimMode::kTakeOver));
  ASSERT_TRUE(mine.ok() && theirs.ok());
  this->Once(saga::Gap::kAfterAdvance, [&, their_claim = *theirs] {
    auto [turned, turning] = this->TurnBack(their_claim);
    EXPECT_EQ(*this->Advance(b, turned, turning, 2), saga::WriteResult::kApplied);
  });
  auto [closed, closing] = this->Close(*mine);
  EXPECT_EQ(*this->Advance(a, closed, closing, 2), saga::WriteResult::kFenced);
  EXPECT_EQ(AsOrder(a.Load(order.id))->state, saga::State::kCompensating);
}

TYPED_TEST_P(JournalContract, ABeginWhoseAnswerWasLostIsBegunOnce) {
  auto& journal = this->world_.Open("a", "1");
  OrderRecord record = this->NewOrder("key");
  this->Once(
      saga::Gap::kAfterBegin, [] {}, true);
  auto begun = this->Begin(journal, record);
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_FALSE(begun->has_value());
}

TYPED_TEST_P(JournalContract, ABeginWhoseAnswerWasLostIsAnothersOnceItIsTakenOver) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->NewOrder("key");
  this->Once(
      saga::Gap::kAfterBegin, [&] { EXPECT_TRUE(AsOrder(b.Claim(record.id, saga::ClaimMode::kTakeOver)).ok()); }, true);
  auto begun = this->Begin(a, record);
  ASSERT_TRUE(begun.ok() && begun->has_value()) << "the process that took it over drives it";
  EXPECT_EQ((*begun)->id, record.id);
  EXPECT_EQ((*begun)->epoch, 2);
}

TYPED_TEST_P(JournalContract, TwoClaimsAreNeverUnderOneEpoch) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord order = this->Finished(a, "key");
  absl::StatusOr<OrderRecord> theirs;
  this->Once(saga::Gap::kAfterClaim, [&] { theirs = AsOrder(b.Claim(order.id, saga::ClaimMode::kTakeOver)); });
  absl::StatusOr<OrderRecord> mine = AsOrder(a.Claim(order.id, saga::ClaimMode::kTakeOver));
  ASSERT_TRUE(mine.ok() && theirs.ok()) << mine.status() << theirs.status();
  EXPECT_EQ(mine->epoch, 2);
  EXPECT_EQ(theirs->epoch, 3);
  auto [closed, closing] = this->Close(*mine);
  auto [turned, turning] = this->TurnBack(*theirs);
  EXPECT_EQ(*this->Advance(a, closed, closing, 2), saga::WriteResult::kFenced);
  EXPECT_EQ(*this->Advance(b, turned, turning, 2), saga::WriteResult::kApplied);
}

TYPED_TEST_P(JournalContract, AClaimOfExpiredLeasesIsNotMistakenForALaterOne) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord order = this->Started(a, "key");
  this->world_.ExpireLeases();
  absl::StatusOr<OrderRecord> theirs;
  this->Once(saga::Gap::kAfterClaim, [&] { theirs = AsOrder(b.Claim(order.id, saga::ClaimMode::kTakeOver)); });
  auto mine = AsOrders(a.ClaimExpired(false, 10));
  ASSERT_TRUE(mine.ok() && theirs.ok()) << mine.status() << theirs.status();
  ASSERT_EQ(mine->size(), 1u);
  EXPECT_EQ((*mine)[0].epoch, 2);
  EXPECT_EQ(theirs->epoch, 3);
}

TYPED_TEST_P(JournalContract, AClaimWhoseAnswerWasLostFails) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord order = this->Started(a, "key");
  this->Once(
      saga::Gap::kAfterClaim, [] {}, true);
  EXPECT_EQ(AsOrder(a.Claim(order.id, saga::ClaimMode::kTakeOver)).status().code(), absl::StatusCode::kUnavailable);
  this->world_.ExpireLeases();
  EXPECT_EQ(AsOrders(b.ClaimExpired(false, 10))->size(), 1u) << "it is found when its lease is over";
}

TYPED_TEST_P(JournalContract, AClaimOfOneKindTakesNoOther) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  this->Started(a, "key");
  this->world_.ExpireLeases();
  EXPECT_TRUE(AsOrders(b.ClaimExpired(false, 10, domain::PartialRefund::kKind))->empty());
  EXPECT_EQ(AsOrders(b.ClaimExpired(false, 10, domain::Order::kKind))->size(), 1u);
}

TYPED_TEST_P(JournalContract, ClaimAnswersASagaThatEndedBeforeItWasLookedUp) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord order = this->Started(a, "key");
  this->Once(saga::Gap::kNotClaimed, [&] {
    auto [finished, log] = this->Finish(order, "driver-1");
    EXPECT_EQ(*this->Advance(a, finished, log, 0), saga::WriteResult::kApplied);
    auto [closed, closing] = this->Close(finished);
    EXPECT_EQ(*this->Advance(a, closed, closing, 2), saga::WriteResult::kApplied);
  });
  auto claimed = AsOrder(b.Claim(order.id, saga::ClaimMode::kExpired));
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->state, saga::State::kClosed);
}

TYPED_TEST_P(JournalContract, AWriteUnderAnOlderEpochChangesNothing) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  auto claimed = AsOrder(b.Claim(record.id, saga::ClaimMode::kTakeOver));
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->epoch, 2);
  auto [stale, log] = this->Finish(record, "driver-1");
  auto written = this->Advance(a, stale, log, 0);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*written, saga::WriteResult::kFenced);
  auto loaded = AsOrder(a.Load(record.id));
  EXPECT_EQ(loaded->state, saga::State::kRunning);
  EXPECT_FALSE(loaded->payload.charge.has_value());
  EXPECT_FALSE(loaded->payload.driver.has_value()) << "a fenced process may claim nothing";
  EXPECT_TRUE(a.LoadLog(record.id, 0)->empty());
}

TYPED_TEST_P(JournalContract, ALostClaimWritesNothing) {
  auto& journal = this->world_.Open("a", "1");
  auto [first, first_log] = this->Finish(this->Started(journal, "key-1"), "driver-1");
  auto [second, second_log] = this->Finish(this->Started(journal, "key-2"), "driver-1");
  EXPECT_EQ(*this->Advance(journal, first, first_log, 0), saga::WriteResult::kApplied);
  EXPECT_EQ(*this->Advance(journal, second, second_log, 0), saga::WriteResult::kConflict);
  EXPECT_EQ(AsOrder(journal.Load(second.id))->state, saga::State::kRunning);
  EXPECT_FALSE(AsOrder(journal.Load(second.id))->payload.charge.has_value());
  second.payload.driver->driver_id = "driver-2";
  EXPECT_EQ(*this->Advance(journal, second, second_log, 0), saga::WriteResult::kApplied);
}

TYPED_TEST_P(JournalContract, AReleasedDriverCanBeClaimedAgain) {
  auto& journal = this->world_.Open("a", "1");
  auto [first, first_log] = this->Finish(this->Started(journal, "key-1"), "driver-1");
  ASSERT_EQ(*this->Advance(journal, first, first_log, 0), saga::WriteResult::kApplied);
  first.payload.effects = {};
  first.payload.effects.released = true;
  first.payload.driver.reset();
  first.state = saga::State::kClosed;
  std::vector<saga::LogEntry> closing = {this->Entry(first, "", saga::LogOutcome::kClosed)};
  ASSERT_EQ(*this->Advance(journal, first, closing, 2), saga::WriteResult::kApplied);
  EXPECT_FALSE(AsOrder(journal.Load(first.id))->payload.driver.has_value());
  auto [second, second_log] = this->Finish(this->Started(journal, "key-2"), "driver-1");
  EXPECT_EQ(*this->Advance(journal, second, second_log, 0), saga::WriteResult::kApplied);
}

TYPED_TEST_P(JournalContract, ALoweredCapacityIsALostClaim) {
  auto& journal = this->world_.Open("a", "1");
  this->world_.SetCapacity("van", 3);
  const OrderRecord held = this->Holding(journal, "key-1", {"van", 3});
  this->world_.SetCapacity("van", 1);
  for (int slot : {1, 2, 3, 4}) {
    EXPECT_EQ(this->Claim(journal, "key-2-" + std::to_string(slot), {"van", slot}), saga::WriteResult::kConflict)
        << slot;
  }
  this->GiveBack(journal, held);
  EXPECT_EQ(this->Claim(journal, "key-3", {"van", 2}), saga::WriteResult::kConflict);
  EXPECT_EQ(this->Claim(journal, "key-4", {"van", 1}), saga::WriteResult::kApplied);
}

TYPED_TEST_P(JournalContract, NobodyIsAddedToADriverThatHoldsTooMany) {
  auto& journal = this->world_.Open("a", "1");
  this->world_.SetCapacity("van", 4);
  std::vector<OrderRecord> held;
  for (int slot : {4, 2, 1}) held.push_back(this->Holding(journal, "key-" + std::to_string(slot), {"van", slot}));
  this->world_.SetCapacity("van", 2);
  auto all_lost = [&](const std::string& key) {
    for (int slot : {1, 2, 3}) {
      EXPECT_EQ(this->Claim(journal, key + std::to_string(slot), {"van", slot}), saga::WriteResult::kConflict) << slot;
    }
  };
  all_lost("three-held-");
  this->GiveBack(journal, held[2]);
  all_lost("two-held-");
  this->GiveBack(journal, held[0]);
  EXPECT_EQ(this->Claim(journal, "fits-1", {"van", 1}) == saga::WriteResult::kApplied,
            this->Claim(journal, "fits-2", {"van", 2}) != saga::WriteResult::kApplied)
      << "one more, wherever the other one is";
  all_lost("two-held-again-");
}

TYPED_TEST_P(JournalContract, OffDutyADriverIsALostClaimAlsoWhenItsOrdersAreGivenBack) {
  auto& journal = this->world_.Open("a", "1");
  this->world_.SetCapacity("van", 3);
  const OrderRecord held = this->Holding(journal, "key-1", {"van", 2});
  for (const char* driver : {"van", "idle", "unknown"}) this->world_.SetCapacity(driver, 0);
  auto all_lost = [&](const std::string& key) {
    for (const std::string driver : {"van", "idle", "unknown"}) {
      for (int slot : {1, 2, 3}) {
        EXPECT_EQ(this->Claim(journal, fmt::format("{}-{}-{}", key, driver, slot), {driver, slot}),
                  saga::WriteResult::kConflict)
            << driver << " " << slot;
      }
    }
  };
  all_lost("held");
  EXPECT_TRUE(AsOrder(journal.Load(held.id))->payload.driver.has_value()) << "what it holds stays its";
  this->GiveBack(journal, held);
  all_lost("given-back");
  this->world_.SetCapacity("van", 3);
  this->world_.SetCapacity("unknown", 1);
  for (int slot : {3, 1, 2}) {
    EXPECT_EQ(this->Claim(journal, fmt::format("again-{}", slot), {"van", slot}), saga::WriteResult::kApplied);
  }
  EXPECT_EQ(this->Claim(journal, "again", {"unknown", 1}), saga::WriteResult::kApplied);
}

TYPED_TEST_P(JournalContract, BooksARefundAndAChargeThatBecameKnownWithIt) {
  auto& journal = this->world_.Open("a", "1");
  OrderRecord record = this->Started(journal, "key");
  record.state = saga::State::kCompensating;
  record.failure = {"PAYMENT_UNKNOWN", "no answer"};
  std::vector<saga::LogEntry> log = {this->Entry(record, "charge_payment", saga::LogOutcome::kUnknown)};
  ASSERT_EQ(*this->Advance(journal, record, log, 0), saga::WriteResult::kApplied);
  record.state = saga::State::kCompensated;
  record.payload.charge = domain::Charge{"late", 1250, record.created_at};
  record.payload.refund = domain::Refund{1250, record.created_at};
  record.payload.effects.charged = record.payload.effects.refunded = true;
  log = {this->Entry(record, "charge_payment", saga::LogOutcome::kUndone)};
  ASSERT_EQ(*this->Advance(journal, record, log, 1), saga::WriteResult::kApplied);
  auto loaded = AsOrder(journal.Load(record.id));
  ASSERT_TRUE(loaded->payload.charge && loaded->payload.refund);
  EXPECT_EQ(loaded->payload.refund->amount_minor, 1250);
  EXPECT_EQ(loaded->failure.reason, "PAYMENT_UNKNOWN");
}

TYPED_TEST_P(JournalContract, BooksARefundOfWhatWasChargedBefore) {
  auto& journal = this->world_.Open("a", "1");
  OrderRecord record = this->Finished(journal, "key");
  record.state = saga::State::kCompensating;
  record.failure = {"CANCELLED", ""};
  std::vector<saga::LogEntry> log = {this->Entry(record, "", saga::LogOutcome::kCancelled)};
  ASSERT_EQ(*this->Advance(journal, record, log, 2), saga::WriteResult::kApplied);
  record.state = saga::State::kCompensated;
  record.payload.refund = domain::Refund{1250, record.created_at};
  record.payload.effects.refunded = true;
  log = {this->Entry(record, "charge_payment", saga::LogOutcome::kUndone)};
  ASSERT_EQ(*this->Advance(journal, record, log, 3), saga::WriteResult::kApplied);
  auto loaded = AsOrder(journal.Load(record.id));
  ASSERT_TRUE(loaded->payload.charge && loaded->payload.refund);
  EXPECT_EQ(loaded->payload.charge->gateway_reference, "ref-1");
  EXPECT_EQ(loaded->payload.refund->amount_minor, 1250);
}

TYPED_TEST_P(JournalContract, ClaimsOnlyExpiredLeases) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  EXPECT_TRUE(AsOrders(b.ClaimExpired(true, 10))->empty());
  EXPECT_EQ(AsOrder(b.Claim(record.id, saga::ClaimMode::kExpired)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  this->world_.ExpireLeases();
  auto claimed = AsOrders(b.ClaimExpired(false, 10));
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  ASSERT_EQ(claimed->size(), 1u);
  EXPECT_EQ((*claimed)[0].id, record.id);
  EXPECT_EQ((*claimed)[0].epoch, 2);
  EXPECT_EQ((*claimed)[0].payload.idempotency_key, "key");
  EXPECT_TRUE(AsOrders(a.ClaimExpired(false, 10))->empty()) << "b's lease holds now";
}

TYPED_TEST_P(JournalContract, ClaimsTheLeasesOfItsFormerLifeAtOnce) {
  auto& before = this->world_.Open("a", "1");
  OrderRecord record = this->Started(before, "key");
  auto& after = this->world_.Open("a", "2");
  EXPECT_TRUE(AsOrders(after.ClaimExpired(false, 10))->empty());
  EXPECT_EQ(AsOrders(after.ClaimExpired(true, 10))->size(), 1u);
  EXPECT_TRUE(AsOrders(after.ClaimExpired(true, 10))->empty()) << "what it drives itself is not claimed again";
}

TYPED_TEST_P(JournalContract, ClaimKeepsItsLimitAndPassesFinishedOnesOver) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  for (int i = 0; i < 3; ++i) this->Started(a, "key-" + std::to_string(i));
  auto [finished, log] = this->Finish(this->Started(a, "key-3"), "driver-1");
  ASSERT_EQ(*this->Advance(a, finished, log, 0), saga::WriteResult::kApplied);
  this->world_.ExpireLeases();
  EXPECT_EQ(AsOrders(b.ClaimExpired(false, 2))->size(), 2u);
  EXPECT_EQ(AsOrders(b.ClaimExpired(false, 2))->size(), 1u);
  EXPECT_EQ(AsOrders(b.ClaimExpired(false, 2))->size(), 0u);
}

TYPED_TEST_P(JournalContract, ClaimsASucceededSagaAndFencesTheFormerClaim) {
  auto& a = this->world_.Open("a", "1");
  auto [finished, log] = this->Finish(this->Started(a, "key"), "driver-1");
  ASSERT_EQ(*this->Advance(a, finished, log, 0), saga::WriteResult::kApplied);
  auto first = AsOrder(a.Claim(finished.id, saga::ClaimMode::kTakeOver));
  auto second = AsOrder(a.Claim(finished.id, saga::ClaimMode::kTakeOver));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(second->epoch, first->epoch + 1);
  first->state = saga::State::kClosed;
  std::vector<saga::LogEntry> closing = {this->Entry(*first, "", saga::LogOutcome::kClosed)};
  EXPECT_EQ(*this->Advance(a, *first, closing, 2), saga::WriteResult::kFenced);
}

TYPED_TEST_P(JournalContract, ClaimAnswersTerminalSagasAsTheyAre) {
  auto& a = this->world_.Open("a", "1");
  auto [record, log] = this->Finish(this->Started(a, "key"), "driver-1");
  ASSERT_EQ(*this->Advance(a, record, log, 0), saga::WriteResult::kApplied);
  record.state = saga::State::kClosed;
  record.payload.effects = {};
  std::vector<saga::LogEntry> closing = {this->Entry(record, "", saga::LogOutcome::kClosed)};
  ASSERT_EQ(*this->Advance(a, record, closing, 2), saga::WriteResult::kApplied);
  auto claimed = AsOrder(a.Claim(record.id, saga::ClaimMode::kTakeOver));
  ASSERT_TRUE(claimed.ok());
  EXPECT_EQ(claimed->state, saga::State::kClosed);
  EXPECT_EQ(claimed->epoch, 1);
  EXPECT_EQ(AsOrder(a.Claim(this->ids_.Next(), saga::ClaimMode::kTakeOver)).status().code(),
            absl::StatusCode::kNotFound);
}

TYPED_TEST_P(JournalContract, RenewsWhatIsOursAndTellsWhatIsNot) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord mine = this->Started(a, "key-1");
  OrderRecord lost = this->Started(a, "key-2");
  ASSERT_TRUE(AsOrder(b.Claim(lost.id, saga::ClaimMode::kTakeOver)).ok());
  this->world_.ExpireLeases();
  const saga::Held keys[] = {{domain::Order::kKind, mine.id, 1}, {domain::Order::kKind, lost.id, 1}};
  auto answer = a.Renew(keys);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(*answer, ::testing::ElementsAre(lost.id));
  auto expired = AsOrders(b.ClaimExpired(false, 10));
  ASSERT_EQ(expired->size(), 1u);
  EXPECT_EQ((*expired)[0].id, lost.id);
}

TYPED_TEST_P(JournalContract, ReleaseAllLetsOthersContinueAtOnce) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  this->Started(a, "key");
  ASSERT_TRUE(a.ReleaseAll().ok());
  EXPECT_EQ(AsOrders(b.ClaimExpired(false, 10))->size(), 1u);
}

TYPED_TEST_P(JournalContract, WhatWaitsIsNobodysUntilItsTime) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  EXPECT_FALSE(this->signal_.has_value());
  const saga::Held held[] = {{domain::Order::kKind, record.id, 1}};
  EXPECT_THAT(*a.Renew(held), ::testing::IsEmpty());
  ASSERT_TRUE(a.ReleaseAll().ok());
  this->world_.ExpireLeases();
  EXPECT_TRUE(AsOrders(this->world_.Open("a", "2").ClaimExpired(true, 10))->empty());
  EXPECT_TRUE(AsOrders(b.ClaimExpired(false, 10))->empty());
  EXPECT_EQ(AsOrder(b.Claim(record.id, saga::ClaimMode::kWoken)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  auto waiting = AsOrder(b.Load(record.id));
  EXPECT_EQ(waiting->waits_for, "charge_payment/do/t-1");
  EXPECT_EQ(waiting->wakes_at, this->kMuchLater);
  EXPECT_FALSE(waiting->woken);
  this->world_.EndWaits();
  auto woken = AsOrders(b.ClaimExpired(false, 10));
  ASSERT_EQ(woken->size(), 1u);
  EXPECT_EQ((*woken)[0].epoch, 2);
  EXPECT_EQ((*woken)[0].waits_for, "charge_payment/do/t-1") << "it is known what was waited for";
  EXPECT_TRUE((*woken)[0].woken);
  EXPECT_FALSE((*woken)[0].signal.has_value());
  EXPECT_TRUE(AsOrders(a.ClaimExpired(false, 10))->empty()) << "b's lease holds now";
  this->world_.ExpireLeases();
  EXPECT_EQ(AsOrders(a.ClaimExpired(false, 10))->size(), 1u);
}

TYPED_TEST_P(JournalContract, ASignalWakesWhatWaitsForItOnce) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Succeeded(), "t-2"), saga::SignalResult::kKept);
  EXPECT_FALSE(AsOrder(b.Claim(record.id, saga::ClaimMode::kWoken)).ok());
  EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Rejected("NO_MONEY", "at all")), saga::SignalResult::kWoken);
  EXPECT_EQ(*this->Say(a, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kRepeated);
  auto woken = AsOrder(b.Claim(record.id, saga::ClaimMode::kWoken));
  ASSERT_TRUE(woken.ok()) << woken.status();
  ASSERT_TRUE(woken->signal.has_value());
  EXPECT_EQ(woken->signal->outcome.kind, saga::Outcome::Kind::kRejected);
  EXPECT_EQ(woken->signal->outcome.reason, "NO_MONEY");
  EXPECT_EQ(woken->signal->outcome.detail, "at all");
  EXPECT_EQ(woken->epoch, 2);
  EXPECT_FALSE(AsOrder(a.Claim(record.id, saga::ClaimMode::kWoken)).ok());
  EXPECT_EQ(*this->Say(a, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kRepeated);
  // Whoever claims it before anything is written learns the same.
  this->world_.ExpireLeases();
  auto again = AsOrders(a.ClaimExpired(false, 10));
  ASSERT_EQ(again->size(), 1u);
  EXPECT_EQ((*again)[0].signal->outcome.kind, saga::Outcome::Kind::kRejected);
}

TYPED_TEST_P(JournalContract, WhatIsForTheAwaitedAloneIsKeptWhileItWaitsAndNobodyDrivesIt) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  const auto say = [&](const std::string& token, const std::string& reason) {
    saga::Signal signal{"charge_payment", saga::Direction::kDo, token, saga::Outcome::Rejected(reason)};
    signal.only_awaited = true;
    return *b.AddSignal(record.id, signal);
  };
  EXPECT_EQ(say("t-1", "EARLY"), saga::SignalResult::kUnawaited) << "it is driven, and waits for nothing";
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  EXPECT_FALSE(this->signal_.has_value()) << "nothing was kept";
  EXPECT_EQ(say("t-2", "OTHER"), saga::SignalResult::kUnawaited);
  this->world_.EndWaits();
  ASSERT_EQ(AsOrders(a.ClaimExpired(false, 10))->size(), 1u);
  EXPECT_EQ(say("t-1", "LATE"), saga::SignalResult::kUnawaited) << "somebody has taken it up since its time is over";
  this->world_.ExpireLeases();
  auto taken = AsOrders(b.ClaimExpired(false, 10));
  ASSERT_EQ(taken->size(), 1u);
  EXPECT_FALSE((*taken)[0].signal.has_value());

  record = this->Started(a, "another");
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  EXPECT_EQ(say("t-1", "IN_TIME"), saga::SignalResult::kWoken);
  EXPECT_EQ(say("t-1", "SECOND"), saga::SignalResult::kRepeated);
  auto woken = AsOrder(a.Claim(record.id, saga::ClaimMode::kWoken));
  ASSERT_TRUE(woken.ok()) << woken.status();
  EXPECT_EQ(woken->signal->outcome.reason, "IN_TIME");
}

TYPED_TEST_P(JournalContract, ASignalThatIsThereAlreadyIsHandedToTheWrite) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Unknown("LOST", "ask again")), saga::SignalResult::kKept);
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  ASSERT_TRUE(this->signal_.has_value());
  EXPECT_EQ(this->signal_->outcome.kind, saga::Outcome::Kind::kUnknown);
  EXPECT_EQ(this->signal_->outcome.reason, "LOST");
  EXPECT_FALSE(AsOrder(b.Claim(record.id, saga::ClaimMode::kWoken)).ok()) << "it keeps its lease";
  this->world_.EndWaits();
  EXPECT_TRUE(AsOrders(b.ClaimExpired(false, 10))->empty());
  this->world_.ExpireLeases();
  auto claimed = AsOrders(b.ClaimExpired(false, 10));
  ASSERT_EQ(claimed->size(), 1u);
  EXPECT_EQ((*claimed)[0].signal->outcome.reason, "LOST");
}

TYPED_TEST_P(JournalContract, ASignalBetweenAWriteAndItsAnswerIsHandedOverOnce) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  this->Once(
      saga::Gap::kAfterAdvance,
      [&] { EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kWoken); },
      /*lost=*/true);
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  ASSERT_TRUE(this->signal_.has_value()) << "the write was tried again";
  EXPECT_FALSE(AsOrder(b.Claim(record.id, saga::ClaimMode::kWoken)).ok());
}

TYPED_TEST_P(JournalContract, AWriteThatIsTriedAgainFindsThatItsWaitWasTakenUp) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  this->Once(
      saga::Gap::kAfterAdvance,
      [&] {
        EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kWoken);
        EXPECT_TRUE(AsOrder(b.Claim(record.id, saga::ClaimMode::kWoken)).ok());
      },
      /*lost=*/true);
  EXPECT_EQ(this->Wait(a, record), saga::WriteResult::kFenced);
}

TYPED_TEST_P(JournalContract, ASignalLeavesWithTheWriteThatActsOnIt) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  OrderRecord record = this->Started(a, "key");
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  ASSERT_EQ(*this->Say(b, record.id, saga::Outcome::Succeeded("first")), saga::SignalResult::kWoken);
  auto woken = AsOrder(a.Claim(record.id, saga::ClaimMode::kWoken));
  ASSERT_TRUE(woken.ok()) << woken.status();
  EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kRepeated);
  this->acts_on_ = woken->signal->id;
  woken->waits_for.clear();
  OrderRecord fenced = *woken;
  fenced.epoch = 1;
  std::vector<saga::LogEntry> nothing = {this->Entry(fenced, "charge_payment", saga::LogOutcome::kSignalled)};
  EXPECT_EQ(*this->Advance(a, fenced, nothing, 1), saga::WriteResult::kFenced);
  EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kRepeated) << "it is still kept";
  // The write is made, its answer is lost, the same is said once more, and the write is tried again.
  this->Once(
      saga::Gap::kAfterAdvance,
      [&] { EXPECT_EQ(*this->Say(b, record.id, saga::Outcome::Succeeded("second")), saga::SignalResult::kKept); },
      /*lost=*/true);
  std::vector<saga::LogEntry> log = {this->Entry(*woken, "charge_payment", saga::LogOutcome::kSignalled)};
  ASSERT_EQ(*this->Advance(a, *woken, log, 1), saga::WriteResult::kApplied);
  this->acts_on_ = 0;
  log = {this->Entry(*woken, "charge_payment", saga::LogOutcome::kWaiting)};
  woken->waits_for = "charge_payment/do/t-1";
  woken->wakes_at = this->kMuchLater;
  ASSERT_EQ(*this->Advance(a, *woken, log, 2), saga::WriteResult::kApplied);
  ASSERT_TRUE(this->signal_.has_value());
  EXPECT_EQ(this->signal_->outcome.detail, "second");
}

TYPED_TEST_P(JournalContract, KeepsSoManySignalsAndNoMore) {
  auto& a = this->world_.Open("a", "1");
  OrderRecord record = this->Started(a, "key");
  for (int i = 0; i < saga::kSignalsMax; ++i) {
    EXPECT_EQ(*this->Say(a, record.id, saga::Outcome::Succeeded(), std::to_string(i)), saga::SignalResult::kKept);
  }
  EXPECT_EQ(this->Say(a, record.id, saga::Outcome::Succeeded(), "more").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*this->Say(a, record.id, saga::Outcome::Succeeded(), "1"), saga::SignalResult::kRepeated);
  // One that is not kept wakes nobody, and the one that is waited for is kept all the same.
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  EXPECT_EQ(this->Say(a, record.id, saga::Outcome::Succeeded(), "more").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(AsOrder(a.Claim(record.id, saga::ClaimMode::kWoken)).ok());
  EXPECT_EQ(*this->Say(a, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kWoken);
  EXPECT_TRUE(AsOrder(a.Claim(record.id, saga::ClaimMode::kWoken)).ok());
}

TYPED_TEST_P(JournalContract, ASagaMayWaitForSeveralAndWhatWasSaidFirstCountsFirst) {
  auto& a = this->world_.Open("a", "1");
  OrderRecord record = this->Started(a, "key");
  auto say = [&](const std::string& step, const std::string& token) {
    return *a.AddSignal(record.id, {step, saga::Direction::kDo, token, saga::Outcome::Succeeded(token)});
  };
  EXPECT_EQ(say("charge_payment", "other"), saga::SignalResult::kKept);
  EXPECT_EQ(say("charge_payment", "t-2"), saga::SignalResult::kKept);
  EXPECT_EQ(say("assign_driver", "t-1"), saga::SignalResult::kKept);
  std::vector<saga::LogEntry> log = {this->Entry(record, "charge_payment", saga::LogOutcome::kWaiting)};
  record.waits_for = "assign_driver/do/t-1 charge_payment/do/t-2 charge_payment/do/t-3";
  record.wakes_at = this->kMuchLater;
  ASSERT_EQ(*this->Advance(a, record, log, 0), saga::WriteResult::kApplied);
  ASSERT_TRUE(this->signal_.has_value());
  EXPECT_EQ(this->signal_->name, "charge_payment/do/t-2");
  // It is acted on, and the saga waits for the others.
  this->acts_on_ = this->signal_->id;
  log = {this->Entry(record, "charge_payment", saga::LogOutcome::kSucceeded)};
  record.waits_for = "assign_driver/do/t-1 charge_payment/do/t-3";
  ASSERT_EQ(*this->Advance(a, record, log, 1), saga::WriteResult::kApplied);
  ASSERT_TRUE(this->signal_.has_value());
  EXPECT_EQ(this->signal_->name, "assign_driver/do/t-1");
  this->acts_on_ = this->signal_->id;
  log = {this->Entry(record, "assign_driver", saga::LogOutcome::kSucceeded)};
  record.waits_for = "charge_payment/do/t-3 charge_payment/do/t-4";
  ASSERT_EQ(*this->Advance(a, record, log, 2), saga::WriteResult::kApplied);
  EXPECT_FALSE(this->signal_.has_value()) << "of what was said nobody waits for the rest";
  // A part of a name, or two, is none; either of them wakes it, and whoever claims it is told which.
  EXPECT_EQ(say("charge_payment", "t"), saga::SignalResult::kKept);
  EXPECT_EQ(say("charge_payment", "t-4"), saga::SignalResult::kWoken);
  EXPECT_EQ(say("charge_payment", "t-3"), saga::SignalResult::kWoken);
  const auto claimed = AsOrder(a.Claim(record.id, saga::ClaimMode::kWoken));
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->signal->name, "charge_payment/do/t-4");
}

TYPED_TEST_P(JournalContract, LeavesAloneWhatIsOfAVersionThatItDoesNotDrive) {
  auto& a = this->world_.Open("a", "1");
  OrderRecord newer = this->NewOrder("key");
  newer.version = 2;
  ASSERT_TRUE(this->Begin(a, newer).ok());
  this->world_.ExpireLeases();
  for (auto* journal : {&a, &this->world_.Open("a", "2"), &this->world_.Open("b", "1")}) {
    EXPECT_TRUE(AsOrders(journal->ClaimExpired(true, 10))->empty());
    EXPECT_EQ(GetErrorDetail(journal->Claim(newer.id, saga::ClaimMode::kTakeOver).status()).reason,
              "SAGA_NOT_DRIVEN_HERE");
    EXPECT_EQ(GetErrorDetail(this->Say(*journal, newer.id, saga::Outcome::Succeeded()).status()).reason,
              "SAGA_NOT_DRIVEN_HERE");
  }
  ASSERT_EQ(this->Wait(a, newer), saga::WriteResult::kApplied);
  this->world_.EndWaits();
  EXPECT_TRUE(AsOrders(a.ClaimExpired(true, 10))->empty());
  EXPECT_EQ(GetErrorDetail(a.Claim(newer.id, saga::ClaimMode::kWoken).status()).reason, "SAGA_NOT_DRIVEN_HERE");
  EXPECT_EQ(GetErrorDetail(this->Say(a, newer.id, saga::Outcome::Succeeded()).status()).reason, "SAGA_NOT_DRIVEN_HERE");
  const OrderRecord read = *AsOrder(a.Load(newer.id));
  EXPECT_EQ(read.epoch, newer.epoch);
  EXPECT_EQ(read.version, 2);
  EXPECT_FALSE(read.needs_attention);
}

TYPED_TEST_P(JournalContract, NothingIsKeptForASagaThatHasEnded) {
  auto& a = this->world_.Open("a", "1");
  OrderRecord finished = this->Finished(a, "key");
  EXPECT_EQ(*this->Say(a, finished.id, saga::Outcome::Succeeded()), saga::SignalResult::kKept);
  auto [closed, log] = this->Close(finished);
  ASSERT_EQ(*this->Advance(a, closed, log, 2), saga::WriteResult::kApplied);
  EXPECT_EQ(*this->Say(a, finished.id, saga::Outcome::Succeeded(), "t-2"), saga::SignalResult::kLate);
  EXPECT_EQ(GetErrorDetail(this->Say(a, this->ids_.Next(), saga::Outcome::Succeeded()).status()).reason,
            "SAGA_NOT_FOUND");
}

TYPED_TEST_P(JournalContract, AWriteThatGoesOnWaitsNoLonger) {
  auto& a = this->world_.Open("a", "1");
  OrderRecord record = this->Started(a, "key");
  ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
  auto taken = AsOrder(a.Claim(record.id, saga::ClaimMode::kTakeOver));
  ASSERT_TRUE(taken.ok()) << taken.status();
  taken->waits_for.clear();
  std::vector<saga::LogEntry> log = {this->Entry(*taken, "", saga::LogOutcome::kRecovered)};
  ASSERT_EQ(*this->Advance(a, *taken, log, 1), saga::WriteResult::kApplied);
  EXPECT_EQ(*this->Say(a, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kKept);
  this->world_.EndWaits();
  EXPECT_TRUE(AsOrders(a.ClaimExpired(false, 10))->empty());
}

// Whoever writes that it waits and whoever signals meet in every order: exactly one of them goes on with the saga.
TYPED_TEST_P(JournalContract, NoSignalIsLostWhileItsWaitIsWritten) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  for (int i = 0; i < 100; ++i) {
    OrderRecord record = this->Started(a, "key-" + std::to_string(i));
    auto said = std::async(std::launch::async, [&] { return this->Say(b, record.id, saga::Outcome::Succeeded()); });
    ASSERT_EQ(this->Wait(a, record), saga::WriteResult::kApplied);
    const absl::StatusOr<saga::SignalResult> result = said.get();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(*result, this->signal_ ? saga::SignalResult::kKept : saga::SignalResult::kWoken);
    EXPECT_EQ(AsOrder(b.Claim(record.id, saga::ClaimMode::kWoken)).ok(), *result == saga::SignalResult::kWoken);
  }
}

TYPED_TEST_P(JournalContract, ADeedIsAuditedExactlyWhenItIsWritten) {
  auto& a = this->world_.Open("a", "1");
  auto& b = this->world_.Open("b", "1");
  const auto deed = [](const std::string& action) {
    return std::make_shared<domain::Deed>(
        domain::Deed{{"console", "k1", "ann"}, action, "order", "some", {{"a", "b"}}});
  };
  OrderRecord order = this->Finished(a, "key");
  auto [turned, turning] = this->TurnBack(order);
  turning.front().deed = deed("lost its answer");
  this->Once(
      saga::Gap::kAfterAdvance, [] {}, true);
  EXPECT_EQ(*this->Advance(a, turned, turning, 2), saga::WriteResult::kApplied);
  turning.front().deed = deed("repeated");
  EXPECT_EQ(*this->Advance(b, turned, turning, 2), saga::WriteResult::kFenced);

  auto [robbed, robbed_log] = this->Finish(this->Started(a, "robbed"), "cy");
  this->Holding(b, "holds", {"cy", 1});
  robbed_log.front().deed = deed("lost its claim");
  EXPECT_EQ(*this->Advance(a, robbed, robbed_log, 0), saga::WriteResult::kConflict);

  auto [closed, closing] = this->Close(this->Finished(a, "another"));
  closing.front().deed = deed("closed");
  EXPECT_EQ(*this->Advance(a, closed, closing, 2), saga::WriteResult::kApplied);

  saga::Signal signal{"charge_payment", saga::Direction::kDo, "t-1", saga::Outcome::Succeeded(), deed("signalled")};
  const Uuid waits = this->Started(a, "waits").id;
  EXPECT_EQ(*a.AddSignal(waits, signal), saga::SignalResult::kKept);
  EXPECT_EQ(*a.AddSignal(waits, signal), saga::SignalResult::kRepeated);
  EXPECT_EQ(*a.AddSignal(closed.id, signal), saga::SignalResult::kLate);
  EXPECT_THAT(this->world_.Audited(), ::testing::ElementsAre("lost its answer", "closed", "signalled"));
}

REGISTER_TYPED_TEST_SUITE_P(
    JournalContract, ADeedIsAuditedExactlyWhenItIsWritten, ASagaMayWaitForSeveralAndWhatWasSaidFirstCountsFirst,
    LeavesAloneWhatIsOfAVersionThatItDoesNotDrive, ASignalLeavesWithTheWriteThatActsOnIt, KeepsSoManySignalsAndNoMore,
    WhatWaitsIsNobodysUntilItsTime, ASignalWakesWhatWaitsForItOnce,
    WhatIsForTheAwaitedAloneIsKeptWhileItWaitsAndNobodyDrivesIt, ASignalThatIsThereAlreadyIsHandedToTheWrite,
    ASignalBetweenAWriteAndItsAnswerIsHandedOverOnce, AWriteThatIsTriedAgainFindsThatItsWaitWasTakenUp,
    NothingIsKeptForASagaThatHasEnded, AWriteThatGoesOnWaitsNoLonger, NoSignalIsLostWhileItsWaitIsWritten,
    KeepsWhatWasBegun, AnswersTheHolderOfTheKey, BeginningTheSameRecordAgainIsHarmless,
    ConcurrentDuplicatesBecomeOneOrder, BooksEffectsWithTheHeader, AWriteWhoseAnswerWasLostIsAppliedOnce,
    AWriteWhoseAnswerWasLostIsFencedOnceItIsTakenOver, AnothersWriteIsNotTakenForOnesOwn,
    ALostClaimThatIsTakenOverBeforeItIsLookedUpIsFenced, AFencedWriteIsNotTakenForWhatTheNewOwnerWrites,
    ABeginWhoseAnswerWasLostIsBegunOnce, ABeginWhoseAnswerWasLostIsAnothersOnceItIsTakenOver,
    TwoClaimsAreNeverUnderOneEpoch, AClaimOfExpiredLeasesIsNotMistakenForALaterOne, AClaimWhoseAnswerWasLostFails,
    AClaimOfOneKindTakesNoOther, ClaimAnswersASagaThatEndedBeforeItWasLookedUp, AWriteUnderAnOlderEpochChangesNothing,
    ALostClaimWritesNothing, AReleasedDriverCanBeClaimedAgain, ALoweredCapacityIsALostClaim,
    NobodyIsAddedToADriverThatHoldsTooMany, OffDutyADriverIsALostClaimAlsoWhenItsOrdersAreGivenBack,
    BooksARefundAndAChargeThatBecameKnownWithIt, BooksARefundOfWhatWasChargedBefore, ClaimsOnlyExpiredLeases,
    ClaimsTheLeasesOfItsFormerLifeAtOnce, ClaimKeepsItsLimitAndPassesFinishedOnesOver,
    ClaimsASucceededSagaAndFencesTheFormerClaim, ClaimAnswersTerminalSagasAsTheyAre, RenewsWhatIsOursAndTellsWhatIsNot,
    ReleaseAllLetsOthersContinueAtOnce);

}  // namespace waybill::storage
