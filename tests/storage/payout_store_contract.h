// What every store of payouts does, with the journal that writes them: run against the memory and against Postgres,
// where the accounts are the ledger's own.
#pragma once

#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "saga/definition.h"
#include "saga/journal.h"
#include "storage/payout_store.h"

namespace waybill::storage {

// What drives them here: nothing is called.
inline saga::Kinds PayoutKinds() { return saga::Kinds({saga::Define<domain::Payout>().Step("pay_out").Done()}); }

class PayoutHarness {
 public:
  struct Balance {
    int64_t minor = 0;  // posted
    int64_t held_minor = 0;

    friend bool operator==(const Balance&, const Balance&) = default;
  };
  virtual ~PayoutHarness() = default;
  virtual PayoutStore& store() = 0;
  virtual saga::Journal& journal() = 0;
  // An account of the client "shop", which must not be overdrawn unless `limited` is false.
  virtual void Open(const std::string& account, const std::string& currency, bool limited) = 0;
  virtual void Deposit(const std::string& account, int64_t amount_minor) = 0;
  virtual void SetClosed(const std::string& account, bool closed) = 0;
  virtual Balance Get(const std::string& account) = 0;
  // Whatever else the world can check of itself: that each side has another one.
  virtual void ExpectSound() {}
};

inline void PrintTo(const PayoutHarness::Balance& balance, std::ostream* os) {
  *os << balance.minor << " with " << balance.held_minor << " held";
}

class PayoutStoreContract : public ::testing::TestWithParam<std::function<std::unique_ptr<PayoutHarness>()>> {
 protected:
  using State = domain::Payout::State;
  using Balance = PayoutHarness::Balance;

  PayoutStoreContract() {
    harness_->Open("driver", "EUR", true);
    harness_->Deposit("driver", 1000);
  }
  ~PayoutStoreContract() override { harness_->ExpectSound(); }

  PayoutStore& store() { return harness_->store(); }

  PayoutRecord New(const std::string& payout_id, int64_t amount_minor = 400, const std::string& account = "driver",
                   const std::string& currency = "EUR") {
    PayoutRecord record;
    record.id = ids_.Next();
    record.created_at = record.updated_at = absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now()));
    record.payload.client = "shop";
    record.payload.payout_id = payout_id;
    record.payload.account = account;
    record.payload.destination = "DE02";
    record.payload.amount_minor = amount_minor;
    record.payload.currency = currency;
    record.payload.description = "week 7";
    record.payload.begun_at = record.created_at;
    return record;
  }
  std::future<absl::Status> BeginSoon(const PayoutRecord& record) {
    auto promise = std::make_shared<std::promise<absl::Status>>();
    std::future<absl::Status> future = promise->get_future();
    harness_->journal().Begin(record, [promise](absl::StatusOr<std::unique_ptr<saga::Record>> existing) {
      promise->set_value(existing.ok() && *existing != nullptr ? absl::AlreadyExistsError("") : existing.status());
    });
    return future;
  }
  absl::Status Begin(const PayoutRecord& record) { return BeginSoon(record).get(); }
  static std::string RuleOf(const absl::Status& status) {
    for (const auto& [key, value] : GetErrorDetail(status).metadata) {
      if (key == "constraint") return value;
    }
    return "";
  }
  std::future<bool> EndSoon(PayoutRecord& record, State state) {
    record.payload.state = state;
    record.payload.decided_at = record.created_at;
    record.payload.effects.decided = true;
    if (state == State::kRefused) record.payload.refusal = "ACCOUNT_CLOSED";
    if (state == State::kPaid) record.payload.reference = "po_1";
    record.seq = 1;
    record.state = state == State::kRefused    ? saga::State::kCompensated
                   : state == State::kResolved ? saga::State::kResolved
                                               : saga::State::kSucceeded;
    if (state != State::kPaid) record.failure.reason = "PAYOUT_REFUSED";
    saga::LogEntry& entry = entries_.emplace_back();
    entry.seq = 1;
    entry.step = "pay_out";
    entry.state = record.state;
    entry.at = record.created_at;
    auto promise = std::make_shared<std::promise<bool>>();
    std::future<bool> future = promise->get_future();
    harness_->journal().Advance({&record, std::span(&entry, 1), 0, nullptr}, [promise](auto result) {
      EXPECT_TRUE(result.ok()) << result.status();
      promise->set_value(result.ok() && *result == saga::WriteResult::kApplied);
    });
    return future;
  }
  bool End(PayoutRecord& record, State state) { return EndSoon(record, state).get(); }

  SystemClock clock_;
  SeededRandom random_{1};
  IdGenerator ids_{clock_, random_};
  std::deque<saga::LogEntry> entries_;  // as long as the journal may look at them
  std::unique_ptr<PayoutHarness> harness_ = GetParam()();
};

TEST_P(PayoutStoreContract, BeginningHoldsAndPayingPosts) {
  PayoutRecord payout = New("p1");
  ASSERT_TRUE(Begin(payout).ok());
  EXPECT_EQ(harness_->Get("driver"), (Balance{1000, 400}));
  EXPECT_EQ(**store().Available("shop", "driver", "EUR"), 600);
  ASSERT_TRUE(End(payout, State::kPaid));
  EXPECT_EQ(harness_->Get("driver"), (Balance{600, 0}));
  const absl::StatusOr<PayoutRecord> read = store().Find("shop", "p1");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->id, payout.id);
  EXPECT_EQ(read->payload.state, State::kPaid);
  EXPECT_EQ(read->payload.reference, "po_1");
  EXPECT_EQ(read->payload.destination, "DE02");
  EXPECT_EQ(read->payload.description, "week 7");
  EXPECT_EQ(read->payload.begun_at, payout.payload.begun_at);
  EXPECT_EQ(read->payload.decided_at, payout.payload.decided_at);
}

TEST_P(PayoutStoreContract, ARefusalFreesTheHold) {
  PayoutRecord payout = New("p1");
  ASSERT_TRUE(Begin(payout).ok());
  ASSERT_TRUE(End(payout, State::kRefused));
  EXPECT_EQ(harness_->Get("driver"), (Balance{1000, 0}));
  EXPECT_EQ(store().Find("shop", "p1")->payload.refusal, "ACCOUNT_CLOSED");
}

TEST_P(PayoutStoreContract, WhatAPersonEndedCountsAsPaid) {
  PayoutRecord payout = New("p1");
  ASSERT_TRUE(Begin(payout).ok());
  ASSERT_TRUE(End(payout, State::kResolved));
  EXPECT_EQ(harness_->Get("driver"), (Balance{600, 0}));
}

TEST_P(PayoutStoreContract, AnIdIsBegunOnce) {
  ASSERT_TRUE(Begin(New("p1")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Begin(New("p1"))));
  EXPECT_EQ(harness_->Get("driver"), (Balance{1000, 400}));
}

TEST_P(PayoutStoreContract, MoreThanTheAccountHasIsNotBegun) {
  ASSERT_TRUE(Begin(New("p1", 601)).ok());
  EXPECT_THAT(RuleOf(Begin(New("p2", 400))), ::testing::AnyOf(kPayoutWithinBalance, kDebitsWithinCredits));
  EXPECT_EQ(harness_->Get("driver"), (Balance{1000, 601}));
  EXPECT_EQ(GetErrorDetail(store().Find("shop", "p2").status()).reason, "PAYOUT_NOT_FOUND");
  ASSERT_TRUE(Begin(New("p2", 399)).ok()) << "the id is free, as nothing was done";
}

// Of an account that others may overdraw.
TEST_P(PayoutStoreContract, NoPayoutOverdrawsWhatMayBeOverdrawn) {
  harness_->Open("loose", "EUR", false);
  harness_->Deposit("loose", 100);
  EXPECT_EQ(RuleOf(Begin(New("p1", 101, "loose"))), kPayoutWithinBalance);
  EXPECT_TRUE(Begin(New("p1", 100, "loose")).ok());
}

TEST_P(PayoutStoreContract, ARefusalFromTheStartIsKeptAndHoldsNothing) {
  PayoutRecord refused = New("p1", 1001);
  refused.payload.state = State::kRefused;
  refused.payload.refusal = "INSUFFICIENT_FUNDS";
  refused.payload.decided_at = refused.created_at;
  ASSERT_TRUE(Begin(refused).ok());
  EXPECT_EQ(harness_->Get("driver"), (Balance{1000, 0}));
  EXPECT_EQ(store().Find("shop", "p1")->payload.state, State::kRefused);
  EXPECT_TRUE(absl::IsAlreadyExists(Begin(New("p1", 1))));
}

TEST_P(PayoutStoreContract, ComesFromAnOpenAccountOfItsCurrency) {
  EXPECT_EQ(RuleOf(Begin(New("p1", 1, "nobody"))), kPayoutFromAnAccount);
  EXPECT_EQ(RuleOf(Begin(New("p1", 1, "driver", "USD"))), kPayoutFromAnAccount);
  EXPECT_EQ(*store().Available("shop", "nobody", "EUR"), std::nullopt);
  EXPECT_EQ(*store().Available("shop", "driver", "USD"), std::nullopt);
  EXPECT_EQ(*store().Available("other", "driver", "EUR"), std::nullopt);
  harness_->SetClosed("driver", true);
  EXPECT_EQ(RuleOf(Begin(New("p1", 1))), kPayoutFromAnAccount);
  EXPECT_EQ(*store().Available("shop", "driver", "EUR"), std::nullopt);
}

// The money has gone, whatever became of the account since.
TEST_P(PayoutStoreContract, EndsThoughTheAccountWasClosedMeanwhile) {
  PayoutRecord paid = New("p1"), refused = New("p2");
  ASSERT_TRUE(Begin(paid).ok() && Begin(refused).ok());
  harness_->SetClosed("driver", true);
  ASSERT_TRUE(End(paid, State::kPaid));
  ASSERT_TRUE(End(refused, State::kRefused));
  EXPECT_EQ(harness_->Get("driver"), (Balance{600, 0}));
  EXPECT_EQ(RuleOf(Begin(New("p3", 1))), kPayoutFromAnAccount) << "it is closed as before";
}

// Each alone is within the balance, all together are not, and none of them sees the others.
TEST_P(PayoutStoreContract, PayoutsThatMeetHoldNoMoreThanThereIs) {
  std::vector<PayoutRecord> payouts;
  for (int i = 0; i < 20; ++i) payouts.push_back(New(fmt::format("p{}", i), 150));
  std::vector<std::future<absl::Status>> begun;
  for (const PayoutRecord& payout : payouts) begun.push_back(BeginSoon(payout));
  int held = 0;
  for (std::future<absl::Status>& status : begun) held += status.get().ok() ? 1 : 0;
  EXPECT_EQ(held, 6);
  EXPECT_EQ(harness_->Get("driver"), (Balance{1000, 900}));
}

TEST_P(PayoutStoreContract, ListsTheNewestFirstByWhatIsAskedFor) {
  harness_->Open("second", "EUR", true);
  harness_->Deposit("second", 1000);
  std::vector<PayoutRecord> payouts = {New("p1", 10), New("p2", 10, "second"), New("p3", 10)};
  for (PayoutRecord& payout : payouts) ASSERT_TRUE(Begin(payout).ok());
  ASSERT_TRUE(End(payouts[2], State::kPaid));
  const auto ids = [&](const PayoutQuery& query) {
    std::vector<std::string> listed;
    const absl::StatusOr<std::vector<PayoutRecord>> page = store().List(query);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const PayoutRecord& payout : *page) listed.push_back(payout.payload.payout_id);
    return listed;
  };
  using ::testing::ElementsAre;
  PayoutQuery query;
  EXPECT_THAT(ids(query), ElementsAre("p3", "p2", "p1"));
  query.client = "shop";
  query.limit = 2;
  EXPECT_THAT(ids(query), ElementsAre("p3", "p2"));
  query.before = payouts[1].id;
  EXPECT_THAT(ids(query), ElementsAre("p1"));
  query.before.reset();
  query.account = "driver";
  EXPECT_THAT(ids(query), ElementsAre("p3", "p1"));
  query.state = State::kOpen;
  EXPECT_THAT(ids(query), ElementsAre("p1"));
  query.client = "other";
  EXPECT_THAT(ids(query), ElementsAre());
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PayoutStoreContract);

}  // namespace waybill::storage
