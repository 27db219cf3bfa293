#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "runtime/status.h"
#include "storage/postgres/payment_summary_store.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

const absl::Time kNoon = absl::FromUnixSeconds(1'795'953'600);  // 2026-11-29T12:00Z

TEST(SummaryCover, EachSecondIsCoveredOnceByFewSpans) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2'000; ++round) {
    // From both sides of 1970, microseconds to a lifetime long.
    const int64_t from = static_cast<int64_t>(random() % 4'000'000'000'000'000) - 2'000'000'000'000'000;
    const int64_t to = from + static_cast<int64_t>(random() % (1ULL << (random() % 52)));
    const SummaryCover cover = Cover(absl::FromUnixMicros(from), absl::FromUnixMicros(to));
    std::vector<std::pair<int64_t, int64_t>> parts;
    int64_t spans = 0;
    for (const SummaryCover::Run& run : cover.runs) {
      const int64_t length = kSpanSeconds[static_cast<size_t>(run.level)] * 1'000'000;
      ASSERT_EQ(absl::ToUnixMicros(run.from) % length, 0);
      ASSERT_EQ(absl::ToUnixMicros(run.to) % length, 0);
      spans += (run.to - run.from) / absl::Microseconds(length);
      parts.emplace_back(absl::ToUnixMicros(run.from), absl::ToUnixMicros(run.to));
    }
    for (const absl::Time edge : cover.edges) {
      parts.emplace_back(std::max(from, absl::ToUnixMicros(edge)), std::min(to, absl::ToUnixMicros(edge) + 1'000'000));
    }
    std::sort(parts.begin(), parts.end());
    int64_t at = from;
    for (const auto& [begin, end] : parts) {
      ASSERT_EQ(begin, at) << from << " to " << to;
      ASSERT_LT(begin, end);
      at = end;
    }
    ASSERT_EQ(at, to);
    EXPECT_LE(cover.edges.size(), 2U);
    EXPECT_LE(spans, 250) << from << " to " << to;
  }
  EXPECT_THAT(Cover(kNoon, kNoon).runs, ::testing::IsEmpty());
}

class PaymentSummaryPgTest : public ::testing::Test {
 protected:
  static std::string Quoted(absl::Time time) {
    return fmt::format("'{}'", absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone()));
  }
  static std::string Order(int n) { return fmt::format("'00000000-0000-7000-8000-{:012}'", n); }
  static std::string Pay(int n, int64_t amount, absl::Time at, const std::string& currency = "EUR") {
    return fmt::format(
        "INSERT INTO payments (order_id, amount_minor, currency, gateway_reference, charged_at) "
        "VALUES ({}, {}, '{}', 'ch', {});",
        Order(n), amount, currency, Quoted(at));
  }
  static std::string Refund(int n, absl::Time at) {
    return fmt::format("UPDATE payments SET refund_minor = amount_minor, refunded_at = {} WHERE order_id = {};",
                       Quoted(at), Order(n));
  }
  static std::string Attempt(int n, int number, const std::string& gateway, int64_t amount, absl::Time at,
                             const std::string& cost_ppm = "15000") {
    return fmt::format(
        "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, begun_at, "
        "cost_ppm) VALUES ({}, {}, '{}', 'k', {}, 'EUR', {}, {});",
        Order(n), number, gateway, amount, Quoted(at), cost_ppm);
  }
  static std::string Decide(int n, int number, const std::string& state, absl::Time at) {
    return fmt::format("UPDATE payment_attempts SET state = '{}', decided_at = {} WHERE order_id = {} AND number = {};",
                       state, Quoted(at), Order(n), number);
  }
  // An order of which parts may go back.
  static std::string Stands(int n) {
    return fmt::format(
        "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
        "state, created_at, updated_at) VALUES ({}, 'shop', 'key-{}', '', 'ada', 1, 'EUR', 'succeeded', now(), now());",
        Order(n), n);
  }
  static std::string Part(int n, int part, int64_t amount, absl::Time at, const std::string& state = "done",
                          const std::string& gateway = "NULL") {
    return fmt::format(
               "INSERT INTO partial_refunds (order_id, refund_id, saga_id, gateway, idempotency_key, amount_minor, "
               "currency, begun_at) VALUES ({}, 'r{}', gen_random_uuid(), {}, 'k', {}, 'EUR', now());",
               Order(n), part, gateway, amount) +
           EndOfPart(n, part, at, state);
  }
  static std::string EndOfPart(int n, int part, absl::Time at, const std::string& state) {
    if (state == "open") return "";
    return fmt::format(
        "UPDATE partial_refunds SET state = '{}', decided_at = {}, refusal = '{}' WHERE order_id = {} AND refund_id = "
        "'r{}';",
        state, Quoted(at), state == "refused" ? "x" : "", Order(n), part);
  }
  // "north EUR 2 300 fee 5 refunds 1 100"
  static std::string Show(const PaymentTotals& each) {
    return fmt::format("{} {} {} {} fee {} refunds {} {}", each.gateway, each.currency, each.charges, each.amount_minor,
                       each.fee_minor, each.refunds, each.refund_minor);
  }
  std::vector<std::string> Summary(absl::Time from = absl::InfinitePast(), absl::Time to = absl::InfiniteFuture(),
                                   const std::string& gateway = "") {
    auto totals = store_.Summarize({from, to, gateway});
    EXPECT_TRUE(totals.ok()) << totals.status();
    std::vector<std::string> shown;
    if (totals.ok()) std::transform(totals->begin(), totals->end(), std::back_inserter(shown), Show);
    return shown;
  }
  // The same from the books, row by row.
  std::vector<std::string> Books(absl::Time from, absl::Time to) {
    const std::string found = sql().Value(fmt::format(R"sql(
      SELECT COALESCE(string_agg(format('%s %s %s %s fee %s refunds %s %s', gateway, currency, charges, amount, fee, refunds,
                                        refunded), '|' ORDER BY gateway, currency), '')
      FROM (SELECT gateway COLLATE "C" AS gateway, currency COLLATE "C" AS currency, sum(charged) AS charges,
                   sum(charged * amount_minor)::bigint AS amount, sum(charged * fee)::bigint AS fee, sum(1 - charged) AS refunds,
                   sum((1 - charged) * amount_minor)::bigint AS refunded
            FROM (SELECT COALESCE(b.gateway, '') AS gateway, b.currency, b.amount_minor, charged_at AS at, 1 AS charged,
                         (b.amount_minor * COALESCE(a.cost_ppm, 0) + 500000) / 1000000 AS fee
                  FROM gateway_books b LEFT JOIN payment_attempts a ON a.order_id = b.order_id AND a.gateway = b.gateway
                  UNION ALL
                  SELECT COALESCE(gateway, ''), currency, amount_minor, refunded_at, 0, 0 FROM gateway_refunds) AS m
            WHERE at >= {0} AND at < {1} GROUP BY 1, 2) AS each)sql",
                                                      Quoted(from), Quoted(to)));
    std::vector<std::string> lines;
    for (size_t at = 0; at < found.size();) {
      const size_t end = std::min(found.find('|', at), found.size());
      lines.push_back(found.substr(at, end - at));
      at = end + 1;
    }
    return lines;
  }
  void FoldAll() {
    for (;;) {
      auto more = store_.Fold();
      ASSERT_TRUE(more.ok()) << more.status();
      if (!*more) return;
    }
  }
  waybill::testing::Sql& sql() { return database_.sql(); }

  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), PaymentSummaryConnectionOptions(), PoolOptions()};
  PostgresPaymentSummaryStore store_{pool_};
};

TEST_F(PaymentSummaryPgTest, CountsByGatewayAndCurrencyFromTheCommitOn) {
  sql().Exec(Pay(1, 100, kNoon) + Pay(2, 50, kNoon, "JPY"));
  sql().Exec(Attempt(3, 1, "north", 1'000, kNoon) + Decide(3, 1, "approved", kNoon) + Pay(3, 1'000, kNoon));
  sql().Exec(Attempt(4, 1, "north", 33, kNoon) + Pay(4, 33, kNoon) + Decide(4, 1, "approved", kNoon));
  sql().Exec(Refund(3, kNoon + absl::Hours(1)) + Decide(3, 1, "refunded", kNoon + absl::Hours(1)));
  const std::vector<std::string> all = {" EUR 1 100 fee 0 refunds 0 0", " JPY 1 50 fee 0 refunds 0 0",
                                        "north EUR 2 1033 fee 15 refunds 1 1000"};
  EXPECT_EQ(Summary(), all);
  FoldAll();
  EXPECT_EQ(sql().Value("SELECT count(*) FROM payment_entries"), "0");
  EXPECT_EQ(Summary(), all);
  EXPECT_THAT(Summary(kNoon, kNoon + absl::Microseconds(1), "north"),
              ::testing::ElementsAre("north EUR 2 1033 fee 15 refunds 0 0"));
  EXPECT_THAT(Summary(kNoon + absl::Microseconds(1), kNoon + absl::Hours(1)), ::testing::IsEmpty());
  EXPECT_THAT(Summary(kNoon + absl::Hours(1), kNoon + absl::Hours(2)),
              ::testing::ElementsAre("north EUR 0 0 fee 0 refunds 1 1000"));
  EXPECT_THAT(Summary(kNoon, kNoon), ::testing::IsEmpty());
}

TEST_F(PaymentSummaryPgTest, TellsHowMuchIsNotInTheSumsAndSinceWhen) {
  EXPECT_EQ(store_.CountUnsummed()->entries, 0);
  EXPECT_EQ(store_.CountUnsummed()->oldest, absl::ZeroDuration());
  const absl::Time now = absl::Now();
  sql().Exec(Pay(1, 100, now - absl::Hours(1)));
  sql().Exec(Pay(2, 100, now - absl::Hours(2)));
  sql().Exec(Pay(3, 100, now));
  EXPECT_EQ(store_.CountUnsummed()->entries, 3);
  EXPECT_GE(store_.CountUnsummed()->oldest, absl::Hours(2) - absl::Minutes(1));
  EXPECT_LE(store_.CountUnsummed()->oldest, absl::Hours(2) + absl::Minutes(5));
  FoldAll();
  EXPECT_EQ(store_.CountUnsummed()->entries, 0);
  EXPECT_EQ(store_.CountUnsummed()->oldest, absl::ZeroDuration());
  sql().Exec(Pay(4, 100, now + absl::Hours(1)));
  EXPECT_EQ(store_.CountUnsummed()->oldest, absl::ZeroDuration()) << "by a clock that is ahead";
}

// Half a unit is one: 0.4995, 0.51, 0.5.
TEST_F(PaymentSummaryPgTest, AFeeIsRoundedPaymentByPayment) {
  sql().Exec(Attempt(1, 1, "a", 333, kNoon, "1500") + Pay(1, 333, kNoon));
  sql().Exec(Attempt(2, 1, "b", 340, kNoon, "1500") + Pay(2, 340, kNoon));
  sql().Exec(Attempt(3, 1, "c", 500, kNoon, "1000") + Pay(3, 500, kNoon));
  sql().Exec(Attempt(4, 1, "d", 1'000'000'000'000, kNoon, "1000000") + Pay(4, 1'000'000'000'000, kNoon));
  sql().Exec(Attempt(5, 1, "e", 500, kNoon, "NULL") + Pay(5, 500, kNoon));
  EXPECT_THAT(Summary(), ::testing::ElementsAre("a EUR 1 333 fee 0 refunds 0 0", "b EUR 1 340 fee 1 refunds 0 0",
                                                "c EUR 1 500 fee 1 refunds 0 0",
                                                "d EUR 1 1000000000000 fee 1000000000000 refunds 0 0",
                                                "e EUR 1 500 fee 0 refunds 0 0"));
}

TEST_F(PaymentSummaryPgTest, AnAttemptThatWasLeftAndGivenBackIsItsGateways) {
  sql().Exec(Attempt(1, 1, "north", 100, kNoon));
  sql().Exec(Decide(1, 1, "refunded", kNoon + absl::Seconds(5)) + Attempt(1, 2, "south", 100, kNoon, "0"));
  sql().Exec(Pay(1, 100, kNoon + absl::Seconds(7)) + Decide(1, 2, "approved", kNoon + absl::Seconds(7)));
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Summary(),
                ::testing::ElementsAre("north EUR 1 100 fee 2 refunds 1 100", "south EUR 1 100 fee 0 refunds 0 0"));
    FoldAll();
  }
}

TEST_F(PaymentSummaryPgTest, PartsCountAsTheyAreDoneAndTheWholeWithoutThem) {
  const absl::Time later = kNoon + absl::Hours(1);
  sql().Exec(Stands(1) + Attempt(1, 1, "north", 1'000, kNoon, "0") + Pay(1, 1'000, kNoon));
  sql().Exec(Part(1, 1, 300, later, "done", "'north'") + Part(1, 2, 200, later, "refused", "'north'") +
             Part(1, 3, 50, later, "open", "'north'"));
  EXPECT_THAT(Summary(), ::testing::ElementsAre("north EUR 1 1000 fee 0 refunds 1 300"));
  sql().Exec(EndOfPart(1, 3, later, "resolved"));
  EXPECT_THAT(Summary(), ::testing::ElementsAre("north EUR 1 1000 fee 0 refunds 2 350"));
  sql().Exec(Part(1, 4, 25, later, "open", "'north'") + Refund(1, later));
  EXPECT_THAT(Summary(), ::testing::ElementsAre("north EUR 1 1000 fee 0 refunds 3 1000"));
  sql().Exec(EndOfPart(1, 4, later, "done"));  // it was done before all went back, and heard of after
  FoldAll();
  EXPECT_THAT(Summary(), ::testing::ElementsAre("north EUR 1 1000 fee 0 refunds 3 1000"));

  sql().Exec(Stands(2) + Pay(2, 100, kNoon) + Part(2, 1, 100, later) + Refund(2, later));
  EXPECT_THAT(Summary(), ::testing::Contains(" EUR 1 100 fee 0 refunds 1 100")) << "nothing was left";
}

// A role of before has no right on the new tables, and a session may look for tables elsewhere.
TEST_F(PaymentSummaryPgTest, WhoeverBooksIsCounted) {
  waybill::testing::Sql other(database_.url());
  const std::string role = "booker_" + sql().Value("SELECT oid FROM pg_database WHERE datname = current_database()");
  sql().Exec("CREATE ROLE " + role + "; GRANT SELECT, INSERT, UPDATE ON payments, payment_attempts TO " + role);
  other.Exec("SET ROLE " + role + "; SET search_path = ''");
  other.Exec("INSERT INTO public.payments (order_id, amount_minor, currency, gateway_reference, charged_at) VALUES (" +
             Order(1) + ", 5, 'EUR', 'ch', now())");
  other.Exec("UPDATE public.payments SET refund_minor = 5, refunded_at = now()");
  other.Exec("RESET ROLE");
  EXPECT_THAT(Summary(), ::testing::ElementsAre(" EUR 1 5 fee 0 refunds 1 5"));
  sql().Exec("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

// The entries are made as the owner of the tables: not for a table of somebody else's.
TEST_F(PaymentSummaryPgTest, NobodyForgesAnEntry) {
  waybill::testing::Sql other(database_.url());
  const std::string role = "forger_" + sql().Value("SELECT oid FROM pg_database WHERE datname = current_database()");
  sql().Exec("CREATE ROLE " + role);
  other.Exec("SET ROLE " + role + "; CREATE TEMP TABLE mine (order_id uuid)");
  for (const char* function :
       {"payments_enter_charges", "payments_enter_refund", "payment_attempts_enter", "partial_refunds_enter"}) {
    const auto refused = other.Run(
        fmt::format("CREATE TRIGGER forge AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {}()", function));
    EXPECT_EQ(refused.sqlstate, "42501") << function << ": " << refused.message;
  }
  other.Exec("RESET ROLE");
  sql().Exec("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

// Sessions keep plans for long: one that was made while there were no attempts.
TEST_F(PaymentSummaryPgTest, AnOldPlanReadsNoWholeTable) {
  sql().Exec(Attempt(1, 1, "north", 100, kNoon) + "ANALYZE payment_attempts;");
  for (int n = 1; n <= 10; ++n) sql().Exec(Pay(n, 100, kNoon));
  waybill::testing::Sql other(database_.url());
  other.Exec(
      "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, begun_at) "
      "SELECT gen_random_uuid(), 1, 'north', 'k', 1, 'EUR', now() FROM generate_series(1, 20000)");
  const auto read = [&] {
    other.Exec("SELECT pg_stat_clear_snapshot()");
    return std::stoll(other.Value("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'payment_attempts'"));
  };
  sql().Exec("SELECT pg_stat_force_next_flush()");
  other.Exec("SELECT pg_stat_force_next_flush()");
  const int64_t before = read();
  for (int n = 11; n <= 15; ++n) sql().Exec(Pay(n, 100, kNoon));
  sql().Exec("SELECT pg_stat_force_next_flush()");
  EXPECT_LT(read() - before, 20'000);
}

TEST_F(PaymentSummaryPgTest, WhatIsRolledBackWasNeverCounted) {
  sql().Exec("BEGIN; " + Pay(1, 100, kNoon) + "ROLLBACK");
  FoldAll();
  EXPECT_THAT(Summary(), ::testing::IsEmpty());
}

// A transaction that is open while others commit, are folded and asked for, and that commits last.
TEST_F(PaymentSummaryPgTest, ACommitThatComesLateIsNotLost) {
  waybill::testing::Sql late(database_.url());
  late.Exec("BEGIN; " + Pay(1, 100, kNoon - absl::Hours(30)));
  sql().Exec(Pay(2, 10, kNoon));
  FoldAll();
  EXPECT_THAT(Summary(), ::testing::ElementsAre(" EUR 1 10 fee 0 refunds 0 0"));
  sql().Exec(Pay(3, 1, kNoon));
  late.Exec("COMMIT");
  EXPECT_THAT(Summary(), ::testing::ElementsAre(" EUR 3 111 fee 0 refunds 0 0"));
  FoldAll();
  EXPECT_THAT(Summary(), ::testing::ElementsAre(" EUR 3 111 fee 0 refunds 0 0"));
  EXPECT_EQ(sql().Value("SELECT count(*) FROM payment_entries"), "0");
}

TEST_F(PaymentSummaryPgTest, AnyTimeIsWhatTheBooksSayOfIt) {
  std::mt19937_64 random(7);
  const auto pick = [&](uint64_t below) { return random() % below; };
  const auto moment = [&] { return kNoon + absl::Microseconds(pick(1ULL << (10 + pick(34)))); };
  const std::vector<std::string> gateways = {"north", "south"};
  for (int n = 0; n < 400; ++n) {
    const int64_t amount = static_cast<int64_t>(1 + pick(100'000));
    const absl::Time at = moment();
    std::string script = "BEGIN;", currency = "EUR", part_gateway = "NULL";
    if (pick(2) == 0) {
      int number = 1;
      if (pick(4) == 0) {
        script += Attempt(n, 1, "east", amount, at) + Decide(n, 1, "refunded", moment());
        ++number;
      }
      const std::string gateway = gateways[pick(2)];
      part_gateway = fmt::format("'{}'", gateway);
      script += Attempt(n, number, gateway, amount, at) + Pay(n, amount, at) + Decide(n, number, "approved", at);
    } else {
      if (pick(2) == 0) currency = "USD";
      script += Pay(n, amount, at, currency);
    }
    if (currency == "EUR" && pick(3) == 0) {
      const std::string state[] = {"done", "resolved", "refused"};
      script += Stands(n);
      for (int part = 1; part <= 3; ++part) {
        if (amount >= 3) script += Part(n, part, amount / 3, moment(), state[pick(3)], part_gateway);
      }
    }
    if (pick(3) == 0) script += Refund(n, moment());
    sql().Exec(script + "COMMIT");
    if (pick(20) == 0) FoldAll();
    if (pick(4) != 0) continue;
    absl::Time from = moment(), to = moment();
    if (from > to) std::swap(from, to);
    ASSERT_EQ(Summary(from, to), Books(from, to)) << from << " to " << to;
  }
  FoldAll();
  for (int n = 0; n < 200; ++n) {
    const absl::Time from = moment(), to = from + absl::Microseconds(pick(1ULL << (10 + pick(34))));
    ASSERT_EQ(Summary(from, to), Books(from, to)) << from << " to " << to;
  }
}

// Payments of before: moved in parts, while refunds of them and new payments go on; exact throughout.
TEST_F(PaymentSummaryPgTest, PaymentsOfBeforeCountFromTheFirstAnswerOn) {
  sql().Exec("ALTER TABLE payments DISABLE TRIGGER USER; ALTER TABLE payment_attempts DISABLE TRIGGER USER");
  for (int n = 1; n <= 25; ++n) {
    if (n % 5 == 0) sql().Exec(Attempt(n, 1, "north", n, kNoon, "NULL") + Decide(n, 1, "refunded", kNoon));
    if (n % 10 == 0) continue;
    if (n % 5 == 0) sql().Exec(Attempt(n, 2, "south", n, kNoon, "NULL"));
    sql().Exec(Pay(n, n, kNoon));
    if (n % 4 == 0) sql().Exec(Refund(n, kNoon));
  }
  sql().Exec(
      "UPDATE payments SET summed = NULL; INSERT INTO payment_sums_rest SELECT s, "
      "uuid '00000000-0000-0000-0000-000000000000', uuid " +
      Order(25) +
      " FROM (VALUES ('payments'), ('payment_attempts')) AS t (s);"
      "ALTER TABLE payments ENABLE TRIGGER USER; ALTER TABLE payment_attempts ENABLE TRIGGER USER");
  PaymentSummaryOptions small;
  small.rest_max = 4;
  PostgresPaymentSummaryStore store(pool_, small);
  const absl::Time from = kNoon - absl::Hours(1), to = kNoon + absl::Hours(1);
  int parts = 0;
  for (bool more = true; more; ++parts) {
    ASSERT_LT(parts, 100);
    ASSERT_EQ(Summary(from, to), Books(from, to)) << "after " << parts << " parts";
    // Ahead of what is moved, behind it, and one that is new.
    if (parts < 3) sql().Exec(Refund(22 - parts, kNoon + absl::Seconds(1)) + Refund(1 + parts, kNoon));
    if (parts < 3) sql().Exec(Pay(100 + parts, 7, kNoon));
    ASSERT_EQ(Summary(from, to), Books(from, to)) << "after " << parts << " parts, and refunds";
    auto folded = store.Fold();
    ASSERT_TRUE(folded.ok()) << folded.status();
    more = *folded;
  }
  EXPECT_GT(parts, 5);
  EXPECT_EQ(sql().Value("SELECT count(*) FROM payment_sums_rest"), "0");
  EXPECT_EQ(Summary(from, to), Books(from, to));
}

// Writers that commit, folders that move, and readers: what was answered before a summary was asked for is in it, and
// nothing is that nobody has begun to write.
TEST_F(PaymentSummaryPgTest, IsExactWhileOthersWriteAndFold) {
  constexpr int kWriters = 3, kEach = 300;
  std::atomic<int> begun{0}, answered{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      waybill::testing::Sql own(database_.url());
      for (int i = 0; i < kEach; ++i) {
        ++begun;
        own.Exec(Pay(writer * kEach + i, 1, kNoon + absl::Milliseconds(i)));
        ++answered;
      }
    });
  }
  std::vector<std::thread> folders;
  for (int folder = 0; folder < 2; ++folder) {
    folders.emplace_back([&] {
      PaymentSummaryOptions few;
      few.entries_max = 5;
      PostgresPaymentSummaryStore store(pool_, few);
      while (!over) EXPECT_TRUE(store.Fold().ok());
    });
  }
  int asked = 0;
  for (bool last = false; !last; ++asked) {
    last = answered == kWriters * kEach;
    const int at_least = answered;
    auto totals = store_.Summarize({});
    const int at_most = begun;
    ASSERT_TRUE(totals.ok()) << totals.status();
    const int64_t counted = totals->empty() ? 0 : totals->front().charges;
    EXPECT_GE(counted, at_least) << "what was answered is not counted";
    EXPECT_LE(counted, at_most) << "what is counted was not taken";
  }
  for (std::thread& thread : threads) thread.join();
  over = true;
  for (std::thread& thread : folders) thread.join();
  FoldAll();
  EXPECT_GT(asked, 2);
  EXPECT_EQ(Summary(kNoon, kNoon + absl::Hours(1)), Books(kNoon, kNoon + absl::Hours(1)));
}

// By hand: how long a summary takes of so many payments, 40 a second.
TEST_F(PaymentSummaryPgTest, DISABLED_TakesAsLongOfAMillionAsOfFew) {
  int64_t there = 0;
  for (const int64_t payments : {10'000, 100'000, 1'000'000}) {
    while (there < payments) {
      sql().Exec(fmt::format(
          "INSERT INTO payments (order_id, amount_minor, currency, gateway_reference, charged_at) SELECT "
          "lpad(to_hex(n), 32, '0')::uuid, 100, 'EUR', 'ch', {}::timestamptz + n * interval '25 milliseconds' "
          "FROM generate_series({}, {}) AS n",
          Quoted(kNoon), there, there + 9'999));
      there += 10'000;
    }
    FoldAll();
    sql().Exec("VACUUM ANALYZE payment_entries");
    const absl::Duration all = absl::Milliseconds(25) * payments;
    absl::Duration worst, sum;
    constexpr int kCalls = 50;
    for (int i = 0; i < kCalls; ++i) {
      const absl::Time from = kNoon + all * (0.001 * i) + absl::Microseconds(12'345);
      const absl::Time to = kNoon + all * (0.9 + 0.001 * i) + absl::Microseconds(6'789);
      const absl::Time begun = absl::Now();
      auto totals = store_.Summarize({from, to});
      const absl::Duration took = absl::Now() - begun;
      ASSERT_TRUE(totals.ok()) << totals.status();
      EXPECT_NEAR(static_cast<double>(totals->front().charges), static_cast<double>(payments) * 0.9, 2);
      worst = std::max(worst, took);
      sum += took;
    }
    printf("%lld payments: a summary of nine tenths of them takes %.2f ms, at worst %.2f ms; %s rows of sums\n",
           static_cast<long long>(payments), absl::ToDoubleMilliseconds(sum) / kCalls,
           absl::ToDoubleMilliseconds(worst), sql().Value("SELECT count(*) FROM payment_sums").c_str());
  }
}

TEST_F(PaymentSummaryPgTest, ASumThatNoNumberHoldsIsRefused) {
  sql().Exec("INSERT INTO payment_sums VALUES (8, 'epoch', 'charge', '', 'EUR', 1, 9223372036854775808, 0)");
  auto totals = store_.Summarize({});
  EXPECT_EQ(GetErrorDetail(totals.status()).reason, "SUM_TOO_LARGE");
}

}  // namespace
}  // namespace waybill::storage
