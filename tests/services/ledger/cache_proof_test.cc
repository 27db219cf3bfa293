#include "services/ledger/cache_proof.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "storage/testing/memory_ledger_store.h"
#include "tests/ledger/book_fixture.h"

namespace waybill::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Move;

class FakeCache final : public storage::BalanceCache {
 public:
  absl::StatusOr<Found> Get(const std::string&, const std::string&, absl::Duration) override { return Found(); }
  absl::Status Put(const std::string&, const std::string&, const storage::CachedBalance&, absl::Time) override {
    return absl::OkStatus();
  }
  absl::StatusOr<std::map<std::string, storage::CachedBalance>> Peek(
      const std::string& client, const std::vector<std::string>& accounts) override {
    if (!error.ok()) return error;
    std::map<std::string, storage::CachedBalance> found;
    for (const std::string& account : accounts) {
      const auto it = balances.find({client, account});
      if (it != balances.end()) found.emplace(account, it->second);
    }
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    return found;
  }

  absl::Status error;
  std::function<void()> meanwhile;  // between the cache's answer and what comes next
  std::map<std::pair<std::string, std::string>, storage::CachedBalance> balances;
};

class CacheProofTest : public ::testing::Test {
 protected:
  CacheProofTest() {
    for (const char* client : {"acme", "other"}) {
      std::vector<NewAccount> accounts(3);
      for (size_t n = 0; n < 3; ++n) {
        accounts[n].id = std::vector<std::string>{"bank", "kept", "w"}[n];
        accounts[n].currency = "EUR";
        accounts[n].kind = "wallet";
        accounts[n].code = 1;
        accounts[n].flags.history = accounts[n].id == "kept";
      }
      EXPECT_TRUE(store_.CreateAccounts(client, accounts).ok());
    }
    for (int n = 0; n < 3; ++n) Post(n);
  }
  void Post(int n) {
    const std::string id = std::to_string(n);
    EXPECT_TRUE(store_.PostAndWait("acme", {Move("a" + id, "bank", "w", 10), Move("b" + id, "bank", "kept", 10)}).ok());
  }
  storage::CachedBalance& Cached(const std::string& account) { return cache_.balances[{"acme", account}]; }
  storage::VerifyReport Verify() {
    storage::VerifyReport report;
    EXPECT_TRUE(VerifyCache(store_, cache_, report, nullptr).ok());
    return report;
  }

  waybill::testing::ManualTime time_;
  storage::testing::MemoryLedgerStore store_{time_};
  FakeCache cache_;
};

TEST_F(CacheProofTest, OlderIsRightAndAnythingElseIsNot) {
  EXPECT_EQ(Verify().cached, 0);
  Cached("w") = {{0, 30, 0, 0, 3}, "EUR"};
  Cached("kept") = {{0, 20, 0, 0, 2}, "EUR"};
  cache_.balances[{"other", "w"}] = {{}, "EUR"};
  EXPECT_THAT(Verify().faults, IsEmpty());
  EXPECT_EQ(Verify().cached, 3);

  Cached("w").balance.credits_posted = 31;
  EXPECT_THAT(Verify().faults,
              ElementsAre("the cache's balance of account w of acme of version 3 has debits 0 and credits "
                          "31 posted, 0 and 0 pending; the account had debits 0 and credits 30 posted, 0 "
                          "and 0 pending"));
  Cached("w") = {{0, 40, 0, 0, 4}, "EUR"};
  EXPECT_THAT(Verify().faults,
              ElementsAre("the cache's balance of account w of acme is of version 4, and the account's of 3"));
  Cached("w") = {{0, 30, 0, 0, 3}, "JPY"};
  EXPECT_THAT(Verify().faults, ElementsAre(HasSubstr("is in JPY")));
  Cached("w") = {{0, 25, 0, 0, 2}, "EUR"};
  EXPECT_THAT(Verify().faults, IsEmpty()) << "nobody knows any more";
  Cached("kept").balance.credits_posted = 25;
  EXPECT_THAT(Verify().faults, ElementsAre(HasSubstr("kept of acme of version 2 has debits 0 and credits 25")));
}

TEST_F(CacheProofTest, WhatIsWrittenMeanwhileIsNoFault) {
  Cached("w") = {{0, 30, 0, 0, 3}, "EUR"};
  cache_.meanwhile = [this] {
    Post(3);
    Cached("w") = {{0, 40, 0, 0, 4}, "EUR"};
  };
  EXPECT_THAT(Verify().faults, IsEmpty());
}

TEST_F(CacheProofTest, WithoutACacheNothingIsWrong) {
  cache_.error = absl::UnavailableError("");
  EXPECT_EQ(Verify().cached, -1);
  EXPECT_TRUE(Verify().sound());
  store_.set_error(absl::UnavailableError("away"));
  storage::VerifyReport report;
  EXPECT_FALSE(VerifyCache(store_, cache_, report, nullptr).ok());
}

TEST_F(CacheProofTest, EndsWhenNobodyWantsToKnow) {
  storage::VerifyReport report;
  EXPECT_TRUE(absl::IsCancelled(VerifyCache(store_, cache_, report, [](const auto&) { return false; })));
}

}  // namespace
}  // namespace waybill::ledger
