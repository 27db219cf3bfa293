#include "bench/ledger_ceiling.h"

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "bench/ledger_load.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"

namespace waybill::bench {
namespace {

using storage::ArrayParam;
using storage::Connection;
using storage::Param;
using storage::Statement;

constexpr char kAccountsSql[] = R"sql(
INSERT INTO ledger_accounts (client, id, currency, kind, code)
SELECT 'ceiling', 'a-' || number, $2, 'wallet', 1 FROM generate_series(1, $1::bigint) AS number)sql";
constexpr char kFirstSql[] = "SELECT min(number) FROM ledger_accounts";

constexpr char kPost[] = "post";
constexpr char kPostSql[] = R"sql(
INSERT INTO ledger_transfers (client, id, phase, debit_account, credit_account, currency, amount, code, write, created_at)
SELECT 'ceiling', id, 'single', debit, credit, $5, amount, 1, 1, $6
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS t(id, debit, credit, amount))sql";

// One connection's commits, one after the other.
class Poster {
 public:
  static absl::StatusOr<std::unique_ptr<Poster>> Open(const LedgerCeilingOptions& options, int number) {
    std::unique_ptr<Poster> poster(new Poster(options, number));
    auto connection = Connection::Open(options.database_url, {.commits = true});
    if (!connection.ok()) return connection.status();
    poster->connection_ = *std::move(connection);
    auto first = poster->connection_->Execute(kFirstSql);
    if (!first.ok()) return first.status();
    poster->first_ = first->Int(0, 0);
    if (absl::Status prepared = poster->connection_->Prepare(kPost, kPostSql); !prepared.ok()) return prepared;
    return poster;
  }

  void Run(const std::atomic<bool>& stop) {
    std::uniform_int_distribution<int64_t> any(0, options_.accounts - 1), other(1, options_.accounts - 1);
    ArrayParam ids{storage::kOidText}, debits{storage::kOidInt8}, credits{storage::kOidInt8},
        amounts{storage::kOidInt8};
    while (!stop.load(std::memory_order_relaxed)) {
      for (ArrayParam* array : {&ids, &debits, &credits, &amounts}) array->Clear();
      for (int i = 0; i < options_.batch; ++i) {
        const int64_t debit = any(random_), credit = (debit + other(random_)) % options_.accounts;
        ids.AddText(fmt::format("ceiling-{}-{}", number_, next_++));
        debits.AddInt(first_ + debit);
        credits.AddInt(first_ + credit);
        amounts.AddInt(1 + next_ % 1'000);
      }
      const std::vector<Param> params = {
          ids, debits, credits, amounts, Param::Text(kLedgerCurrency), Param::Time(absl::Now())};
      auto posted = connection_->Pipeline({{Statement{kPost, params}}});
      if (!posted.ok()) {
        status_ = posted.status();
        return;
      }
      posted_.fetch_add(options_.batch, std::memory_order_relaxed);
    }
  }

  int64_t posted() const { return posted_; }
  const absl::Status& status() const { return status_; }  // after Run

 private:
  Poster(const LedgerCeilingOptions& options, int number)
      : options_(options), number_(number), random_(static_cast<unsigned>(number)) {}

  const LedgerCeilingOptions& options_;
  const int number_;
  std::unique_ptr<Connection> connection_;
  int64_t first_ = 0;
  int64_t next_ = 0;
  std::minstd_rand random_;
  std::atomic<int64_t> posted_{0};
  absl::Status status_;
};

}  // namespace

absl::StatusOr<double> MeasureLedgerCeiling(const LedgerCeilingOptions& options) {
  auto connection = Connection::Open(options.database_url, {.statement_timeout = absl::Minutes(2)});
  if (!connection.ok()) return connection.status();
  auto opened = (*connection)->Execute(kAccountsSql, {Param::Int8(options.accounts), Param::Text(kLedgerCurrency)});
  if (!opened.ok()) return opened.status();
  std::vector<std::unique_ptr<Poster>> posters;
  for (int number = 1; number <= options.connections; ++number) {
    auto poster = Poster::Open(options, number);
    if (!poster.ok()) return poster.status();
    posters.push_back(*std::move(poster));
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  threads.reserve(posters.size());
  for (const auto& poster : posters) threads.emplace_back([&poster, &stop] { poster->Run(stop); });
  const absl::Time start = absl::Now();
  absl::SleepFor(options.duration);
  int64_t posted = 0;
  for (const auto& poster : posters) posted += poster->posted();
  const absl::Duration took = absl::Now() - start;
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& poster : posters) {
    if (!poster->status().ok()) return poster->status();
  }
  return static_cast<double>(posted) / absl::ToDoubleSeconds(took);
}

}  // namespace waybill::bench
