// Payouts over books in memory: held once, paid once, and free again when they are refused.
#include "services/order/payout_api.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/order/pay_out.h"
#include "services/order/testing/fake_payout_gateway.h"
#include "tests/services/order/payout_world.h"

namespace waybill::order {
namespace {

using domain::Payout;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Fate;
using ::testing::Pair;

class PayoutApiTest : public PayoutWorld {
 protected:
  std::vector<saga::Definition> Definitions() { return {PayOut(gateway_, time_)}; }

  static NewPayout Asked(const std::string& id, int64_t amount_minor = 400) {
    return {id, "driver", Money{amount_minor, "EUR"}, "DE02", ""};
  }
  Result Create(NewPayout asked) { return Await(Ask(a_, std::move(asked))); }
  static std::string Reason(const Result& result) { return GetErrorDetail(result.status()).reason; }
  std::string Key(const std::string& id) { return fmt::format("{}/pay_out", Stored(id).id.ToString()); }

  Process a_{*this, Definitions(), "a"};
};

TEST_F(PayoutApiTest, PaysOnceAndAnswersARepetitionWithTheSame) {
  const Result first = Create(Asked("p1"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(StatusOfPayout(first->payout), PayoutStatus::kPaid);
  EXPECT_FALSE(first->payout.payload.reference.empty());
  EXPECT_FALSE(first->replayed);
  Process b(*this, Definitions(), "b");
  const Result again = Await(Ask(b, Asked("p1")));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->payout.id, first->payout.id);
  EXPECT_EQ(gateway_.PaidMinor(), 400);
  EXPECT_EQ(gateway_.calls(), 1);
}

TEST_F(PayoutApiTest, AnotherPayoutUnderTheIdIsRefused) {
  ASSERT_TRUE(Create(Asked("p1")).ok());
  NewPayout other = Asked("p1", 401);
  other.destination = "DE03";
  const Result refused = Create(other);
  EXPECT_EQ(Reason(refused), "PAYOUT_ID_REUSED");
  EXPECT_THAT(GetErrorDetail(refused.status()).metadata, Contains(Pair("fields", "amount.minor_units,destination")));
}

TEST_F(PayoutApiTest, LackOfMoneyIsARefusalForGood) {
  const Result refused = Create(Asked("p1", 1001));
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(StatusOfPayout(refused->payout), PayoutStatus::kRefused);
  EXPECT_EQ(refused->payout.payload.refusal, kInsufficientFunds);
  EXPECT_EQ(gateway_.calls(), 0);
  payouts_.Deposit("shop", "driver", 1000);
  const Result again = Create(Asked("p1", 1001));
  EXPECT_EQ(StatusOfPayout(again->payout), PayoutStatus::kRefused) << "who repeats it is not paid by surprise";
  EXPECT_EQ(gateway_.calls(), 0);
  EXPECT_EQ(Stored("p1").state, saga::State::kCompensated);
  payouts_.Deposit("shop", "driver", -1000);
}

// Both saw enough, and the first has taken it: the book has the last word.
TEST_F(PayoutApiTest, LackOfMoneyThatShowsOnlyAtTheCommitIsTheSame) {
  gateway_.set_fate(Fate::kUnavailable);
  auto first = Ask(a_, Asked("p1", 700)), second = Ask(a_, Asked("p2", 700));
  const Result refused = Await(second);
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->payout.payload.refusal, kInsufficientFunds);
  gateway_.set_fate(Fate::kAnswered);
  EXPECT_EQ(StatusOfPayout(Await(first)->payout), PayoutStatus::kPaid);
}

TEST_F(PayoutApiTest, ARefusalFreesWhatWasHeld) {
  gateway_.WillMeet({Fate::kDeclined});
  const Result refused = Create(Asked("p1"));
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(StatusOfPayout(refused->payout), PayoutStatus::kRefused);
  EXPECT_EQ(refused->payout.payload.refusal, "ACCOUNT_CLOSED");
  EXPECT_EQ(Held(), 0);
}

TEST_F(PayoutApiTest, WhatNobodyAnsweredIsAskedAgainAndPaidOnce) {
  gateway_.WillMeet({Fate::kLostAfter, Fate::kUnavailable, Fate::kLostBefore});
  auto asked = Ask(a_, Asked("p1"));
  time_.Advance(absl::Milliseconds(1));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Held(), 400);
    time_.Advance(absl::Milliseconds(50));
  }
  const Result paid = Await(asked);
  ASSERT_TRUE(paid.ok()) << paid.status();
  EXPECT_EQ(StatusOfPayout(paid->payout), PayoutStatus::kPaid);
  EXPECT_EQ(gateway_.PaidMinor(), 400);
}

// By a gateway that refuses repetitions while the first call executes, as none should.
TEST_F(PayoutApiTest, ARefusalAfterDoubtIsAskedForOnceMore) {
  gateway_.WillMeet({Fate::kLostAfter, Fate::kRefused});
  const Result paid = Create(Asked("p1"));
  ASSERT_TRUE(paid.ok()) << paid.status();
  EXPECT_EQ(StatusOfPayout(paid->payout), PayoutStatus::kPaid);
  EXPECT_EQ(Stored("p1").state, saga::State::kCompensated) << "turned back, and yet paid: the payout's state counts";
}

TEST_F(PayoutApiTest, OutlastsAnOutageThatSpendsItsBudgetAndCallsAPerson) {
  gateway_.set_fate(Fate::kLostAfter);
  auto asked = Ask(a_, Asked("p1"), absl::Seconds(2));
  const Result open = Await(asked);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(StatusOfPayout(open->payout), PayoutStatus::kOpen);
  for (int i = 0; i < 3000 && !Stored("p1").needs_attention; ++i) time_.Advance(absl::Milliseconds(200));
  EXPECT_TRUE(Stored("p1").needs_attention);
  EXPECT_EQ(Stored("p1").state, saga::State::kCompensating);
  EXPECT_EQ(Stored("p1").failure.reason, kPayoutUnknown);
  EXPECT_EQ(Held(), 400);
  gateway_.set_fate(Fate::kAnswered);
  const Result paid = Create(Asked("p1"));
  EXPECT_EQ(StatusOfPayout(paid->payout), PayoutStatus::kPaid);
  EXPECT_EQ(gateway_.PaidMinor(), 400);
}

TEST_F(PayoutApiTest, APendingOneWaitsAndIsAskedForAtItsTimeOrWhenItIsSignalled) {
  gateway_.set_pending_until(time_.Now() + absl::Hours(2));
  gateway_.set_fate(Fate::kPending);
  const Result pending = Create(Asked("p1"));
  ASSERT_TRUE(pending.ok()) << pending.status();
  EXPECT_EQ(StatusOfPayout(pending->payout), PayoutStatus::kPending);
  ASSERT_EQ(StatusOfPayout(Create(Asked("p2", 300))->payout), PayoutStatus::kPending);
  EXPECT_EQ(gateway_.calls(), 2);
  gateway_.Decide(Key("p1"), false);
  saga::Signal signal;
  signal.step = std::string(kPayOut);
  signal.token = "pending-" + Key("p1");
  signal.outcome = saga::Outcome::Succeeded();
  const absl::StatusOr<saga::SignalResult> told = a_.runner.AddSignal(Stored("p1").id, signal);
  ASSERT_TRUE(told.ok()) << told.status();
  for (int i = 0; i < 100 && Stored("p1").payload.state == Payout::State::kOpen; ++i) {
    time_.Advance(absl::Milliseconds(100));
  }
  EXPECT_EQ(Stored("p1").payload.state, Payout::State::kRefused) << "the gateway is believed, not the signal";
  gateway_.Decide(Key("p2"), true);
  EXPECT_EQ(StatusOfPayout(Create(Asked("p2", 300))->payout), PayoutStatus::kPending) << "nobody has said so";
  time_.Advance(absl::Hours(2));
  ASSERT_EQ(*a_.runner.RecoverExpired(false, 100), 1u) << "whoever comes by goes on with it";
  EXPECT_EQ(StatusOfPayout(Create(Asked("p2", 300))->payout), PayoutStatus::kPaid);
}

TEST_F(PayoutApiTest, AProcessThatDiesIsRelievedUnderTheSameKey) {
  gateway_.set_fate(Fate::kLostAfter);
  Ask(a_, Asked("p1"));
  time_.Advance(absl::Milliseconds(1));
  const std::string key = Key("p1");
  a_.runner.Stop(SteadyTime::InfinitePast());
  gateway_.set_fate(Fate::kAnswered);
  Process b(*this, Definitions(), "b");
  time_.Advance(absl::Seconds(11));
  ASSERT_EQ(*b.runner.RecoverExpired(false, 100), 1u);
  for (int i = 0; i < 100 && Stored("p1").payload.state == Payout::State::kOpen; ++i) {
    time_.Advance(absl::Milliseconds(100));
  }
  EXPECT_EQ(Stored("p1").payload.state, Payout::State::kPaid);
  EXPECT_THAT(gateway_.books(), ElementsAre(Pair(key, ::testing::_)));
  EXPECT_EQ(gateway_.PaidMinor(), 400);
}

TEST_F(PayoutApiTest, RefusesWhatCannotBe) {
  NewPayout asked = Asked("p1");
  asked.account = "nobody";
  EXPECT_EQ(Reason(Create(asked)), "PAYOUT_ACCOUNT_UNUSABLE");
  asked = Asked("p1");
  asked.amount->currency = "USD";
  EXPECT_EQ(Reason(Create(asked)), "PAYOUT_ACCOUNT_UNUSABLE");
  EXPECT_EQ(GetErrorDetail(store_.Find("shop", "p1").status()).reason, "PAYOUT_NOT_FOUND") << "nothing was done";
  Process without(*this, Definitions(), "b", /*open=*/false);
  EXPECT_EQ(Reason(Await(Ask(without, Asked("p1")))), "NO_PAYOUT_GATEWAY");
  ASSERT_TRUE(Create(Asked("p2")).ok());
  EXPECT_TRUE(Await(Ask(without, Asked("p2")))->replayed) << "what is there needs no gateway";
  a_.api.SetDraining();
  EXPECT_EQ(Reason(Create(Asked("p1"))), "SHUTTING_DOWN");
}

// However long the gateway is away, orders find room.
TEST_F(PayoutApiTest, TakesNoneOfTheRoomThatIsLeftToOrders) {
  Process full(*this, Definitions(), "b", /*open=*/true, {.room_kept = a_.runner.room()});
  EXPECT_EQ(Reason(Await(Ask(full, Asked("p1")))), "QUEUE_FULL");
  EXPECT_EQ(GetErrorDetail(store_.Find("shop", "p1").status()).reason, "PAYOUT_NOT_FOUND") << "nothing was done";
}

TEST_F(PayoutApiTest, NamesEachFieldThatIsWrong) {
  const absl::Status wrong = TakeNewPayout("shop", {"a b", "", std::nullopt, "", std::string(141, 'x')}).status();
  std::vector<std::string> fields;
  for (const auto& [field, what] : GetErrorDetail(wrong).violations) fields.push_back(field);
  EXPECT_THAT(fields, ElementsAre("payout_id", "account_id", "amount", "destination", "description"));
  EXPECT_FALSE(TakePayoutId("a/b").ok());
  EXPECT_TRUE(TakePayoutId("a.b:c_d-e").ok());
  EXPECT_EQ(TakeNewPayout("", Asked("p1"))->client, kAnonymous);
  EXPECT_EQ(GetErrorDetail(TakeNewPayout("(waybill)", Asked("p1")).status()).reason, "CLIENT_RESERVED");
}

TEST(WhosePayout, IsTheCallersOwnUnlessAnOperatorNamesAnother) {
  EXPECT_EQ(*WhosePayout("shop", false, ""), "shop");
  EXPECT_EQ(*WhosePayout("shop", false, "shop"), "shop");
  EXPECT_EQ(*WhosePayout("", false, "anonymous"), "anonymous");
  EXPECT_EQ(*WhosePayout("ops", true, ""), "ops");
  EXPECT_EQ(*WhosePayout("ops", true, "shop"), "shop");
  EXPECT_EQ(GetErrorDetail(WhosePayout("rival", false, "shop").status()).reason, "SCOPE_MISSING");
}

}  // namespace
}  // namespace waybill::order
