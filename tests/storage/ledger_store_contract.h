// What every LedgerStore does; run against the one in memory and against Postgres.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "storage/ledger_store.h"
#include "tests/ledger/book_fixture.h"
#include "tests/ledger/random_batches.h"
#include "tests/ledger/reference_ledger.h"
#include "tests/support/eventually.h"

namespace waybill::storage {

// Seals, at most `limit` a batch, until `transfers` are sealed: transactions of whatever database on the same server,
// under way since before, are waited for. The transfers of each batch.
inline std::vector<int64_t> SealUntil(LedgerStore& store, int64_t limit, int64_t transfers) {
  std::vector<int64_t> batches;
  (void)waybill::testing::Eventually(absl::Seconds(30), [&] {
    const absl::StatusOr<int64_t> sealed = store.Seal(limit);
    if (!sealed.ok()) return false;
    if (*sealed > 0) batches.push_back(*sealed);
    transfers -= *sealed;
    return transfers <= 0;
  });
  return batches;
}

class LedgerStoreHarness {
 public:
  virtual ~LedgerStoreHarness() = default;
  virtual LedgerStore& store() = 0;  // empty
  virtual waybill::testing::ManualTime& time() = 0;
  // The newest balance of each account that its listener was told.
  virtual std::map<std::string, ledger::Balance> told() = 0;
};

class LedgerStoreContract : public ::testing::TestWithParam<std::function<std::unique_ptr<LedgerStoreHarness>()>> {
 protected:
  using R = ledger::TransferResult;

  LedgerStore& store() { return harness_->store(); }
  waybill::testing::ManualTime& time() { return harness_->time(); }

  static ledger::NewAccount Account(std::string id, ledger::AccountFlags flags = {}, std::string parent = "") {
    ledger::NewAccount account;
    account.id = std::move(id);
    account.currency = "EUR";
    account.kind = parent.empty() ? "wallet" : "card";
    account.code = 1;
    account.flags = flags;
    account.parent = std::move(parent);
    return account;
  }
  void Open(const std::vector<ledger::NewAccount>& accounts) {
    const auto results = store().CreateAccounts("acme", accounts);
    ASSERT_TRUE(results.ok()) << results.status();
    for (const ledger::AccountResult result : *results) EXPECT_EQ(Name(result), "created");
  }
  std::vector<ledger::Outcome> Post(const std::vector<ledger::NewTransfer>& transfers) {
    const auto outcomes = store().PostAndWait("acme", transfers);
    EXPECT_TRUE(outcomes.ok()) << outcomes.status();
    return outcomes.ok() ? *outcomes : std::vector<ledger::Outcome>(transfers.size());
  }
  std::string Results(const std::vector<ledger::NewTransfer>& transfers) {
    std::string names;
    for (const ledger::Outcome& outcome : Post(transfers)) {
      names += (names.empty() ? "" : " ") + std::string(Name(outcome.result));
    }
    return names;
  }
  ledger::Balance Of(const std::string& account) { return store().GetAccount("acme", account)->balance; }
  std::vector<std::string> Ids(const StatementQuery& query) {
    std::vector<std::string> ids;
    const auto page = store().Statement(query);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const TransferRecord& record : *page) ids.push_back(record.id);
    return ids;
  }
  static std::string ReasonOf(const absl::Status& status) { return GetErrorDetail(status).reason; }
  VerifyReport Sound() {
    const auto report = store().Verify(nullptr);
    EXPECT_TRUE(report.ok()) << report.status();
    for (const std::string& fault : report->faults) ADD_FAILURE() << fault;
    return *report;
  }

  std::unique_ptr<LedgerStoreHarness> harness_ = GetParam()();
};

using ledger::testing::End;
using ledger::testing::Hold;
using ledger::testing::Linked;
using ledger::testing::Move;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_P(LedgerStoreContract, OpensAccountsOnceAndKeepsThemAsTheyAre) {
  ledger::NewAccount wallet = Account("w", {.debits_must_not_exceed_credits = true, .history = true});
  wallet.owner = "ann";
  wallet.metadata = {{"plan", "gold \"x\""}};
  const std::vector<ledger::NewAccount> batch = {
      wallet, Account("c", {}, "w"), Account("c2", {}, "c"), Account("c3", {}, "none"), Account("bad id"), wallet};
  const auto names = [&](const absl::StatusOr<std::vector<ledger::AccountResult>>& results) {
    std::string all;
    for (const ledger::AccountResult result : *results) all += std::string(Name(result)) + " ";
    return all;
  };
  EXPECT_EQ(names(store().CreateAccounts("acme", batch)),
            "created created parent_has_parent parent_not_found id_malformed exists ");
  EXPECT_EQ(names(store().CreateAccounts("acme", batch)),
            "exists exists parent_has_parent parent_not_found id_malformed exists ");
  EXPECT_EQ(names(store().CreateAccounts("other", {Account("c", {}, "w")})), "parent_not_found ");
  wallet.owner = "bob";
  EXPECT_EQ(names(store().CreateAccounts("acme", {wallet})), "exists_with_different_owner ");
  EXPECT_EQ(names(store().CreateAccounts("other", {wallet})), "created ") << "ids are the client's own";

  const auto kept = store().GetAccount("acme", "w");
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(static_cast<const ledger::NewAccount&>(*kept), batch[0]);
  EXPECT_EQ(kept->client, "acme");
  EXPECT_EQ(kept->created_at, time().Now());
  EXPECT_EQ(kept->balance, ledger::Balance());
  EXPECT_EQ(store().GetAccount("acme", "c")->parent, "w");
  EXPECT_EQ(ReasonOf(store().GetAccount("acme", "c3").status()), "LEDGER_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(store().GetAccounts("acme", {"w", "nobody", "c"})->size(), 2u);
}

TEST_P(LedgerStoreContract, ListsAccountsByPages) {
  Open({Account("b"), Account("a"), Account("a1", {}, "a"), Account("a2", {}, "a")});
  ASSERT_TRUE(store().CreateAccounts("zulu", {Account("z")}).ok());
  const auto ids = [&](const AccountQuery& query) {
    std::string all;
    const auto found = store().ListAccounts(query);
    EXPECT_TRUE(found.ok()) << found.status();
    for (const ledger::Account& account : *found) all += account.id + " ";
    return all;
  };
  AccountQuery query;
  EXPECT_EQ(ids(query), "a a1 a2 b z ");
  query.client = "acme";
  query.limit = 2;
  EXPECT_EQ(ids(query), "a a1 ");
  query.after = {"acme", "a1"};
  EXPECT_EQ(ids(query), "a2 b ");
  query.after.reset();
  query.kind = "card";
  EXPECT_EQ(ids(query), "a1 a2 ");
  query.kind.clear();
  query.parent = "a";
  query.after = {"acme", "a1"};
  EXPECT_EQ(ids(query), "a2 ");
  query = {};
  query.currency = "JPY";
  EXPECT_EQ(ids(query), "");
}

TEST_P(LedgerStoreContract, MovesMoneyAndSaysWhatBecameOfEach) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true})});
  const auto outcomes = Post({Move("a", "bank", "w", 100), Move("b", "w", "bank", 101), Move("c", "w", "bank", 40),
                              Move("c", "w", "bank", 40), Move("c", "w", "bank", 41), Move("d", "w", "bank", 0),
                              Move("e", "w", "none", 1)});
  std::vector<std::string> names;
  for (const auto& outcome : outcomes) names.emplace_back(Name(outcome.result));
  EXPECT_THAT(names, ElementsAre("created", "exceeds_credits", "created", "exists", "exists_with_different_amount",
                                 "amount_must_be_positive", "credit_account_not_found"));
  EXPECT_GT(outcomes[0].number, 0);
  EXPECT_GT(outcomes[2].number, outcomes[0].number);
  EXPECT_EQ(outcomes[3].number, outcomes[2].number);
  EXPECT_EQ(outcomes[0].created_at, time().Now());
  const ledger::Balance balance = Of("w");
  EXPECT_EQ(balance.credits_posted, 100);
  EXPECT_EQ(balance.debits_posted, 40);
  EXPECT_EQ(balance.version, 1) << "one commit, one change";
  EXPECT_EQ(harness_->told().at("w"), balance);
  // What was refused stays so, what was malformed does not.
  EXPECT_EQ(Results({Move("more", "bank", "w", 100), Move("b", "w", "bank", 1), Move("d", "w", "bank", 1)}),
            "created exceeds_credits created");
  EXPECT_EQ(*store().GetRefusal("acme", "b"), R::kExceedsCredits);
  EXPECT_EQ(*store().GetRefusal("acme", "a"), std::nullopt);
  EXPECT_EQ(*store().GetRefusal("other", "b"), std::nullopt);
  EXPECT_EQ(ReasonOf(store().GetTransfer("acme", "b").status()), "TRANSFER_NOT_FOUND");
  EXPECT_TRUE(store().PostAndWait("acme", {})->empty());
  EXPECT_EQ(ReasonOf(store().PostAndWait("acme", std::vector<ledger::NewTransfer>(8'001)).status()), "BAD_REQUEST");
}

TEST_P(LedgerStoreContract, KeepsATransferAsItIs) {
  Open({Account("bank"), Account("w")});
  ledger::NewTransfer first = Hold("h", "bank", "w", 100, 60);
  first.user_data = "order 7 \xe2\x82\xac";
  first.code = 12;
  ledger::NewTransfer post = End("p", ledger::Phase::kPost, "h", 30);
  ledger::NewTransfer sweep = Move("s", "w", "bank", 0);
  sweep.balancing_debit = true;
  sweep.corrects = "p";
  ASSERT_EQ(Results({Linked(first), post}), "created created");
  ASSERT_EQ(Results({sweep}), "created");
  const auto held = store().GetTransfer("acme", "h");
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_EQ(static_cast<const ledger::NewTransfer&>(*held), Linked(first));
  EXPECT_EQ(held->resolution, Resolution::kPosted);
  EXPECT_EQ(held->resolved_by, "p");
  const auto posted = store().GetTransfer("acme", "p");
  EXPECT_EQ(posted->debit_account, "bank");
  EXPECT_EQ(posted->currency, "EUR");
  EXPECT_EQ(posted->code, 12);
  EXPECT_EQ(posted->amount_minor, 30);
  EXPECT_EQ(posted->released_minor, 100);
  const auto swept = store().GetTransfer("acme", "s");
  EXPECT_EQ(swept->amount_minor, 30);
  EXPECT_EQ(swept->requested_minor, 0);
  EXPECT_EQ(swept->corrects, "p");
  EXPECT_TRUE(swept->balancing_debit);
  EXPECT_EQ(store().GetTransfers("acme", {"h", "x", "s"})->size(), 2u);
  EXPECT_THAT(*store().GetTransfers("other", {"h"}), IsEmpty());
  // The same again is there; of other accounts it is another's.
  EXPECT_EQ(Results({Linked(first), post}), "exists exists");
  EXPECT_EQ(Results({sweep}), "exists");
}

TEST_P(LedgerStoreContract, HoldsArePostedVoidedOrExpireOnce) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true})});
  ASSERT_EQ(Results({Move("fund", "bank", "w", 100), Hold("a", "w", "bank", 10, 5), Hold("b", "w", "bank", 20, 5),
                     Hold("c", "w", "bank", 30, 6), Hold("d", "w", "bank", 40)}),
            "created created created created created");
  EXPECT_EQ(Results({Move("x", "w", "bank", 1)}), "exceeds_credits");
  EXPECT_EQ(Results({End("pa", ledger::Phase::kPost, "a"), End("va", ledger::Phase::kVoid, "a")}),
            "created pending_transfer_already_posted");
  EXPECT_EQ(*store().ExpireDue(100), 0);
  time().Advance(absl::Seconds(5));
  EXPECT_EQ(Results({End("pb", ledger::Phase::kPost, "b")}), "pending_transfer_expired");
  EXPECT_EQ(store().GetTransfer("acme", "b")->resolution, Resolution::kOpen);
  EXPECT_EQ(*store().ExpireDue(100), 1);
  EXPECT_EQ(*store().ExpireDue(100), 0);
  EXPECT_EQ(store().GetTransfer("acme", "b")->resolution, Resolution::kExpired);
  EXPECT_EQ(store().GetTransfer("acme", "c")->resolution, Resolution::kOpen);
  EXPECT_EQ(Of("w").debits_pending, 70);
  EXPECT_EQ(Of("w").debits_posted, 10);
  time().Advance(absl::Minutes(30));
  EXPECT_EQ(*store().ExpireDue(100), 1);
  EXPECT_EQ(Of("w").debits_pending, 40) << "one without a timeout stays";
  EXPECT_EQ(harness_->told().at("w"), Of("w"));
  EXPECT_EQ(Results({End("vd", ledger::Phase::kVoid, "d")}), "created");
  EXPECT_EQ(store().GetTransfer("acme", "d")->resolution, Resolution::kVoided);
  Sound();
}

TEST_P(LedgerStoreContract, AChainIsAllOrNothing) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true})});
  const std::vector<ledger::NewTransfer> chain = {Linked(Move("a", "bank", "w", 10)),
                                                  Linked(Move("b", "w", "bank", 11)), Move("c", "bank", "w", 1)};
  EXPECT_EQ(Results(chain), "linked_transfer_failed exceeds_credits linked_transfer_failed");
  EXPECT_EQ(Results(chain), "linked_transfer_failed exceeds_credits linked_transfer_failed");
  EXPECT_EQ(Of("w"), ledger::Balance());
  EXPECT_EQ(Results({Linked(Move("b", "w", "bank", 1)), Move("e", "w", "bank", 99)}),
            "exceeds_credits linked_transfer_failed");
  EXPECT_EQ(Results({Linked(Move("e", "w", "bank", 99)), Move("b", "w", "bank", 1)}), "exceeds_credits exceeds_credits")
      << "what was refused stays so, whoever fails";
  EXPECT_EQ(Results({Linked(Move("a", "bank", "w", 10)), Move("d", "w", "bank", 10)}), "created created");
  EXPECT_EQ(Results({Linked(Move("a", "bank", "w", 10)), Move("d", "w", "bank", 10)}), "exists exists");
  EXPECT_EQ(Of("w").version, 1);
}

TEST_P(LedgerStoreContract, WhatBelongsToAnAccountCountsThere) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true, .history = true}),
        Account("card", {.history = true}, "w")});
  EXPECT_EQ(Results({Move("a", "bank", "w", 50), Move("b", "card", "bank", 30), Move("c", "card", "bank", 21)}),
            "created created exceeds_credits");
  EXPECT_EQ(Of("card").debits_posted, 30);
  EXPECT_EQ(Of("w").debits_posted, 30);
  EXPECT_EQ(Results({Move("d", "w", "card", 5)}), "created");
  EXPECT_EQ(Of("w").debits_posted, 35);
  EXPECT_EQ(Of("w").credits_posted, 55);
  const auto lines = store().TrialBalance("acme");
  ASSERT_EQ(lines->size(), 1u);
  EXPECT_EQ(lines->front(), (TrialBalanceLine{"acme", "EUR", "wallet", 2, 85, 85, 0, 0}));
  EXPECT_THAT(*store().TrialBalance("nobody"), IsEmpty());
  EXPECT_EQ(store().TrialBalance(std::nullopt)->size(), 1u);
  Sound();
}

TEST_P(LedgerStoreContract, AClosedAccountTakesNoMore) {
  Open({Account("bank"), Account("w", {.history = true})});
  ASSERT_EQ(Results({Hold("h", "bank", "w", 5), Hold("g", "bank", "w", 6)}), "created created");
  ASSERT_TRUE(store().SetClosed("acme", "w", true).ok());
  ASSERT_TRUE(store().SetClosed("acme", "w", true).ok());
  EXPECT_EQ(ReasonOf(store().SetClosed("other", "w", true)), "LEDGER_ACCOUNT_NOT_FOUND");
  EXPECT_TRUE(store().GetAccount("acme", "w")->flags.closed);
  EXPECT_EQ(Of("w").version, 2);
  EXPECT_EQ(
      Results({Move("a", "bank", "w", 1), End("p", ledger::Phase::kPost, "h"), End("v", ledger::Phase::kVoid, "h")}),
      "credit_account_closed credit_account_closed created");
  ASSERT_TRUE(store().SetClosed("acme", "w", false).ok());
  EXPECT_EQ(Results({Move("b", "bank", "w", 1)}), "created");
  Sound();
}

TEST_P(LedgerStoreContract, StatementsAreReadByPages) {
  Open({Account("bank"), Account("w"), Account("x")});
  const absl::Time start = time().Now();
  for (int n = 0; n < 6; ++n) {
    const std::string id = "t" + std::to_string(n);
    ASSERT_EQ(
        Results({n % 2 == 0 ? Move(id, "bank", "w", 1) : Move(id, "w", "bank", 1), Move(id + "x", "bank", "x", 1)}),
        "created created");
    time().Advance(absl::Seconds(1));
  }
  StatementQuery query;
  query.client = "acme";
  query.account = "w";
  EXPECT_THAT(Ids(query), ElementsAre("t5", "t4", "t3", "t2", "t1", "t0"));
  query.limit = 4;
  EXPECT_THAT(Ids(query), ElementsAre("t5", "t4", "t3", "t2"));
  query.before = store().GetTransfer("acme", "t2")->number;
  EXPECT_THAT(Ids(query), ElementsAre("t1", "t0"));
  query.before.reset();
  query.side = StatementQuery::Side::kDebits;
  EXPECT_THAT(Ids(query), ElementsAre("t5", "t3", "t1"));
  query.side = StatementQuery::Side::kCredits;
  EXPECT_THAT(Ids(query), ElementsAre("t4", "t2", "t0"));
  query.side = StatementQuery::Side::kBoth;
  query.from = start + absl::Seconds(1);
  query.to = start + absl::Seconds(4);
  EXPECT_THAT(Ids(query), ElementsAre("t3", "t2", "t1"));
  query.account = "none";
  EXPECT_EQ(ReasonOf(store().Statement(query).status()), "LEDGER_ACCOUNT_NOT_FOUND");
}

TEST_P(LedgerStoreContract, SaysWhatWasThereBefore) {
  Open({Account("bank"), Account("w", {.history = true})});
  const absl::Time start = time().Now();
  for (int n = 0; n < 4; ++n) {
    time().Advance(absl::Seconds(10));
    ASSERT_EQ(Results({Move("t" + std::to_string(n), "bank", "w", 100)}), "created");
  }
  const auto at = [&](absl::Duration since) { return store().BalanceAt("acme", "w", start + since); };
  EXPECT_EQ(at(absl::Seconds(9))->at, start);
  EXPECT_EQ(at(absl::Seconds(9))->balance, ledger::Balance());
  EXPECT_EQ(at(absl::Seconds(10))->at, start + absl::Seconds(10));
  EXPECT_EQ(at(absl::Seconds(10))->balance, (ledger::Balance{0, 100, 0, 0, 1}));
  EXPECT_EQ(at(absl::Seconds(39))->balance.credits_posted, 300);
  EXPECT_EQ(at(absl::Hours(9))->balance, Of("w"));
  EXPECT_FALSE(at(absl::Hours(9))->settled);
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(30), [&] {
    return store().Seal(100).ok() && at(-absl::Minutes(3))->settled;
  })) << "what is long past is settled";
  EXPECT_EQ(ReasonOf(store().BalanceAt("acme", "bank", start).status()), "HISTORY_NOT_KEPT");
  EXPECT_EQ(ReasonOf(store().BalanceAt("acme", "none", start).status()), "LEDGER_ACCOUNT_NOT_FOUND");
  HistoryQuery query{"acme", "w", {}, 3};
  const auto page = store().History(query);
  ASSERT_EQ(page->size(), 3u);
  EXPECT_EQ(page->front().balance, Of("w"));
  query.before = page->back().balance.version;
  ASSERT_EQ(store().History(query)->size(), 1u);
  EXPECT_EQ(store().History(query)->front().balance.version, 1);
}

TEST_P(LedgerStoreContract, TimeDoesNotRunBackAlongAnAccount) {
  Open({Account("bank"), Account("w", {.history = true})});
  const absl::Time start = time().Now();
  ASSERT_EQ(Results({Move("a", "bank", "w", 1)}), "created");
  time().SetWall(start - absl::Hours(1));
  EXPECT_EQ(Post({Move("b", "bank", "w", 1)}).front().created_at, start);
  EXPECT_EQ(store().BalanceAt("acme", "w", start)->balance.credits_posted, 2);
}

// One that was changed by a process whose clock is ahead.
TEST_P(LedgerStoreContract, AnAccountThatIsAheadKeepsItsTimeToItself) {
  Open({Account("bank"), Account("w"), Account("early", {.history = true}), Account("shop")});
  const absl::Time start = time().Now();
  ASSERT_EQ(Results({Hold("h", "bank", "w", 5, 60)}), "created");
  time().SetWall(start + absl::Minutes(30));
  ASSERT_EQ(Results({Move("a", "shop", "early", 5)}), "created");
  time().SetWall(start + absl::Seconds(1));
  const auto outcomes = Post({Move("b", "early", "shop", 1), Move("c", "bank", "w", 1), Move("d", "early", "bank", 1)});
  EXPECT_EQ(outcomes[0].created_at, start + absl::Minutes(30));
  EXPECT_EQ(outcomes[1].created_at, start + absl::Seconds(1));
  EXPECT_EQ(outcomes[2].created_at, start + absl::Minutes(30));
  EXPECT_EQ(store().GetTransfer("acme", "b")->created_at, start + absl::Minutes(30));
  EXPECT_EQ(store().GetTransfer("acme", "c")->created_at, start + absl::Seconds(1));
  EXPECT_EQ(*store().ExpireDue(10), 0);
  EXPECT_EQ(Results({End("p", ledger::Phase::kPost, "h")}), "created") << "its timeout is not over";
  Sound();
}

TEST_P(LedgerStoreContract, SealsWhatIsCommittedIntoAChain) {
  Open({Account("bank"), Account("w")});
  EXPECT_EQ(Sound().transfers, 0);
  EXPECT_EQ(*store().Seal(10'000), 0);
  ASSERT_EQ(Results({Move("a", "bank", "w", 1), Move("b", "bank", "none", 1), Move("c", "bank", "w", 0)}),
            "created credit_account_not_found amount_must_be_positive");
  EXPECT_EQ(Sound().unsealed, 2);
  EXPECT_EQ(SealUntil(store(), 10'000, 2), std::vector<int64_t>({2})) << "a refusal is sealed as well";
  ASSERT_EQ(Results({Move("d", "bank", "w", 1)}), "created");
  EXPECT_EQ(SealUntil(store(), 10'000, 1), std::vector<int64_t>({1}));
  const auto batches = store().Batches(0, 10);
  ASSERT_EQ(batches->size(), 2u);
  EXPECT_EQ((*batches)[0].previous_hash, std::string(64, '0'));
  EXPECT_EQ((*batches)[1].previous_hash, (*batches)[0].hash);
  EXPECT_EQ((*batches)[1].first_transfer, (*batches)[0].last_transfer + 1);
  EXPECT_EQ(store().Batches(1, 10)->size(), 1u);
  const VerifyReport report = Sound();
  EXPECT_EQ(report.batches, 2);
  EXPECT_EQ(report.unsealed, 0);
  EXPECT_EQ(report.transfers, 3);
  EXPECT_EQ(report.accounts, 2);
  EXPECT_EQ(report.last_hash, (*batches)[1].hash);
  EXPECT_EQ(store().Verify([](const VerifyProgress&) { return false; }).status().code(), absl::StatusCode::kCancelled);
}

TEST_P(LedgerStoreContract, DoesWhatTheReferenceDoes) {
  int world = 0;
  const bool same = rc::check("random batches", [&] {
    if (world == 30) return;  // each takes a commit a batch
    const std::string client = "client" + std::to_string(++world);
    ledger::testing::ReferenceLedger reference;
    reference.now = time().Now();
    std::vector<ledger::NewAccount> accounts;
    for (const auto& account : ledger::testing::kRandomAccounts) {
      accounts.push_back(Account(account.id, account.flags, account.parent));
      accounts.back().currency = account.currency;
      reference.accounts[account.id] = {account.currency, account.flags, account.parent};
    }
    RC_ASSERT(store().CreateAccounts(client, accounts).ok());
    const int ids = *waybill::testing::Within(20, 100);
    const int batches = *waybill::testing::Within(5, 20);
    for (int n = 0; n < batches; ++n) {
      if (*waybill::testing::Below(2) == 0) {
        time().Advance(absl::Seconds(1));
        reference.now += absl::Seconds(1);
      }
      if (*waybill::testing::Below(8) == 0) {
        RC_ASSERT(store().ExpireDue(1'000).ok());
        reference.Expire();
      }
      std::vector<std::string> pendings;
      for (const ledger::Transfer& row : reference.made()) {
        if (row.phase == ledger::Phase::kPending) pendings.push_back(row.id);
      }
      const auto batch = *rc::gen::container<std::vector<ledger::NewTransfer>>(
          *waybill::testing::Within(1, 12), ledger::testing::RandomTransfer(ids, pendings));
      const auto expected = reference.Post(batch);
      const auto outcomes = store().PostAndWait(client, batch);
      RC_ASSERT(outcomes.ok());
      for (size_t at = 0; at < batch.size(); ++at) RC_ASSERT(Name((*outcomes)[at].result) == Name(expected[at]));
    }
    for (const auto& account : ledger::testing::kRandomAccounts) {
      ledger::Balance has = store().GetAccount(client, account.id)->balance;
      has.version = 0;
      RC_ASSERT(has == reference.Of(account.id));
    }
    for (const ledger::Transfer& row : reference.made()) {
      const auto has = store().GetTransfer(client, row.id);
      RC_ASSERT(has.ok());
      RC_ASSERT(has->amount_minor == row.amount_minor);
      RC_ASSERT(has->requested_minor == row.requested_minor || row.phase == ledger::Phase::kExpired);
    }
  });
  EXPECT_TRUE(same);
  Sound();
}

}  // namespace waybill::storage
