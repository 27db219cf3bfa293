#include "storage/postgres/payment_summary_store.h"

#include <algorithm>
#include <limits>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {
namespace {

constexpr absl::Duration kSummaryMax = absl::Minutes(2);
// Of those who move entries, one at a time: others would wait for it, and find nothing left. Not for correctness.
constexpr int64_t kTurn = 0x7761796d6f6e6579;  // "waymoney"

// Years 1 to 9999.
const absl::Time kBeginning = absl::FromUnixSeconds(-62'135'596'800);
const absl::Time kEnd = absl::FromUnixSeconds(253'402'300'800);

// "(1, interval '10 seconds'), …": the levels above seconds.
std::string LongerSpans() {
  std::string values;
  for (size_t level = 1; level < kSpanSeconds.size(); ++level) {
    values += fmt::format("{}({}, interval '{} seconds')", values.empty() ? "" : ", ", level, kSpanSeconds[level]);
  }
  return values;
}

// Adds `moved` (kind, gateway, currency, at, amount_minor, fee_minor) to the sums of every level, in the index's order.
std::string AddMoved() {
  return fmt::format(
      "seconds AS MATERIALIZED (SELECT date_bin('1 second', at, 'epoch') AS starts, kind, gateway, currency, "
      "count(*) AS movements, sum(amount_minor) AS amount_minor, sum(fee_minor) AS fee_minor, array_agg(at) AS "
      "moved_at, "
      "array_agg(amount_minor) AS amounts_minor, array_agg(fee_minor) AS fees_minor FROM moved GROUP BY 1, 2, 3, 4), "
      "spans AS (SELECT 0 AS level, * FROM seconds UNION ALL "
      "SELECT l.level, date_bin(l.length, s.starts, 'epoch'), s.kind, s.gateway, s.currency, sum(s.movements)::bigint, "
      "sum(s.amount_minor), sum(s.fee_minor), NULL, NULL, NULL FROM seconds s "
      "CROSS JOIN (VALUES {}) AS l (level, length) GROUP BY 1, 2, 3, 4, 5), "
      "added AS (INSERT INTO payment_sums AS p (level, starts, kind, gateway, currency, movements, amount_minor, "
      "fee_minor, moved_at, amounts_minor, fees_minor) SELECT * FROM spans ORDER BY 1, 2, 3, 4, 5 "
      "ON CONFLICT (level, starts, kind, gateway, currency) DO UPDATE SET movements = p.movements + "
      "EXCLUDED.movements, "
      "amount_minor = p.amount_minor + EXCLUDED.amount_minor, fee_minor = p.fee_minor + EXCLUDED.fee_minor, "
      "moved_at = p.moved_at || EXCLUDED.moved_at, amounts_minor = p.amounts_minor || EXCLUDED.amounts_minor, "
      "fees_minor = p.fees_minor || EXCLUDED.fees_minor)",
      LongerSpans());
}

// One statement: what it deletes and what it adds are the same movements, whatever commits meanwhile.
std::string MoveEntries() {
  return fmt::format(
      "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine), "
      "taken AS (DELETE FROM payment_entries WHERE (SELECT mine FROM turn) "
      "AND ctid = ANY(ARRAY(SELECT ctid FROM payment_entries LIMIT $2)) "
      "RETURNING *), "
      "moved AS (SELECT t.kind, t.gateway, t.currency, m.* FROM taken t, "
      "unnest(t.moved_at, t.amounts_minor, t.fees_minor) AS m (at, amount_minor, fee_minor)), {} "
      "SELECT count(*) FROM taken",
      AddMoved());
}

// The same of payments of before there were sums, up to the `$2`th behind where the last part ended.
std::string MoveRest(std::string_view source, std::string_view unsummed) {
  return fmt::format(
      "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine), "
      "rest AS MATERIALIZED (SELECT after, upto FROM payment_sums_rest WHERE source = '{0}' AND (SELECT mine FROM "
      "turn) "
      "FOR UPDATE), "
      "part AS MATERIALIZED (SELECT t.order_id FROM {0} t WHERE t.order_id > (SELECT after FROM rest) "
      "AND t.order_id <= (SELECT upto FROM rest) ORDER BY t.order_id LIMIT $2), "
      "last AS MATERIALIZED (SELECT order_id FROM part ORDER BY order_id DESC LIMIT 1), "
      "moved AS MATERIALIZED (SELECT u.kind, u.gateway, u.currency, u.at, u.amount_minor, u.fee_minor FROM {1} u "
      "WHERE u.order_id > (SELECT after FROM rest) AND u.order_id <= (SELECT order_id FROM last)), "
      "{2}, "
      "on_from AS (UPDATE payment_sums_rest r SET after = last.order_id FROM last WHERE r.source = '{0}'), "
      "over AS (DELETE FROM payment_sums_rest r WHERE r.source = '{0}' AND EXISTS (SELECT FROM rest) "
      "AND NOT EXISTS (SELECT FROM last)) "
      "SELECT count(*) FROM rest",
      source, unsummed, AddMoved());
}

// One statement, one snapshot: of each movement exactly one branch has it.
constexpr char kSummarize[] = R"sql(
WITH counted AS (
    SELECT s.kind, s.gateway, s.currency, s.movements, s.amount_minor, s.fee_minor
    FROM unnest($1::smallint[], $2::timestamptz[], $3::timestamptz[]) AS run (level, from_span, to_span)
    CROSS JOIN LATERAL (SELECT * FROM payment_sums p WHERE p.level = run.level
                        AND p.starts >= run.from_span AND p.starts < run.to_span OFFSET 0) AS s
  UNION ALL
    SELECT s.kind, s.gateway, s.currency, 1, m.amount_minor, m.fee_minor
    FROM unnest($4::timestamptz[]) AS edge (starts)
    CROSS JOIN LATERAL (SELECT * FROM payment_sums p WHERE p.level = 0 AND p.starts = edge.starts OFFSET 0) AS s
    CROSS JOIN LATERAL unnest(s.moved_at, s.amounts_minor, s.fees_minor) AS m (at, amount_minor, fee_minor)
    WHERE m.at >= $5 AND m.at < $6
  UNION ALL
    SELECT e.kind, e.gateway, e.currency, 1, m.amount_minor, m.fee_minor
    FROM payment_entries e
    CROSS JOIN LATERAL unnest(e.moved_at, e.amounts_minor, e.fees_minor) AS m (at, amount_minor, fee_minor)
    WHERE m.at >= $5 AND m.at < $6
  UNION ALL
    SELECT u.kind, u.gateway, u.currency, 1, u.amount_minor, u.fee_minor
    FROM payment_sums_rest r
    JOIN unsummed_payments u ON u.order_id > r.after AND u.order_id <= r.upto
    WHERE r.source = 'payments' AND u.at >= $5 AND u.at < $6
  UNION ALL
    SELECT u.kind, u.gateway, u.currency, 1, u.amount_minor, u.fee_minor
    FROM payment_sums_rest r
    JOIN unsummed_attempts u ON u.order_id > r.after AND u.order_id <= r.upto
    WHERE r.source = 'payment_attempts' AND u.at >= $5 AND u.at < $6)
SELECT gateway, currency, charges, least(amount, 9223372036854775807)::bigint, least(fee, 9223372036854775807)::bigint,
       refunds, least(refunded, 9223372036854775807)::bigint,
       greatest(amount, refunded, fee) > 9223372036854775807
FROM (SELECT gateway, currency,
             COALESCE(sum(movements) FILTER (WHERE kind = 'charge'), 0)::bigint AS charges,
             COALESCE(sum(amount_minor) FILTER (WHERE kind = 'charge'), 0) AS amount,
             COALESCE(sum(fee_minor) FILTER (WHERE kind = 'charge'), 0) AS fee,
             COALESCE(sum(movements) FILTER (WHERE kind = 'refund'), 0)::bigint AS refunds,
             COALESCE(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS refunded
      FROM counted WHERE $7::text = '' OR gateway = $7
      GROUP BY gateway, currency) AS each
ORDER BY gateway, currency)sql";

// Stored times are whole microseconds.
absl::Time UpToMicros(absl::Time time) {
  return absl::FromUnixMicros(absl::ToUnixMicros(time + absl::Microseconds(1) - absl::Nanoseconds(1)));
}

}  // namespace

ConnectionOptions PaymentSummaryConnectionOptions() {
  ConnectionOptions options = WriteConnectionOptions();
  options.statement_timeout = kSummaryMax;
  // Statements are planned while tables may be empty, or their statistics old.
  options.settings.emplace_back("jit", "off");
  return options;
}

absl::StatusOr<std::vector<PaymentTotals>> PostgresPaymentSummaryStore::Summarize(const SummaryQuery& query) {
  const absl::Time from = UpToMicros(std::clamp(query.from, kBeginning, kEnd));
  const absl::Time to = UpToMicros(std::clamp(query.to, kBeginning, kEnd));
  const SummaryCover cover = Cover(from, to);
  ArrayParam levels(kOidInt2), froms(kOidTimestamptz), tos(kOidTimestamptz), edges(kOidTimestamptz);
  for (const SummaryCover::Run& run : cover.runs) {
    levels.AddInt(run.level);
    froms.AddTime(run.from);
    tos.AddTime(run.to);
  }
  for (const absl::Time edge : cover.edges) edges.AddTime(edge);
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> rows = (*connection)
                                  ->Execute(kSummarize, {levels, froms, tos, edges, Param::Time(from), Param::Time(to),
                                                         Param::Text(query.gateway)});
  if (!rows.ok()) return rows.status();
  std::vector<PaymentTotals> totals;
  for (int row = 0; row < rows->size(); ++row) {
    if (rows->Bool(row, 7)) {
      return domain::ReasonError("SUM_TOO_LARGE", fmt::format("a sum of {} is more than {} minor units",
                                                              rows->Text(row, 1), std::numeric_limits<int64_t>::max()));
    }
    totals.push_back({std::string(rows->Text(row, 0)), std::string(rows->Text(row, 1)), rows->Int(row, 2),
                      rows->Int(row, 3), rows->Int(row, 4), rows->Int(row, 5), rows->Int(row, 6)});
  }
  return totals;
}

absl::StatusOr<PaymentSummaryStore::Unsummed> PostgresPaymentSummaryStore::CountUnsummed() {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  // Those that were entered first stand first, about.
  absl::StatusOr<Rows> rows =
      (*connection)
          ->Execute(
              "SELECT count(*), COALESCE(extract(epoch FROM clock_timestamp() - min(e.at)), 0)::float8 "
              "FROM (SELECT moved_at[1] AS at FROM payment_entries LIMIT $1) AS e",
              {Param::Int8(kUnsummedCounted)});
  if (!rows.ok()) return rows.status();
  return Unsummed{rows->Int(0, 0), absl::Seconds(std::max(rows->Double(0, 1), 0.0))};
}

absl::StatusOr<bool> PostgresPaymentSummaryStore::Fold() {
  static const std::string& move_entries = *new std::string(MoveEntries());
  static const std::string& move_payments = *new std::string(MoveRest("payments", "unsummed_payments"));
  static const std::string& move_attempts = *new std::string(MoveRest("payment_attempts", "unsummed_attempts"));
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  const Param turn = Param::Int8(kTurn), rest = Param::Int8(options_.rest_max);
  absl::StatusOr<Rows> moved = (*connection)->Execute(move_entries, {turn, Param::Int8(options_.entries_max)});
  if (!moved.ok()) return moved.status();
  bool more = moved->Int(0, 0) == options_.entries_max;
  for (const std::string* sql : {&move_payments, &move_attempts}) {
    absl::StatusOr<Rows> part = (*connection)->Execute(*sql, {turn, rest});
    if (!part.ok()) return part.status();
    more |= part->Int(0, 0) > 0;
  }
  return more;
}

}  // namespace waybill::storage
