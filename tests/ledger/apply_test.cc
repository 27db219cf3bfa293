#include "ledger/apply.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/ledger/book_fixture.h"

namespace waybill::ledger {

void PrintTo(TransferResult result, std::ostream* out) { *out << Name(result); }
void PrintTo(AccountResult result, std::ostream* out) { *out << Name(result); }

namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::End;
using testing::Hold;
using testing::Linked;
using testing::MemoryLedger;
using testing::Move;
using R = TransferResult;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr AccountFlags kNoOverdraft{.debits_must_not_exceed_credits = true};
constexpr AccountFlags kNoSurplus{.credits_must_not_exceed_debits = true};

// Each case begins with: bank and shop; wallet, which holds 100 of the bank and may not be overdrawn; debt, which is
// owed 100 at most; yen; fresh, without any transfer; shut, which is closed and has 10 on hold ("shut-hold"); card,
// which belongs to wallet; "hold" of 40 from wallet to shop, with the code 7 and a timeout of 60 seconds; "held",
// "freed" and "late", which are posted, voided and expired; and "refused", which was.
class ApplyTest : public ::testing::Test {
 protected:
  ApplyTest() {
    ledger_.Open("bank");
    ledger_.Open("shop");
    ledger_.Open("wallet", kNoOverdraft);
    ledger_.Open("debt", kNoSurplus);
    ledger_.Open("fresh");
    ledger_.Open("yen", {}, "", "JPY");
    BookAccount& shut = ledger_.Open("shut");
    ledger_.Open("card", {}, "wallet");
    EXPECT_EQ(ledger_.PostOne(Move("fund", "bank", "wallet", 100)), R::kCreated);
    EXPECT_EQ(ledger_.PostOne(Move("owe", "debt", "bank", 100)), R::kCreated);
    NewTransfer hold = Hold("hold", "wallet", "shop", 40, 60);
    hold.code = 7;
    EXPECT_EQ(ledger_.PostOne(hold), R::kCreated);
    EXPECT_EQ(ledger_.PostOne(Hold("shut-hold", "shut", "shop", 10)), R::kCreated);
    shut.flags.closed = true;
    for (const char* id : {"held", "freed", "late"}) {
      EXPECT_EQ(ledger_.PostOne(Hold(id, "bank", "shop", 5, id == std::string("late") ? 1 : 0)), R::kCreated);
    }
    EXPECT_EQ(ledger_.PostOne(End("held-post", Phase::kPost, "held")), R::kCreated);
    EXPECT_EQ(ledger_.PostOne(End("freed-void", Phase::kVoid, "freed")), R::kCreated);
    EXPECT_EQ(ledger_.PostOne(Move("refused", "wallet", "shop", 1'000)), R::kExceedsCredits);
    ledger_.now += absl::Seconds(1);
    NewTransfer expiry = End(ExpiryId("late"), Phase::kExpired, "late");
    EXPECT_EQ(ledger_.Post({expiry}, 0, true).front().result, R::kCreated);
  }

  MemoryLedger ledger_;
  int cases_ = 0;
};

struct Case {
  TransferResult result;
  NewTransfer transfer;
};

NewTransfer With(NewTransfer transfer, const std::function<void(NewTransfer&)>& change) {
  change(transfer);
  return transfer;
}

// What a published ledger documents of its results, in our words.
std::vector<Case> Cases() {
  const NewTransfer plain = Move("t", "bank", "shop", 1);
  const NewTransfer post = End("t", Phase::kPost, "hold");
  const NewTransfer empty_void = End("t", Phase::kVoid, "hold");
  using T = NewTransfer&;
  return {
      {R::kCreated, plain},
      {R::kIdMalformed, With(plain, [](T t) { t.id = ""; })},
      {R::kIdMalformed, With(plain, [](T t) { t.id = "a b"; })},
      {R::kExists, Move("fund", "bank", "wallet", 100)},
      {R::kExistsWithDifferentPhase, Hold("fund", "bank", "wallet", 100)},
      {R::kExistsWithDifferentPendingId, End("held-post", Phase::kPost, "freed")},
      {R::kExistsWithDifferentTimeout, Hold("held", "bank", "shop", 5, 9)},
      {R::kExistsWithDifferentDebitAccount, Move("fund", "shop", "wallet", 100)},
      {R::kExistsWithDifferentCreditAccount, Move("fund", "bank", "shop", 100)},
      {R::kExistsWithDifferentAmount, Move("fund", "bank", "wallet", 101)},
      {R::kExistsWithDifferentAmount, End("held-post", Phase::kPost, "held", 5)},
      {R::kExistsWithDifferentUserData, With(Move("fund", "bank", "wallet", 100), [](T t) { t.user_data = "x"; })},
      {R::kExistsWithDifferentCurrency, With(Move("fund", "bank", "wallet", 100), [](T t) { t.currency = "JPY"; })},
      {R::kExistsWithDifferentCode, With(Move("fund", "bank", "wallet", 100), [](T t) { t.code = 2; })},
      {R::kExistsWithDifferentBalancing,
       With(Move("fund", "bank", "wallet", 100), [](T t) { t.balancing_debit = true; })},
      {R::kExistsWithDifferentCorrects, With(Move("fund", "bank", "wallet", 100), [](T t) { t.corrects = "owe"; })},
      // What exists is compared before it is looked at closer, and what a post leaves out is as it was.
      {R::kExistsWithDifferentAmount, Move("fund", "bank", "wallet", -1)},
      {R::kExists, With(End("held-post", Phase::kPost, "held"), [](T t) { t.debit_account = "bank"; })},
      {R::kExistsWithDifferentDebitAccount,
       With(End("held-post", Phase::kPost, "held"), [](T t) { t.debit_account = "shop"; })},
      // What was refused stays so, whatever is asked for now.
      {R::kExceedsCredits, Move("refused", "bank", "shop", 1)},
      {R::kExceedsCredits, Move("refused", "", "", -1)},
      {R::kPhaseReserved, With(post, [](T t) { t.phase = Phase::kExpired; })},
      {R::kBalancingReserved, With(post, [](T t) { t.balancing_debit = true; })},
      {R::kBalancingReserved, With(empty_void, [](T t) { t.balancing_credit = true; })},
      {R::kDebitAccountMalformed, With(plain, [](T t) { t.debit_account = ""; })},
      {R::kDebitAccountMalformed, With(post, [](T t) { t.debit_account = "/"; })},
      {R::kCreditAccountMalformed, With(plain, [](T t) { t.credit_account = std::string(65, 'a'); })},
      {R::kAccountsMustBeDifferent, With(plain, [](T t) { t.credit_account = "bank"; })},
      {R::kPendingIdMustBeEmpty, With(plain, [](T t) { t.pending_id = "hold"; })},
      {R::kPendingIdMustBeEmpty, With(Hold("t", "bank", "shop", 1), [](T t) { t.pending_id = "hold"; })},
      {R::kPendingIdMalformed, With(post, [](T t) { t.pending_id = ""; })},
      {R::kPendingIdMustBeDifferent, With(post, [](T t) { t.pending_id = "t"; })},
      {R::kTimeoutReserved, With(plain, [](T t) { t.timeout_seconds = 1; })},
      {R::kTimeoutReserved, With(post, [](T t) { t.timeout_seconds = 1; })},
      {R::kTimeoutOutOfRange, Hold("t", "bank", "shop", 1, -1)},
      {R::kTimeoutOutOfRange, Hold("t", "bank", "shop", 1, kTimeoutMax + 1)},
      {R::kCreated, Hold("t", "bank", "shop", 1, kTimeoutMax)},
      {R::kAmountMustBePositive, Move("t", "bank", "shop", 0)},
      {R::kAmountMustBePositive, Move("t", "bank", "shop", -1)},
      {R::kAmountMustBePositive, Hold("t", "bank", "shop", 0)},
      {R::kAmountMustBePositive, End("t", Phase::kPost, "hold", -1)},
      {R::kCurrencyUnknown, With(plain, [](T t) { t.currency = "XXX"; })},
      {R::kCurrencyUnknown, With(plain, [](T t) { t.currency = ""; })},
      {R::kCodeMustBePositive, With(plain, [](T t) { t.code = 0; })},
      {R::kCodeMustBePositive, With(post, [](T t) { t.code = -1; })},
      {R::kUserDataMalformed, With(plain, [](T t) { t.user_data = "\xff"; })},
      {R::kUserDataMalformed, With(plain, [](T t) { t.user_data = "a\nb"; })},
      {R::kUserDataMalformed, With(plain, [](T t) { t.user_data = std::string(129, 'x'); })},
      {R::kCorrectsMalformed, With(plain, [](T t) { t.corrects = "?"; })},
      {R::kCorrectsMustBeDifferent, With(plain, [](T t) { t.corrects = "t"; })},
      {R::kPendingTransferNotFound, End("t", Phase::kPost, "none")},
      {R::kPendingTransferNotFound, End("t", Phase::kPost, "refused")},
      {R::kPendingTransferNotPending, End("t", Phase::kPost, "fund")},
      {R::kPendingTransferNotPending, End("t", Phase::kVoid, "held-post")},
      {R::kDebitAccountNotFound, Move("t", "none", "shop", 1)},
      {R::kDebitAccountNotFound, Move("t", "none", "neither", 1)},
      {R::kCreditAccountNotFound, Move("t", "bank", "none", 1)},
      {R::kDebitAccountHasDifferentCurrency, Move("t", "yen", "shop", 1)},
      {R::kCreditAccountHasDifferentCurrency, Move("t", "bank", "yen", 1)},
      {R::kPendingTransferHasDifferentDebitAccount, With(post, [](T t) { t.debit_account = "shop"; })},
      {R::kPendingTransferHasDifferentCreditAccount, With(post, [](T t) { t.credit_account = "bank"; })},
      {R::kPendingTransferHasDifferentCurrency, With(post, [](T t) { t.currency = "JPY"; })},
      {R::kPendingTransferHasDifferentCode, With(post, [](T t) { t.code = 8; })},
      {R::kExceedsPendingTransferAmount, End("t", Phase::kPost, "hold", 41)},
      {R::kExceedsPendingTransferAmount, End("t", Phase::kVoid, "hold", 41)},
      {R::kPendingTransferHasDifferentAmount, End("t", Phase::kVoid, "hold", 39)},
      {R::kCreated, End("t", Phase::kVoid, "hold", 40)},
      {R::kCreated, End("t", Phase::kPost, "hold", 40)},
      {R::kCreated, End("t", Phase::kPost, "hold", 1)},
      {R::kCreated, With(post, [](T t) { t.code = 7; })},
      {R::kPendingTransferAlreadyPosted, End("t", Phase::kPost, "held")},
      {R::kPendingTransferAlreadyPosted, End("t", Phase::kVoid, "held")},
      {R::kPendingTransferAlreadyVoided, End("t", Phase::kPost, "freed")},
      {R::kPendingTransferExpired, End("t", Phase::kPost, "late")},
      {R::kPendingTransferExpired, End("t", Phase::kVoid, "late")},
      {R::kCorrectedTransferNotFound, With(plain, [](T t) { t.corrects = "none"; })},
      {R::kCorrectedTransferNotFound, With(plain, [](T t) { t.corrects = "refused"; })},
      {R::kCorrectedTransferNotPosted, With(plain, [](T t) { t.corrects = "hold"; })},
      {R::kCorrectedTransferNotPosted, With(plain, [](T t) { t.corrects = "freed-void"; })},
      {R::kCreated, With(plain, [](T t) { t.corrects = "held-post"; })},
      {R::kDebitAccountClosed, Move("t", "shut", "shop", 1)},
      {R::kCreditAccountClosed, Move("t", "bank", "shut", 1)},
      {R::kDebitAccountClosed, End("t", Phase::kPost, "shut-hold")},
      {R::kCreated, End("t", Phase::kVoid, "shut-hold")},
      {R::kOverflowsDebits, Move("t", "bank", "shop", kMost)},
      {R::kOverflowsDebits, Hold("t", "bank", "shop", kMost - 104)},
      {R::kOverflowsCredits, Move("t", "fresh", "shop", kMost)},
      {R::kExceedsCredits, Move("t", "wallet", "shop", 61)},
      {R::kExceedsCredits, Hold("t", "wallet", "shop", 61)},
      {R::kCreated, Move("t", "wallet", "shop", 60)},
      {R::kExceedsDebits, Move("t", "bank", "debt", 101)},
      {R::kCreated, Move("t", "bank", "debt", 100)},
      // A card without money of its own spends its account's.
      {R::kExceedsCredits, Move("t", "card", "shop", 61)},
      {R::kCreated, Move("t", "card", "shop", 60)},
  };
}

TEST_F(ApplyTest, HasTheResultsThatAreDocumented) {
  for (Case& each : Cases()) {
    MemoryLedger& ledger = ledger_;
    if (each.transfer.id == "t") each.transfer.id = "t" + std::to_string(++cases_);
    if (each.transfer.pending_id == "t") each.transfer.pending_id = each.transfer.id;
    if (each.transfer.corrects == "t") each.transfer.corrects = each.transfer.id;
    // Within a chain whose last one fails, so that the next case finds everything as it was.
    const std::vector<TransferResult> results =
        ledger.Results({Linked(each.transfer), Move("end" + std::to_string(cases_), "none", "none", -1)});
    const TransferResult got = results.front();
    const bool went = got == R::kLinkedTransferFailed;
    EXPECT_EQ(went ? R::kCreated : got, each.result) << each.transfer.id;
  }
}

TEST_F(ApplyTest, ARefusalIsKeptAndAMistakeIsNot) {
  EXPECT_EQ(ledger_.PostOne(Move("a", "wallet", "shop", 0)), R::kAmountMustBePositive);
  EXPECT_EQ(ledger_.rows, 0);
  EXPECT_EQ(ledger_.PostOne(Move("a", "wallet", "shop", 61)), R::kExceedsCredits);
  EXPECT_EQ(ledger_.rows, 1);
  EXPECT_EQ(ledger_.PostOne(Move("more", "bank", "wallet", 61)), R::kCreated);
  EXPECT_EQ(ledger_.PostOne(Move("a", "wallet", "shop", 61)), R::kExceedsCredits);
  EXPECT_EQ(ledger_.PostOne(Move("b", "wallet", "shop", 61)), R::kCreated);
}

TEST_F(ApplyTest, HoldsAndPostsInPart) {
  const Balance before = ledger_.Of("wallet");
  EXPECT_EQ(before.debits_pending, 40);
  EXPECT_EQ(ledger_.Post({End("p", Phase::kPost, "hold", 15)}).front().amount_minor, 15);
  EXPECT_EQ(ledger_.Of("wallet").debits_posted, 15);
  EXPECT_EQ(ledger_.Of("wallet").debits_pending, 0);
  EXPECT_EQ(ledger_.Of("wallet").version, before.version + 1);
  EXPECT_EQ(ledger_.PostOne(End("q", Phase::kVoid, "hold")), R::kPendingTransferAlreadyPosted);
}

TEST_F(ApplyTest, AHoldIsOverWhenItsTimeIs) {
  ledger_.now += absl::Seconds(59);
  EXPECT_EQ(ledger_.PostOne(End("p", Phase::kPost, "hold")), R::kPendingTransferExpired);
  EXPECT_EQ(ledger_.Of("wallet").debits_pending, 40) << "until the chore comes by";
  const NewTransfer expiry = End(ExpiryId("hold"), Phase::kExpired, "hold");
  EXPECT_EQ(ledger_.Post({expiry}, 0, true).front().result, R::kCreated);
  EXPECT_EQ(ledger_.Of("wallet").debits_pending, 0);
  EXPECT_EQ(ledger_.Post({expiry}, 0, true).front().result, R::kExists);
  EXPECT_EQ(ledger_.Of("wallet").debits_pending, 0);
}

TEST_F(ApplyTest, NothingExpiresBeforeItsTime) {
  const NewTransfer early = End(ExpiryId("hold"), Phase::kExpired, "hold");
  EXPECT_EQ(ledger_.Post({early}, 0, true).front().result, R::kPendingTransferNotPending);
  EXPECT_EQ(ledger_.rows, 0);
  EXPECT_EQ(ledger_.PostOne(End("p", Phase::kPost, "hold")), R::kCreated);
  ledger_.now += absl::Seconds(60);
  EXPECT_EQ(ledger_.Post({early}, 0, true).front().result, R::kPendingTransferAlreadyPosted);
}

TEST_F(ApplyTest, APendingOneCanBePostedInItsOwnBatch) {
  EXPECT_THAT(
      ledger_.Results({Hold("h", "wallet", "shop", 60), End("p", Phase::kPost, "h"), End("v", Phase::kVoid, "h")}),
      ElementsAre(R::kCreated, R::kCreated, R::kPendingTransferAlreadyPosted));
  EXPECT_EQ(ledger_.Of("wallet").debits_posted, 60);
}

TEST_F(ApplyTest, BalancingTakesWhatThereIs) {
  NewTransfer sweep = Move("s", "wallet", "shop", 0);
  sweep.balancing_debit = true;
  EXPECT_EQ(ledger_.Post({sweep}).front().amount_minor, 60) << "but for what is held";
  sweep.id = "s2";
  EXPECT_THAT(ledger_.Post({sweep}), ElementsAre(::testing::Field(&Outcome::amount_minor, 0)));
  EXPECT_EQ(ledger_.Results({sweep}), std::vector{R::kExists});
  sweep = Move("s3", "bank", "debt", 30);
  sweep.balancing_credit = true;
  EXPECT_EQ(ledger_.Post({sweep}).front().amount_minor, 30);
  sweep.id = "s4";
  sweep.amount_minor = 100;
  EXPECT_EQ(ledger_.Post({sweep}).front().amount_minor, 70);
  EXPECT_EQ(ledger_.Results({sweep}), std::vector{R::kExists}) << "as it was asked for";
  sweep.amount_minor = 70;
  EXPECT_EQ(ledger_.Results({sweep}), std::vector{R::kExistsWithDifferentAmount});
}

TEST_F(ApplyTest, WhatBelongsToAnAccountCountsThere) {
  ledger_.Open("savings", kNoOverdraft, "wallet");
  EXPECT_EQ(ledger_.PostOne(Move("a", "wallet", "savings", 50)), R::kCreated);
  EXPECT_EQ(ledger_.Of("wallet").debits_posted, 50);
  EXPECT_EQ(ledger_.Of("wallet").credits_posted, 150);
  EXPECT_EQ(ledger_.PostOne(Move("b", "savings", "shop", 51)), R::kExceedsCredits) << "its own";
  EXPECT_EQ(ledger_.PostOne(Move("c", "savings", "shop", 50)), R::kCreated);
  EXPECT_EQ(ledger_.PostOne(Move("d", "card", "shop", 11)), R::kExceedsCredits) << "its account's";
  EXPECT_EQ(ledger_.PostOne(Move("e", "card", "savings", 10)), R::kCreated) << "stays within the account";
}

TEST_F(ApplyTest, WhatBelongsToAClosedAccountIsClosed) {
  ledger_.book().FindAccount(MemoryLedger::kClient, "wallet")->flags.closed = true;
  EXPECT_EQ(ledger_.PostOne(Move("a", "bank", "card", 1)), R::kCreditAccountClosed);
}

// Chains.

TEST_F(ApplyTest, AChainIsMadeAsAWhole) {
  EXPECT_THAT(ledger_.Results({Linked(Move("a", "bank", "wallet", 10)), Linked(Move("b", "wallet", "shop", 70)),
                               Move("c", "shop", "bank", 1), Move("d", "bank", "shop", 1)}),
              Each(R::kCreated));
}

TEST_F(ApplyTest, OfAChainThatFailsNothingIsLeftButWhyItDid) {
  const Balance wallet = ledger_.Of("wallet"), shop = ledger_.Of("shop");
  const std::vector<NewTransfer> chain = {Linked(Move("a", "bank", "wallet", 10)),
                                          Linked(Move("b", "wallet", "shop", 71)), Move("c", "shop", "bank", 1)};
  EXPECT_THAT(ledger_.Results(chain),
              ElementsAre(R::kLinkedTransferFailed, R::kExceedsCredits, R::kLinkedTransferFailed));
  EXPECT_EQ(ledger_.rows, 1);
  EXPECT_EQ(ledger_.Of("wallet"), wallet);
  EXPECT_EQ(ledger_.Of("shop"), shop);
  EXPECT_THAT(ledger_.Results(chain),
              ElementsAre(R::kLinkedTransferFailed, R::kExceedsCredits, R::kLinkedTransferFailed));
  EXPECT_EQ(ledger_.PostOne(Move("a", "bank", "wallet", 10)), R::kCreated) << "its id is free";
}

TEST_F(ApplyTest, WhatWasRefusedStaysRefusedInAnyChain) {
  ASSERT_EQ(ledger_.PostOne(Move("no", "wallet", "shop", 1'000)), R::kExceedsCredits);
  EXPECT_THAT(ledger_.Results({Linked(Move("a", "wallet", "shop", 1'000)), Linked(Move("no", "wallet", "shop", 1)),
                               Move("c", "bank", "shop", 1)}),
              ElementsAre(R::kExceedsCredits, R::kExceedsCredits, R::kLinkedTransferFailed));
  EXPECT_THAT(ledger_.Results({Linked(Move("d", "bank", "shop", 1)), Linked(Move("no", "wallet", "shop", 1)),
                               Linked(Move("a", "bank", "shop", 1))}),
              ElementsAre(R::kLinkedTransferFailed, R::kExceedsCredits, R::kLinkedChainOpen));
  EXPECT_THAT(ledger_.Results({Linked(Move("e", "wallet", "shop", 1'000)), Move("e", "bank", "shop", 1)}),
              ElementsAre(R::kExceedsCredits, R::kExceedsCredits))
      << "its chain has it twice";
}

TEST_F(ApplyTest, AHoldThatAChainEndedIsOpenAgainWhenTheChainFails) {
  EXPECT_THAT(ledger_.Results({Linked(End("p", Phase::kPost, "hold")), Move("b", "wallet", "shop", 61)}),
              ElementsAre(R::kLinkedTransferFailed, R::kExceedsCredits));
  EXPECT_EQ(ledger_.PostOne(End("v", Phase::kVoid, "hold")), R::kCreated);
}

TEST_F(ApplyTest, AChainThatWasMadeIsThere) {
  const std::vector<NewTransfer> chain = {Linked(Move("a", "bank", "wallet", 10)), Move("b", "wallet", "shop", 70)};
  EXPECT_THAT(ledger_.Results(chain), Each(R::kCreated));
  EXPECT_THAT(ledger_.Results(chain), Each(R::kExists));
  EXPECT_EQ(ledger_.rows, 0);
}

TEST_F(ApplyTest, AChainOfWhichAPartIsThereIsNotMade) {
  EXPECT_EQ(ledger_.PostOne(Move("a", "bank", "wallet", 10)), R::kCreated);
  EXPECT_THAT(ledger_.Results({Linked(Move("a", "bank", "wallet", 10)), Move("b", "bank", "shop", 1)}),
              ElementsAre(R::kExists, R::kLinkedTransferFailed));
  EXPECT_THAT(ledger_.Results({Linked(Move("b", "bank", "shop", 1)), Linked(Move("a", "bank", "wallet", 10)),
                               Move("c", "bank", "shop", 1)}),
              ElementsAre(R::kLinkedTransferFailed, R::kExists, R::kLinkedTransferFailed));
  EXPECT_EQ(ledger_.rows, 0);
}

TEST_F(ApplyTest, AChainHasAnEndAndNoIdTwice) {
  EXPECT_THAT(ledger_.Results({Move("x", "bank", "shop", 1), Linked(Move("a", "bank", "shop", 1)),
                               Linked(Move("b", "bank", "shop", 1))}),
              ElementsAre(R::kCreated, R::kLinkedTransferFailed, R::kLinkedChainOpen));
  EXPECT_EQ(ledger_.PostOne(Linked(Move("c", "bank", "shop", 1))), R::kLinkedChainOpen);
  EXPECT_THAT(ledger_.Results({Linked(Move("d", "bank", "shop", 1)), Move("d", "bank", "shop", 1)}),
              ElementsAre(R::kLinkedTransferFailed, R::kLinkedIdRepeated));
  EXPECT_EQ(ledger_.rows, 0);
}

TEST_F(ApplyTest, CorrectionsGoEitherWayAndTheirSumIsNotBounded) {
  const auto correct = [&](NewTransfer transfer) {
    transfer.corrects = "fund";  // 100 from bank to wallet
    return ledger_.PostOne(transfer);
  };
  EXPECT_EQ(correct(Move("a", "bank", "wallet", 900)), R::kCreated) << "it should have been 1,000";
  EXPECT_EQ(correct(Move("b", "wallet", "shop", 500)), R::kCreated) << "and half of it elsewhere";
  EXPECT_EQ(correct(Move("c", "wallet", "bank", 300)), R::kCreated);
  EXPECT_EQ(correct(Move("d", "wallet", "bank", 300)), R::kExceedsCredits) << "what there is, is the bound";
}

// Time.

TEST_F(ApplyTest, AnAccountThatIsAheadKeepsItsTimeToItself) {
  const absl::Time ahead = ledger_.now + absl::Hours(9);
  BookAccount& shop = *ledger_.book().FindAccount(MemoryLedger::kClient, "shop");
  BookAccount& bank = *ledger_.book().FindAccount(MemoryLedger::kClient, "bank");
  shop.changed_at = ahead;
  const auto outcomes = ledger_.Post({Move("a", "wallet", "shop", 1), Move("b", "bank", "debt", 1),
                                      Linked(Move("c", "bank", "shop", 1)), Move("d", "wallet", "bank", 1'000)});
  EXPECT_EQ(outcomes[0].created_at, ahead);
  EXPECT_EQ(outcomes[1].created_at, ledger_.now);
  EXPECT_EQ(bank.changed_at, ledger_.now) << "of a chain that failed nothing is left";
  EXPECT_EQ(ledger_.PostOne(End("p", Phase::kPost, "hold")), R::kCreated) << "its timeout is not over";
}

// Repeated calls.

TEST_F(ApplyTest, ACallWhoseAnswerWasLostIsToldWhatItMade) {
  const std::vector<NewTransfer> batch = {Move("a", "bank", "shop", 1), Linked(Move("b", "bank", "shop", 1)),
                                          Move("c", "bank", "shop", 1), Move("a", "bank", "shop", 1),
                                          Move("d", "wallet", "shop", 999)};
  const auto first = ledger_.Post(batch, 77);
  EXPECT_EQ(first[0].result, R::kCreated);
  EXPECT_EQ(first[3].result, R::kExists);
  EXPECT_EQ(first[3].number, first[0].number);
  EXPECT_EQ(first[4].result, R::kExceedsCredits);
  EXPECT_EQ(ledger_.Post(batch, 77), first);
  EXPECT_EQ(ledger_.rows, 0);
  EXPECT_EQ(ledger_.Post(batch, 78)[0].result, R::kExists);
}

TEST(LedgerAccounts, AreCheckedFieldByField) {
  NewAccount good{"a", "ann", "EUR", "wallet", 1, {}, "p", {{"plan", "gold"}}};
  const auto check = [&](const std::function<void(NewAccount&)>& change) {
    NewAccount account = good;
    change(account);
    return CheckAccount(account);
  };
  using A = AccountResult;
  EXPECT_EQ(CheckAccount(good), A::kCreated);
  EXPECT_EQ(check([](NewAccount& a) { a.id = "/"; }), A::kIdMalformed);
  EXPECT_EQ(check([](NewAccount& a) { a.owner = "\n"; }), A::kOwnerMalformed);
  EXPECT_EQ(check([](NewAccount& a) { a.currency = "eur"; }), A::kCurrencyUnknown);
  EXPECT_EQ(check([](NewAccount& a) { a.kind = ""; }), A::kKindMalformed);
  EXPECT_EQ(check([](NewAccount& a) { a.code = 0; }), A::kCodeMustBePositive);
  EXPECT_EQ(check([](NewAccount& a) {
              a.flags.debits_must_not_exceed_credits = a.flags.credits_must_not_exceed_debits = true;
            }),
            A::kFlagsAreMutuallyExclusive);
  EXPECT_EQ(check([](NewAccount& a) { a.metadata["k"] = std::string(257, 'x'); }), A::kMetadataMalformed);
  EXPECT_EQ(check([](NewAccount& a) { a.parent = "/"; }), A::kParentMalformed);
  EXPECT_EQ(check([](NewAccount& a) { a.parent = "a"; }), A::kParentMustBeDifferent);
}

TEST(LedgerAccounts, AreComparedFieldByField) {
  const NewAccount has{"a", "ann", "EUR", "wallet", 1, {}, "p", {{"plan", "gold"}}};
  const auto compare = [&](const std::function<void(NewAccount&)>& change) {
    NewAccount account = has;
    change(account);
    return CompareAccount(account, has);
  };
  using A = AccountResult;
  EXPECT_EQ(compare([](NewAccount&) {}), A::kExists);
  EXPECT_EQ(compare([](NewAccount& a) { a.flags.closed = true; }), A::kExists);
  EXPECT_EQ(compare([](NewAccount& a) { a.flags.history = true; }), A::kExistsWithDifferentFlags);
  EXPECT_EQ(compare([](NewAccount& a) { a.owner = "bob"; }), A::kExistsWithDifferentOwner);
  EXPECT_EQ(compare([](NewAccount& a) { a.currency = "USD"; }), A::kExistsWithDifferentCurrency);
  EXPECT_EQ(compare([](NewAccount& a) { a.kind = "card"; }), A::kExistsWithDifferentKind);
  EXPECT_EQ(compare([](NewAccount& a) { a.code = 2; }), A::kExistsWithDifferentCode);
  EXPECT_EQ(compare([](NewAccount& a) { a.parent = ""; }), A::kExistsWithDifferentParent);
  EXPECT_EQ(compare([](NewAccount& a) { a.metadata.clear(); }), A::kExistsWithDifferentMetadata);
}

TEST(LedgerAccounts, BelongToAnAccountThatBelongsToNone) {
  const NewAccount account{"a", "", "EUR", "card", 1, {}, "p", {}};
  NewAccount parent{"p", "", "EUR", "wallet", 1, {}, "", {}};
  EXPECT_EQ(CheckParent(account, &parent), AccountResult::kCreated);
  EXPECT_EQ(CheckParent(account, nullptr), AccountResult::kParentNotFound);
  parent.flags.closed = true;
  EXPECT_EQ(CheckParent(account, &parent), AccountResult::kParentClosed);
  parent.currency = "USD";
  EXPECT_EQ(CheckParent(account, &parent), AccountResult::kParentHasDifferentCurrency);
  parent.parent = "g";
  EXPECT_EQ(CheckParent(account, &parent), AccountResult::kParentHasParent);
}

}  // namespace
}  // namespace waybill::ledger
