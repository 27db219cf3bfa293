#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/database.h"
#include "bench/ledger_load.h"
#include "bench/plain_ledger.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "tests/support/postgres.h"

namespace waybill::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr int64_t kAccounts = 20;

// What the ledger is measured by does what it is said to do, or the figures would mean nothing.
TEST(PlainLedger, TakesEachTransferOfALoadOnceAndKeepsItsBooks) {
  auto database = FreshDatabase::Create(waybill::testing::SharedPostgresUrl(), "waybill_plain_ledger");
  ASSERT_TRUE(database.ok()) << database.status();
  auto plain = PlainLedger::Start({.database_url = (*database)->url(), .connections = 4});
  ASSERT_TRUE(plain.ok()) << plain.status();
  LedgerLoadOptions options;
  options.target = fmt::format("127.0.0.1:{}", (*plain)->port());
  ASSERT_EQ(OpenAccounts(options.target, kAccounts), absl::OkStatus());
  options.run = "load";
  options.callers = 16;
  options.accounts = kAccounts;
  options.hot = 0.5;
  options.duration = absl::Milliseconds(300);
  SteadyTimer timer;
  const LedgerLoadResult load = LedgerLoad(options, timer).Run({});
  EXPECT_THAT(load.outcomes, ElementsAre(Pair("CREATED", load.created())));
  EXPECT_GT(load.transfers, 0);
  EXPECT_EQ(load.calls, load.created());

  auto connection = storage::Connection::Open((*database)->url(), {});
  ASSERT_TRUE(connection.ok());
  auto rows = (*connection)
                  ->Execute(
                      "SELECT (SELECT count(*) FROM transfers), (SELECT sum(debits - credits)::bigint FROM accounts), "
                      "(SELECT count(*) FROM accounts WHERE limited AND debits > credits), "
                      "(SELECT sum(credits)::bigint FROM accounts) = (SELECT sum(amount)::bigint FROM transfers)");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->Int(0, 0), load.created() + FundingTransfers(kAccounts));
  EXPECT_EQ(rows->Int(0, 1), 0);
  EXPECT_EQ(rows->Int(0, 2), 0);
  EXPECT_TRUE(rows->Bool(0, 3));
}

TEST(PlainLedger, OverdrawsNoAccount) {
  auto database = FreshDatabase::Create(waybill::testing::SharedPostgresUrl(), "waybill_plain_ledger_overdrawn");
  ASSERT_TRUE(database.ok()) << database.status();
  auto plain = PlainLedger::Start({.database_url = (*database)->url(), .connections = 4});
  ASSERT_TRUE(plain.ok()) << plain.status();
  LedgerLoadOptions options;
  options.target = fmt::format("127.0.0.1:{}", (*plain)->port());
  ASSERT_EQ(OpenAccounts(options.target, 2), absl::OkStatus());
  auto connection = storage::Connection::Open((*database)->url(), {});
  ASSERT_TRUE(connection.ok());
  ASSERT_TRUE((*connection)->Execute("UPDATE accounts SET credits = 10, debits = 0 WHERE limited").ok());
  options.run = "load";
  options.callers = 8;
  options.accounts = 2;
  options.hot = 1;  // always from the one to the other
  options.duration = absl::Milliseconds(200);
  SteadyTimer timer;
  const LedgerLoadResult load = LedgerLoad(options, timer).Run({});
  EXPECT_GT(load.outcomes.at("EXCEEDS_CREDITS"), 0);
  auto rows = (*connection)->Execute("SELECT min(credits - debits)::bigint FROM accounts WHERE limited");
  ASSERT_TRUE(rows.ok());
  EXPECT_GE(rows->Int(0, 0), 0);
}

}  // namespace
}  // namespace waybill::bench
