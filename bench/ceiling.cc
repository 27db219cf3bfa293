#include "bench/ceiling.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "bench/numbered_order.h"
#include "fmt/format.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"

namespace waybill::bench {
namespace {

using storage::ArrayParam;
using storage::Connection;
using storage::Param;
using storage::Statement;

constexpr char kBegin[] = "begin";
constexpr char kBeginSql[] = R"sql(
INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, owner,
                         lease_until, created_at, updated_at{})
SELECT id, 'bench', key, fingerprint, user_id, amount, $6, 'ceiling', $7::timestamptz + interval '30 s', $7, $7{}
FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::bigint[]) AS o(id, key, fingerprint, user_id, amount))sql";
// The schema may be an earlier build's, whose headers are in an index from their beginning.
constexpr char kHasDueSql[] =
    "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'order_sagas'::regclass AND attname = 'due_at')";

constexpr char kSettle[] = "settle";
constexpr char kSettleSql[] = R"sql(
UPDATE order_sagas SET state = 'succeeded', step = 2, seq = 2, lease_until = NULL, updated_at = $2
WHERE order_id = ANY($1::uuid[]))sql";

constexpr char kLog[] = "log";
constexpr char kLogSql[] = R"sql(
INSERT INTO order_saga_steps (order_id, seq, step, attempt, outcome, state, at)
SELECT id, seq, step, 1, 'succeeded', state::saga_state, $5
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) AS s(id, seq, step, state))sql";

constexpr char kPay[] = "pay";
constexpr char kPaySql[] = R"sql(
INSERT INTO payments (order_id, amount_minor, currency, gateway_reference, charged_at)
SELECT id, amount, $4, reference, $5 FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS p(id, amount, reference))sql";

constexpr char kAssign[] = "assign";
constexpr char kAssignSql[] = R"sql(
INSERT INTO order_assignments (order_id, driver_id, assigned_at)
SELECT id, driver, $3 FROM unnest($1::uuid[], $2::text[]) AS a(id, driver))sql";

// The arrays of one batch, filled again and again.
struct Batch {
  ArrayParam ids{storage::kOidUuid};
  ArrayParam keys{storage::kOidText};
  ArrayParam fingerprints{storage::kOidBytea};
  ArrayParam users{storage::kOidText};
  ArrayParam amounts{storage::kOidInt8};
  ArrayParam log_ids{storage::kOidUuid};
  ArrayParam log_seqs{storage::kOidInt8};
  ArrayParam log_steps{storage::kOidText};
  ArrayParam log_states{storage::kOidText};
  ArrayParam references{storage::kOidText};
  ArrayParam drivers{storage::kOidText};

  void Fill(int64_t first, int count, IdGenerator& id_generator) {
    for (ArrayParam* array : {&ids, &keys, &fingerprints, &users, &amounts, &log_ids, &log_seqs, &log_steps,
                              &log_states, &references, &drivers}) {
      array->Clear();
    }
    const std::string fingerprint(32, 'f');
    for (int64_t number = first; number < first + count; ++number) {
      const Uuid id = id_generator.Next();
      const NumberedOrder order = OrderNumber("ceiling", number);
      ids.AddId(id);
      keys.AddText(order.idempotency_key);
      fingerprints.AddBytes(fingerprint);
      users.AddText(order.user_id);
      amounts.AddInt(order.amount_minor);
      references.AddText(fmt::format("builtin-{}", number));
      drivers.AddText(fmt::format("driver-{:07}", number));
      log_ids.AddId(id);
      log_seqs.AddInt(1);
      log_steps.AddText("charge_payment");
      log_states.AddText("running");
      log_ids.AddId(id);
      log_seqs.AddInt(2);
      log_steps.AddText("assign_driver");
      log_states.AddText("succeeded");
    }
  }
};

absl::StatusOr<std::unique_ptr<Connection>> OpenPrepared(const std::string& url) {
  storage::ConnectionOptions options;
  options.application_name = "waybill-bench ceiling";
  // A plan made while the table is empty must not become a sequential scan for good.
  options.settings = {{"enable_seqscan", "off"}};
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(url, options);
  if (!connection.ok()) return connection.status();
  absl::StatusOr<storage::Rows> has_due = (*connection)->Execute(kHasDueSql);
  if (!has_due.ok()) return has_due.status();
  const bool due = has_due->Bool(0, 0);
  const std::string begin = fmt::format(kBeginSql, due ? ", due_at" : "", due ? ", NULL" : "");
  const std::pair<const char*, std::string> statements[] = {
      {kBegin, begin}, {kSettle, kSettleSql}, {kLog, kLogSql}, {kPay, kPaySql}, {kAssign, kAssignSql}};
  for (const auto& [name, sql] : statements) {
    if (const absl::Status status = (*connection)->Prepare(name, sql); !status.ok()) return status;
  }
  return connection;
}

absl::Status WriteBatch(Connection& connection, const Batch& batch, absl::Time now) {
  const Param at = Param::Time(now);
  const Param currency = Param::Text(kCurrency);
  const Param begin[] = {batch.ids, batch.keys, batch.fingerprints, batch.users, batch.amounts, currency, at};
  if (const absl::Status status = connection.ExecutePrepared(kBegin, begin).status(); !status.ok()) return status;

  const Param settle[] = {batch.ids, at};
  const Param log[] = {batch.log_ids, batch.log_seqs, batch.log_steps, batch.log_states, at};
  const Param pay[] = {batch.ids, batch.amounts, batch.references, currency, at};
  const Param assign[] = {batch.ids, batch.drivers, at};
  const Statement finish[] = {{kSettle, settle}, {kLog, log}, {kPay, pay}, {kAssign, assign}};
  return connection.Pipeline(finish).status();
}

}  // namespace

absl::StatusOr<CeilingResult> MeasureCeiling(const CeilingOptions& options) {
  const SystemClock clock;
  SeededRandom random(1);
  IdGenerator ids(clock, random);
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    absl::StatusOr<std::unique_ptr<Connection>> connection = OpenPrepared(options.database_url);
    if (!connection.ok()) return connection.status();
    connections.push_back(*std::move(connection));
  }

  std::atomic<int64_t> next{0};
  std::atomic<int64_t> written{0};
  std::atomic<bool> stop{false};
  std::vector<absl::Status> outcomes(connections.size());
  std::vector<std::thread> writers;
  for (size_t i = 0; i < connections.size(); ++i) {
    writers.emplace_back([&, i] {
      Batch batch;
      while (!stop && outcomes[i].ok()) {
        batch.Fill(next.fetch_add(options.batch), options.batch, ids);
        outcomes[i] = WriteBatch(*connections[i], batch, clock.Now());
        if (outcomes[i].ok()) written += options.batch;
      }
    });
  }
  absl::SleepFor(options.warm_up);
  const int64_t written_before = written;
  const absl::Time start = absl::Now();
  absl::SleepFor(options.duration);
  const int64_t written_in_window = written - written_before;
  const absl::Duration window = absl::Now() - start;
  stop = true;
  for (std::thread& writer : writers) writer.join();
  for (const absl::Status& status : outcomes) {
    if (!status.ok()) return status;
  }
  return CeilingResult{static_cast<double>(written_in_window) / absl::ToDoubleSeconds(window), written};
}

}  // namespace waybill::bench
