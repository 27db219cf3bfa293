#include "storage/postgres/reconciliation_store.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

constexpr char kSettlementColumns[] =
    "settlement_id, gateway, name, covers_from, covers_to, fee_ppm, fee_fixed, state, created_at, reconciled_at, "
    "lines, opened, proven";

Settlement ReadSettlement(const Rows& rows, int row) {
  Settlement settlement;
  settlement.id = rows.Int(row, 0);
  settlement.gateway = rows.Text(row, 1);
  settlement.name = rows.Text(row, 2);
  settlement.from = rows.Time(row, 3);
  settlement.to = rows.Time(row, 4);
  if (!rows.IsNull(row, 5)) settlement.tariff = {static_cast<int32_t>(rows.Int(row, 5)), rows.Int(row, 6)};
  const std::string_view state = rows.Text(row, 7);
  settlement.state = state == "loading"      ? SettlementState::kLoading
                     : state == "reconciled" ? SettlementState::kReconciled
                                             : SettlementState::kReplaced;
  settlement.created_at = rows.Time(row, 8);
  if (!rows.IsNull(row, 9)) settlement.reconciled_at = rows.Time(row, 9);
  settlement.lines = rows.Int(row, 10);
  settlement.opened = rows.Int(row, 11);
  settlement.proven = rows.Int(row, 12);
  return settlement;
}

constexpr char kCaseColumns[] =
    "case_id, gateway, kind, about, order_id, reference, ours_minor, theirs_minor, currency, settlement_id, opened_at, "
    "closed_at, closed_by, reason";

template <typename Enum, size_t kCount>
Enum ByName(const Enum (&all)[kCount], std::string_view name) {
  const Enum* found = std::find_if(std::begin(all), std::end(all), [&](Enum each) { return Name(each) == name; });
  return found == std::end(all) ? all[0] : *found;  // the column's check lets no other in
}

ReconciliationCase ReadCase(const Rows& rows, int row) {
  constexpr LineKind kAbout[] = {LineKind::kCharge, LineKind::kRefund, LineKind::kChargeback};
  ReconciliationCase one;
  one.id = rows.Int(row, 0);
  one.gateway = rows.Text(row, 1);
  one.difference = ByName(kDifferences, rows.Text(row, 2));
  one.about = ByName(kAbout, rows.Text(row, 3));
  if (!rows.IsNull(row, 4)) one.order_id = rows.Id(row, 4);
  one.reference = rows.Text(row, 5);
  if (!rows.IsNull(row, 6)) one.ours = rows.Int(row, 6);
  if (!rows.IsNull(row, 7)) one.theirs = rows.Int(row, 7);
  one.currency = rows.Text(row, 8);
  one.settlement_id = rows.Int(row, 9);
  one.opened_at = rows.Time(row, 10);
  if (!rows.IsNull(row, 11)) one.closed_at = rows.Time(row, 11);
  one.closed_by = rows.Text(row, 12);
  one.reason = rows.Text(row, 13);
  return one;
}

absl::Status NoSettlement(int64_t id) {
  return domain::ReasonError("SETTLEMENT_NOT_FOUND", fmt::format("there is no settlement {}", id));
}

absl::Status NotLoading(int64_t id) {
  return domain::ReasonError("SETTLEMENT_NOT_LOADING",
                             fmt::format("settlement {} is reconciled, or another has taken its place", id));
}

// What is asked for once a day must not wait as short as what an order waits for.
constexpr absl::Duration kCompareMax = absl::Minutes(15);

// Loads that nobody finished.
constexpr char kForgetUnfinished[] =
    "DELETE FROM settlements WHERE state = 'loading' AND created_at < now() - interval '2 days'";

constexpr char kAddLines[] = R"sql(
WITH loading AS (
    SELECT settlement_id FROM settlements WHERE settlement_id = $1 AND state = 'loading' FOR KEY SHARE),
added AS (
    INSERT INTO settlement_lines (settlement_id, line, kind, order_id, gateway_reference, amount_minor, fee_minor,
          currency, booked_at, payout)
    SELECT s.settlement_id, i.line, i.kind, i.order_id, i.gateway_reference, i.amount_minor, i.fee_minor, i.currency,
          i.booked_at, i.payout
    FROM loading s, unnest($2::integer[], $3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
          $9::timestamptz[], $10::text[])
          AS i (line, kind, order_id, gateway_reference, amount_minor, fee_minor, currency, booked_at, payout)
    ON CONFLICT (settlement_id, line) DO NOTHING)
SELECT EXISTS (SELECT FROM loading), EXISTS (SELECT FROM settlements WHERE settlement_id = $1))sql";

// --- The comparison, statement by statement; $1 is the settlement.

// Those of one gateway, one after the other: each sees what the one before has closed.
constexpr char kTakeAllTurns[] =
    "SELECT pg_advisory_xact_lock(hashtextextended('waybill reconcile ' || gateway, 0)) "
    "FROM (SELECT DISTINCT gateway FROM reconciliation_cases WHERE closed_at IS NULL ORDER BY gateway) AS concerned";
constexpr char kTakeTurns[] =
    "SELECT pg_advisory_xact_lock(hashtextextended('waybill reconcile ' || gateway, 0)) FROM settlements"
    " WHERE settlement_id = $1";

// Lines that name no order, of this settlement and of those before, by the gateway's reference, where just one charge
// of ours has it. $2: order_age_max.
constexpr char kMatchReferences[] = R"sql(
WITH open AS (
    SELECT l.settlement_id, l.line, l.gateway_reference
    FROM settlement_lines l JOIN settlements o USING (settlement_id), settlements s
    WHERE s.settlement_id = $1
      AND o.gateway = s.gateway
      AND (o.state = 'reconciled' OR o.settlement_id = s.settlement_id)
      AND l.order_id IS NULL AND l.kind <> 'fee' AND l.gateway_reference <> '')
UPDATE settlement_lines l
SET order_id = p.order_id
FROM open,
     (SELECT gateway_reference, min(order_id::text)::uuid AS order_id
      FROM gateway_books b, settlements s
      WHERE s.settlement_id = $1
        AND COALESCE(b.gateway, s.gateway) = s.gateway
        AND order_id BETWEEN waybill_id_at(s.covers_from - $2::bigint * interval '1 microsecond')
                         AND waybill_id_at(s.covers_to + interval '1 day')
        AND EXISTS (SELECT FROM open)
      GROUP BY gateway_reference
      HAVING count(*) = 1) p
WHERE l.settlement_id = open.settlement_id
  AND l.line = open.line
  AND open.gateway_reference = p.gateway_reference)sql";

// The settlement of about the same time and another name that has most of its lines: the file before a newer print, or
// the same under another name. A line is known again by what it is about and when the gateway booked it; its amount may
// be what the newer print corrects.
constexpr char kPrintedBefore[] = R"sql(
SELECT o.settlement_id, o.name, count(*), (SELECT count(*) FROM settlement_lines WHERE settlement_id = $1 AND kind <> 'fee')
FROM settlements this
JOIN settlements o ON o.gateway = this.gateway AND o.name <> this.name AND o.state = 'reconciled'
    AND o.covers_from < this.covers_to AND o.covers_to > this.covers_from
JOIN settlement_lines l ON l.settlement_id = o.settlement_id AND l.kind <> 'fee'
JOIN settlement_lines n ON n.settlement_id = this.settlement_id AND n.kind = l.kind AND n.booked_at = l.booked_at
    AND n.gateway_reference = l.gateway_reference AND COALESCE(n.order_id::text, '') = COALESCE(l.order_id::text, '')
WHERE this.settlement_id = $1
GROUP BY o.settlement_id, o.name
HAVING 2 * count(*) > (SELECT count(*) FROM settlement_lines WHERE settlement_id = $1 AND kind <> 'fee')
ORDER BY count(*) DESC LIMIT 1)sql";

// The orders to be looked at: what the file names, and the one that it takes the place of; what we booked in its time;
// and what has an open case. $2: order_age_max, $3: late_max.
constexpr char kTouch[] = R"sql(
CREATE TEMPORARY TABLE touched ON COMMIT DROP AS
WITH periods AS MATERIALIZED (
    SELECT gateway, covers_from - {2} * interval '1 microsecond' AS since, covers_to - {2} * interval '1 microsecond' AS until
    FROM settlements WHERE settlement_id = {0}
    UNION ALL
    -- What could come late to the file before, however long that is ago.
    (SELECT s.gateway, k.covers_to - {2} * interval '1 microsecond', k.covers_to
     FROM settlements s JOIN settlements k ON k.gateway = s.gateway AND k.state = 'reconciled' AND k.covers_to <= s.covers_from
     WHERE s.settlement_id = {0} ORDER BY k.covers_to DESC LIMIT 1))
SELECT l.order_id
FROM settlement_lines l JOIN settlements s USING (settlement_id), settlements this
WHERE this.settlement_id = {0} AND l.order_id IS NOT NULL
  AND (s.settlement_id = {0} OR (s.gateway = this.gateway AND s.name = this.name AND s.state = 'reconciled'))
UNION
SELECT p.order_id
FROM gateway_books p JOIN periods t ON COALESCE(p.gateway, t.gateway) = t.gateway
  AND p.order_id BETWEEN waybill_id_at(t.since - {1} * interval '1 microsecond') AND waybill_id_at(t.until)
  AND p.charged_at >= t.since AND p.charged_at < t.until
UNION
SELECT p.order_id
FROM gateway_refunds p JOIN periods t ON COALESCE(p.gateway, t.gateway) = t.gateway
  AND p.order_id BETWEEN waybill_id_at(t.since - {1} * interval '1 microsecond') AND waybill_id_at(t.until)
  AND p.refunded_at >= t.since AND p.refunded_at < t.until
UNION
SELECT c.order_id
FROM reconciliation_cases c JOIN settlements s USING (gateway)
WHERE s.settlement_id = {0} AND c.closed_at IS NULL AND c.order_id IS NOT NULL
UNION
SELECT l.order_id
FROM reconciliation_cases c JOIN settlements s USING (gateway) JOIN settlement_lines l ON l.gateway_reference = c.reference
     JOIN settlements o ON o.settlement_id = l.settlement_id AND o.gateway = c.gateway
WHERE s.settlement_id = {0} AND c.closed_at IS NULL AND c.order_id IS NULL AND l.order_id IS NOT NULL)sql";

constexpr char kAnalyze[] = "ANALYZE touched";

constexpr char kReplace[] = R"sql(
WITH replaced AS (
    UPDATE settlements s SET state = 'replaced'
    FROM settlements this
    WHERE this.settlement_id = $1 AND s.gateway = this.gateway AND s.name = this.name AND s.state = 'reconciled'
    RETURNING s.settlement_id)
DELETE FROM settlement_lines l USING replaced r WHERE l.settlement_id = r.settlement_id)sql";

// Each difference that there is now. {1}: late_max. What is twice there is not also another amount. An order may have
// had several refunds: those that are due have to be there, and those that may come late can.
constexpr char kDiffer[] = R"sql(
CREATE TEMPORARY TABLE differences ON COMMIT DROP AS
WITH this AS (
    SELECT s.gateway, s.fee_ppm, s.fee_fixed, k.since, k.due - {1} * interval '1 microsecond' AS due
    FROM settlements s,
    LATERAL (SELECT min(covers_from) AS since, max(covers_to) AS due FROM settlements k
             WHERE k.gateway = s.gateway AND (k.state = 'reconciled' OR k.settlement_id = s.settlement_id)) k
    WHERE s.settlement_id = {0}),
theirs AS (
    SELECT l.order_id,
           count(*) FILTER (WHERE l.kind = 'charge') AS charges,
           sum(l.amount_minor) FILTER (WHERE l.kind = 'charge') AS charged,
           count(*) FILTER (WHERE l.kind = 'refund') AS refunds,
           sum(l.amount_minor) FILTER (WHERE l.kind = 'refund') AS refunded,
           count(*) FILTER (WHERE l.kind = 'chargeback') AS chargebacks,
           sum(l.amount_minor) FILTER (WHERE l.kind = 'chargeback') AS charged_back,
           min(l.currency) AS currency,
           max(l.currency) AS currency_too,
           sum(l.fee_minor) FILTER (WHERE l.kind = 'charge') AS fee,
           count(*) FILTER (WHERE l.settlement_id = {0} AND l.kind = 'charge') AS charges_now
    FROM settlement_lines l JOIN settlements s USING (settlement_id) JOIN this USING (gateway) JOIN touched USING (order_id)
    WHERE s.state = 'reconciled' OR s.settlement_id = {0}
    GROUP BY l.order_id),
refunded AS (
    SELECT g.order_id,
           count(*) AS times,
           sum(g.amount_minor)::bigint AS amount,
           sum(g.amount_minor) FILTER (WHERE g.refunded_at >= this.since AND g.refunded_at < this.due) AS due
    FROM gateway_refunds g CROSS JOIN this JOIN touched USING (order_id)
    WHERE COALESCE(g.gateway, this.gateway) = this.gateway
    GROUP BY g.order_id)
SELECT b.order_id, ''::text AS reference, d.kind, d.about, d.ours, d.theirs, b.shown AS currency
FROM (SELECT t.order_id, p.amount_minor AS charged_here, p.charged_at, r.amount AS refunded_here, r.due AS refund_due, r.times,
             COALESCE(p.currency, s.currency) AS shown,
             s.charges, s.charged, s.refunds, s.refunded, s.chargebacks, s.charged_back, s.fee, s.charges_now,
             -- What was taken too often, and is to be given back besides.
             CASE WHEN s.charges > 1 AND p.amount_minor IS NOT NULL THEN s.charged - p.amount_minor ELSE 0 END AS surplus,
             s.currency <> s.currency_too OR s.currency <> p.currency AS other_currency,
             this.since, this.due, this.fee_ppm, this.fee_fixed
      FROM touched t CROSS JOIN this
      LEFT JOIN gateway_books p ON p.order_id = t.order_id AND COALESCE(p.gateway, this.gateway) = this.gateway
      LEFT JOIN refunded r ON r.order_id = t.order_id
      LEFT JOIN theirs s ON s.order_id = t.order_id) b,
LATERAL (VALUES
    ('twice', 'charge', charged_here, charged, charges > 1 AND (charged_here IS NULL
        OR COALESCE(refunded, 0) - COALESCE(refunded_here, 0) <> surplus)),
    ('missing_here', 'charge', NULL, charged, charges > 0 AND charged_here IS NULL),
    ('missing_there', 'charge', charged_here, NULL, charged_at >= since AND charged_at < due AND COALESCE(charges, 0) = 0),
    ('amount', 'charge', charged_here, charged, charges = 1 AND charged <> charged_here AND NOT other_currency),
    ('currency', 'charge', charged_here, charged, other_currency),
    ('missing_here', 'refund', NULL, refunded, refunds > 0 AND refunded_here IS NULL AND refunded <> surplus),
    ('missing_there', 'refund', refunded_here, NULL, refund_due > 0 AND COALESCE(refunds, 0) = 0),
    ('amount', 'refund', refunded_here, refunded, refunds > 0 AND NOT other_currency
        AND refunded - surplus NOT BETWEEN CASE WHEN times = 1 THEN refunded_here ELSE COALESCE(refund_due, 0) END AND refunded_here),
    ('chargeback', 'chargeback', charged_here, charged_back, chargebacks > 0),
    ('fee', 'charge', trunc(charged * fee_ppm / 1000000)::bigint + fee_fixed, fee,
        charges_now > 0 AND charges = 1 AND NOT fee - fee_fixed BETWEEN trunc(charged * fee_ppm / 1000000) AND ceil(charged * fee_ppm / 1000000))
) AS d (kind, about, ours, theirs, is_so)
WHERE d.is_so
UNION ALL
SELECT NULL, l.gateway_reference, 'missing_here', l.kind, NULL, sum(l.amount_minor), min(l.currency)
FROM settlement_lines l
WHERE l.settlement_id = {0} AND l.order_id IS NULL AND l.kind <> 'fee'
GROUP BY l.gateway_reference, l.kind)sql";

// What cases are held against once more: the file that opened each, or the one in its place, or else their gateway's
// newest.
constexpr char kAgainst[] = R"sql(
SELECT s.settlement_id, c.case_id
FROM reconciliation_cases c
LEFT JOIN settlements mine ON mine.settlement_id = c.settlement_id
CROSS JOIN LATERAL (
    SELECT k.settlement_id FROM settlements k
    WHERE k.gateway = c.gateway AND k.state = 'reconciled'
    ORDER BY k.settlement_id = c.settlement_id DESC, k.name IS NOT DISTINCT FROM mine.name DESC, k.settlement_id DESC LIMIT 1) s
WHERE c.case_id = ANY($1) ORDER BY s.settlement_id)sql";

constexpr char kTouchAgain[] = R"sql(
CREATE TEMPORARY TABLE touched ON COMMIT DROP AS
SELECT order_id FROM reconciliation_cases WHERE case_id IN ({0}) AND order_id IS NOT NULL
UNION
SELECT l.order_id
FROM reconciliation_cases c JOIN settlement_lines l ON l.gateway_reference = c.reference
     JOIN settlements o ON o.settlement_id = l.settlement_id AND o.gateway = c.gateway
WHERE c.case_id IN ({0}) AND c.order_id IS NULL AND l.order_id IS NOT NULL)sql";

// What somebody has closed with these amounts stays closed.
constexpr char kOpenCases[] = R"sql(
INSERT INTO reconciliation_cases AS c (gateway, kind, about, order_id, reference, ours_minor, theirs_minor, currency, settlement_id)
SELECT s.gateway, d.kind, d.about, d.order_id, d.reference, d.ours, d.theirs, d.currency, s.settlement_id
FROM differences d, settlements s
WHERE s.settlement_id = $1
  AND NOT EXISTS (
      SELECT FROM reconciliation_cases k
      WHERE k.order_id IS NOT DISTINCT FROM d.order_id AND k.gateway = s.gateway AND k.kind = d.kind AND k.about = d.about
        AND k.reference = d.reference AND k.closed_by <> '' AND k.ours_minor IS NOT DISTINCT FROM d.ours
        AND k.theirs_minor IS NOT DISTINCT FROM d.theirs)
ON CONFLICT (gateway, kind, about, order_id, reference) WHERE closed_at IS NULL DO UPDATE
SET ours_minor = EXCLUDED.ours_minor, theirs_minor = EXCLUDED.theirs_minor, currency = EXCLUDED.currency,
    settlement_id = c.settlement_id
RETURNING xmax = 0 AS fresh)sql";

constexpr char kCloseProven[] = R"sql(
UPDATE reconciliation_cases c
SET closed_at = now(), closed_by = '', reason = 'proven by settlement ' || s.settlement_id
FROM settlements s
WHERE s.settlement_id = $1
  AND c.gateway = s.gateway
  AND c.closed_at IS NULL
  AND NOT EXISTS (SELECT FROM differences d
                  WHERE d.order_id IS NOT DISTINCT FROM c.order_id AND d.reference = c.reference AND d.kind = c.kind
                    AND d.about = c.about)
  AND ($2::bigint[] IS NULL OR c.case_id = ANY($2))
  -- A fee is held against its own file's tariff only.
  AND (c.kind <> 'fee' OR c.settlement_id = s.settlement_id
    OR (SELECT state FROM settlements o WHERE o.settlement_id = c.settlement_id) = 'replaced')
  AND (c.order_id IS NOT NULL
    OR NOT EXISTS (SELECT FROM settlement_lines l JOIN settlements o USING (settlement_id)
                   WHERE l.order_id IS NULL AND l.kind <> 'fee' AND l.gateway_reference = c.reference
                     AND l.kind = c.about AND o.gateway = c.gateway AND o.state = 'reconciled')))sql";

constexpr char kFinish[] =
    "UPDATE settlements SET state = 'reconciled', reconciled_at = now(), lines = $2, opened = $3, proven = $4"
    " WHERE settlement_id = $1 RETURNING {}";

constexpr char kTotals[] = R"sql(
WITH theirs AS (
    SELECT currency,
           count(*) FILTER (WHERE kind = 'charge') AS charges, COALESCE(sum(amount_minor) FILTER (WHERE kind = 'charge'), 0) AS charged,
           count(*) FILTER (WHERE kind = 'refund') AS refunds, COALESCE(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS refunded,
           count(*) FILTER (WHERE fee_minor > 0 OR kind = 'fee') AS fees,
           sum(fee_minor) + COALESCE(sum(amount_minor) FILTER (WHERE kind = 'fee'), 0) AS fee,
           count(*) FILTER (WHERE kind = 'chargeback') AS chargebacks,
           COALESCE(sum(amount_minor) FILTER (WHERE kind = 'chargeback'), 0) AS charged_back
    FROM settlement_lines WHERE settlement_id = $1 GROUP BY currency),
ours AS (
    SELECT p.currency,
           count(*) FILTER (WHERE p.charge) AS charges, COALESCE(sum(p.amount_minor) FILTER (WHERE p.charge), 0) AS charged,
           count(*) FILTER (WHERE NOT p.charge) AS refunds, COALESCE(sum(p.amount_minor) FILTER (WHERE NOT p.charge), 0) AS refunded
    FROM settlements s,
         (SELECT order_id, gateway, currency, amount_minor, charged_at AS at, true AS charge FROM gateway_books
          UNION ALL
          SELECT order_id, gateway, currency, amount_minor, refunded_at, false FROM gateway_refunds) p
    WHERE s.settlement_id = $1
      AND COALESCE(p.gateway, s.gateway) = s.gateway
      AND p.order_id BETWEEN waybill_id_at(s.covers_from - $2::bigint * interval '1 microsecond') AND waybill_id_at(s.covers_to)
      AND p.at >= s.covers_from AND p.at < s.covers_to
    GROUP BY p.currency)
SELECT currency, COALESCE(t.charges, 0), COALESCE(t.charged, 0)::bigint, COALESCE(t.refunds, 0), COALESCE(t.refunded, 0)::bigint,
       COALESCE(t.fees, 0), COALESCE(t.fee, 0)::bigint, COALESCE(t.chargebacks, 0), COALESCE(t.charged_back, 0)::bigint,
       COALESCE(o.charges, 0), COALESCE(o.charged, 0)::bigint, COALESCE(o.refunds, 0), COALESCE(o.refunded, 0)::bigint
FROM theirs t FULL JOIN ours o USING (currency)
WHERE t.currency IS NOT NULL OR o.charges > 0 OR o.refunds > 0
ORDER BY currency)sql";

}  // namespace

ConnectionOptions ReconciliationConnectionOptions() {
  ConnectionOptions options = WriteConnectionOptions();
  options.statement_timeout = kCompareMax;
  return options;
}

absl::StatusOr<Rows> PostgresReconciliationStore::Execute(const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

absl::StatusOr<Settlement> PostgresReconciliationStore::Begin(const NewSettlement& settlement) {
  if (absl::StatusOr<Rows> forgotten = Execute(kForgetUnfinished, {}); !forgotten.ok()) return forgotten.status();
  const std::optional<Tariff>& tariff = settlement.tariff;
  absl::StatusOr<Rows> rows =
      Execute(fmt::format("INSERT INTO settlements (gateway, name, covers_from, covers_to, fee_ppm, fee_fixed)"
                          " VALUES ($1, $2, $3, $4, $5, $6) RETURNING {}",
                          kSettlementColumns),
              {Param::Text(settlement.gateway), Param::Text(settlement.name), Param::Time(settlement.from),
               Param::Time(settlement.to), tariff ? Param::Int4(tariff->ppm) : Param::Null(kOidInt4),
               tariff ? Param::Int8(tariff->fixed) : Param::Null(kOidInt8)});
  if (!rows.ok()) return rows.status();
  return ReadSettlement(*rows, 0);
}

absl::Status PostgresReconciliationStore::AddLines(int64_t settlement_id, const std::vector<SettlementLine>& lines) {
  ArrayParam numbers(kOidInt4), kinds(kOidText), orders(kOidUuid), references(kOidText), amounts(kOidInt8),
      fees(kOidInt8), currencies(kOidText), times(kOidTimestamptz), payouts(kOidText);
  for (const SettlementLine& line : lines) {
    numbers.AddInt(line.number);
    kinds.AddText(Name(line.kind));
    orders.AddId(line.order_id);
    references.AddText(line.gateway_reference);
    amounts.AddInt(line.amount_minor);
    fees.AddInt(line.fee_minor);
    currencies.AddText(line.currency);
    times.AddTime(line.booked_at);
    payouts.AddText(line.payout);
  }
  absl::StatusOr<Rows> rows = Execute(kAddLines, {Param::Int8(settlement_id), numbers, kinds, orders, references,
                                                  amounts, fees, currencies, times, payouts});
  if (!rows.ok()) return rows.status();
  if (rows->Bool(0, 0)) return absl::OkStatus();
  return rows->Bool(0, 1) ? NotLoading(settlement_id) : NoSettlement(settlement_id);
}

template <typename Work>
auto PostgresReconciliationStore::InTransaction(Work work) -> decltype(work(std::declval<Connection&>())) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> backend = (*connection)->Execute("SELECT pg_backend_pid()");
  if (!backend.ok()) return backend.status();
  const int64_t pid = backend->Int(0, 0);
  {
    std::lock_guard lock(mutex_);
    comparing_.insert(pid);
  }
  decltype(work(**connection)) done = absl::CancelledError();
  if (absl::StatusOr<Rows> begun = Step(**connection, "BEGIN"); begun.ok()) {
    done = work(**connection);
    absl::StatusOr<Rows> ended = (*connection)->Execute(done.ok() ? "COMMIT" : "ROLLBACK");
    if (done.ok() && !ended.ok()) done = ended.status();
  } else {
    done = begun.status();
  }
  std::lock_guard lock(mutex_);
  comparing_.erase(pid);
  return done;
}

absl::StatusOr<Settlement> PostgresReconciliationStore::Reconcile(int64_t settlement_id, int64_t lines,
                                                                  const domain::Deed& deed) {
  return InTransaction([&](Connection& connection) { return Compare(connection, settlement_id, lines, deed); });
}

absl::StatusOr<int64_t> PostgresReconciliationStore::CompareAgain(const std::string& pick,
                                                                  absl::Span<const Param> params) {
  return InTransaction([&](Connection& connection) { return CompareAgain(connection, pick, params); });
}

absl::StatusOr<Rows> PostgresReconciliationStore::Step(Connection& connection, const std::string& sql,
                                                       absl::Span<const Param> params) {
  const auto stopping = [this] {
    std::lock_guard lock(mutex_);
    return cancelled_;
  };
  if (stopping()) return domain::ReasonError("SHUTTING_DOWN", "this process is draining");
  absl::StatusOr<Rows> rows = connection.Execute(sql, params);
  if (!rows.ok() && stopping()) return domain::ReasonError("SHUTTING_DOWN", "this process is draining");
  return rows;
}

void PostgresReconciliationStore::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (const int64_t pid : comparing_) {
    // Should it not be heard, the process that goes away ends the session anyway.
    (void)Execute("SELECT pg_cancel_backend($1)", {Param::Int4(static_cast<int32_t>(pid))});
  }
}

absl::StatusOr<Settlement> PostgresReconciliationStore::Compare(Connection& connection, int64_t settlement_id,
                                                                int64_t lines, const domain::Deed& deed) {
  const Param id = Param::Int8(settlement_id);
  const int64_t age = absl::ToInt64Microseconds(options_.order_age_max);
  const int64_t late = absl::ToInt64Microseconds(options_.late_max);
  if (absl::StatusOr<Rows> turn = Step(connection, kTakeTurns, {id}); !turn.ok()) return turn.status();
  // A lock for itself: whoever adds lines has read its state.
  absl::StatusOr<Rows> found =
      Step(connection,
           fmt::format("SELECT {} FROM settlements WHERE settlement_id = $1 FOR UPDATE", kSettlementColumns), {id});
  if (!found.ok()) return found.status();
  if (found->empty()) return NoSettlement(settlement_id);
  const Settlement settlement = ReadSettlement(*found, 0);
  if (settlement.state == SettlementState::kReconciled) return settlement;
  if (settlement.state == SettlementState::kReplaced) return NotLoading(settlement_id);
  absl::StatusOr<Rows> counted =
      Step(connection, "SELECT count(*) FROM settlement_lines WHERE settlement_id = $1", {id});
  if (!counted.ok()) return counted.status();
  if (counted->Int(0, 0) != lines) {
    return domain::ReasonError("SETTLEMENT_INCOMPLETE", fmt::format("settlement {} has {} lines and not {}",
                                                                    settlement_id, counted->Int(0, 0), lines));
  }

  if (absl::StatusOr<Rows> done = Step(connection, kMatchReferences, {id, Param::Int8(age)}); !done.ok()) {
    return done.status();
  }
  absl::StatusOr<Rows> before = Step(connection, kPrintedBefore, {id});
  if (!before.ok()) return before.status();
  if (!before->empty()) {
    const std::string name(before->Text(0, 1));
    return domain::ReasonError(
        "SETTLEMENT_REPEATED",
        fmt::format(
            "{} of its {} lines stand in settlement {}, \"{}\", too; one that takes its place has the same name",
            before->Int(0, 2), before->Int(0, 3), before->Int(0, 0), name),
        {.metadata = {{"settlement_id", fmt::format("{}", before->Int(0, 0))}, {"name", name}}});
  }

  // Statements that make tables take no parameters.
  const std::pair<std::string, std::vector<Param>> steps[] = {
      {fmt::format(kTouch, settlement_id, age, late), {}},
      {kAnalyze, {}},
      {kReplace, {id}},
      {fmt::format(kDiffer, settlement_id, late), {}},
  };
  for (const auto& [sql, params] : steps) {
    if (absl::StatusOr<Rows> done = Step(connection, sql, params); !done.ok()) return done.status();
  }
  absl::StatusOr<Rows> proven = Step(connection, kCloseProven, {id, Param::Null(ArrayOid(kOidInt8))});
  if (!proven.ok()) return proven.status();
  absl::StatusOr<Rows> opened =
      Step(connection, fmt::format("WITH opened AS ({}) SELECT count(*) FILTER (WHERE fresh) FROM opened", kOpenCases),
           {id});
  if (!opened.ok()) return opened.status();
  const int64_t new_ones = opened->Int(0, 0);

  const DeedRow deed_row(deed);
  std::vector<Param> deed_params;
  deed_row.AddTo(deed_params);
  if (absl::StatusOr<Rows> kept = Step(connection, InsertDeed(1), deed_params); !kept.ok()) return kept.status();
  absl::StatusOr<Rows> finished =
      Step(connection, fmt::format(kFinish, kSettlementColumns),
           {id, Param::Int8(lines), Param::Int8(new_ones), Param::Int8(proven->affected())});
  if (!finished.ok()) return finished.status();
  return ReadSettlement(*finished, 0);
}

absl::StatusOr<int64_t> PostgresReconciliationStore::CompareAgain(Connection& connection, const std::string& pick,
                                                                  absl::Span<const Param> params) {
  // Before any case is locked, and in one order: as a comparison does, which locks cases after it.
  if (absl::StatusOr<Rows> turns = Step(connection, kTakeAllTurns, {}); !turns.ok()) return turns.status();
  absl::StatusOr<Rows> picked = Step(connection, pick, params);
  if (!picked.ok()) return picked.status();
  ArrayParam all(kOidInt8);
  for (int row = 0; row < picked->size(); ++row) {
    int64_t id = 0;
    const std::string_view text = picked->Text(row, 0);
    std::from_chars(text.data(), text.data() + text.size(), id);
    all.AddInt(id);
  }
  absl::StatusOr<Rows> against = Step(connection, kAgainst, {all});
  if (!against.ok()) return against.status();
  for (int row = 0; row < against->size();) {
    const int64_t settlement_id = against->Int(row, 0);
    const Param id = Param::Int8(settlement_id);
    ArrayParam cases(kOidInt8);
    std::vector<int64_t> ids;
    for (; row < against->size() && against->Int(row, 0) == settlement_id; ++row) {
      cases.AddInt(against->Int(row, 1));
      ids.push_back(against->Int(row, 1));
    }
    const std::pair<std::string, std::vector<Param>> steps[] = {
        {kMatchReferences, {id, Param::Int8(absl::ToInt64Microseconds(options_.order_age_max))}},
        {fmt::format(kTouchAgain, fmt::join(ids, ", ")), {}},
        {fmt::format(kDiffer, settlement_id, absl::ToInt64Microseconds(options_.late_max)), {}},
        {kCloseProven, {id, cases}},
        {"DROP TABLE touched, differences", {}},
    };
    for (const auto& [sql, of_step] : steps) {
      if (absl::StatusOr<Rows> done = Step(connection, sql, of_step); !done.ok()) return done.status();
    }
  }
  return picked->size();
}

absl::StatusOr<std::vector<Settlement>> PostgresReconciliationStore::List(const std::string& gateway, int64_t before,
                                                                          int limit) {
  absl::StatusOr<Rows> rows =
      Execute(fmt::format("SELECT {} FROM settlements WHERE ($1::text = '' OR gateway = $1) AND settlement_id < $2"
                          " ORDER BY settlement_id DESC LIMIT $3",
                          kSettlementColumns),
              {Param::Text(gateway), Param::Int8(before), Param::Int8(limit)});
  if (!rows.ok()) return rows.status();
  std::vector<Settlement> settlements;
  for (int row = 0; row < rows->size(); ++row) settlements.push_back(ReadSettlement(*rows, row));
  return settlements;
}

absl::StatusOr<Settlement> PostgresReconciliationStore::Get(int64_t settlement_id) {
  absl::StatusOr<Rows> rows =
      Execute(fmt::format("SELECT {} FROM settlements WHERE settlement_id = $1", kSettlementColumns),
              {Param::Int8(settlement_id)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return NoSettlement(settlement_id);
  return ReadSettlement(*rows, 0);
}

absl::StatusOr<std::vector<SettlementTotals>> PostgresReconciliationStore::Totals(int64_t settlement_id) {
  absl::StatusOr<Rows> rows =
      Execute(kTotals, {Param::Int8(settlement_id), Param::Int8(absl::ToInt64Microseconds(options_.order_age_max))});
  if (!rows.ok()) return rows.status();
  std::vector<SettlementTotals> totals;
  for (int row = 0; row < rows->size(); ++row) {
    const auto sum = [&](int column) {
      return SettlementTotals::Sum{rows->Int(row, column), rows->Int(row, column + 1)};
    };
    totals.push_back({std::string(rows->Text(row, 0)), sum(1), sum(3), sum(5), sum(7), sum(9), sum(11)});
  }
  return totals;
}

absl::StatusOr<std::vector<ReconciliationCase>> PostgresReconciliationStore::ListCases(const CaseQuery& query) {
  absl::StatusOr<Rows> rows =
      Execute(fmt::format("SELECT {} FROM reconciliation_cases WHERE ($1::text = '' OR gateway = $1)"
                          " AND ($2::boolean OR closed_at IS NULL) AND ($3::uuid IS NULL OR order_id = $3)"
                          " AND ($4::bigint IS NULL OR settlement_id = $4) AND case_id > $5 ORDER BY case_id LIMIT $6",
                          kCaseColumns),
              {Param::Text(query.gateway), Param::Bool(query.closed_too),
               query.order_id ? Param::Id(*query.order_id) : Param::Null(kOidUuid),
               query.settlement_id ? Param::Int8(*query.settlement_id) : Param::Null(kOidInt8),
               Param::Int8(query.after), Param::Int8(query.limit)});
  if (!rows.ok()) return rows.status();
  std::vector<ReconciliationCase> cases;
  for (int row = 0; row < rows->size(); ++row) cases.push_back(ReadCase(*rows, row));
  return cases;
}

absl::StatusOr<ReconciliationCase> PostgresReconciliationStore::CloseCase(int64_t case_id, const std::string& reason,
                                                                          const domain::Deed& deed) {
  const DeedRow deed_row(deed);
  // Whoever is nobody in particular is somebody here: empty means that it was proven.
  const std::string by = deed.by.client.empty() ? "anybody" : deed.by.client;
  std::vector<Param> params = {Param::Int8(case_id), Param::Text(by), Param::Text(reason)};
  deed_row.AddTo(params);
  absl::StatusOr<Rows> rows =
      Execute(fmt::format("WITH closed AS (UPDATE reconciliation_cases SET closed_at = now(), closed_by = $2, reason = "
                          "$3 WHERE case_id = $1 AND closed_at IS NULL RETURNING *), kept AS ({} FROM closed)"
                          " SELECT {} FROM closed",
                          InsertDeed(4), kCaseColumns),
              params);
  if (!rows.ok()) return rows.status();
  if (!rows->empty()) return ReadCase(*rows, 0);
  absl::StatusOr<Rows> found = Execute(
      fmt::format("SELECT {} FROM reconciliation_cases WHERE case_id = $1", kCaseColumns), {Param::Int8(case_id)});
  if (!found.ok()) return found.status();
  if (found->empty()) return domain::ReasonError("CASE_NOT_FOUND", fmt::format("there is no case {}", case_id));
  ReconciliationCase one = ReadCase(*found, 0);
  if (one.closed_by == by && one.reason == reason) return one;
  return domain::ReasonError("CASE_CLOSED", fmt::format("case {} is closed: {}", case_id, one.reason));
}

absl::StatusOr<std::vector<ReconciliationStore::Open>> PostgresReconciliationStore::CountOpen() {
  absl::StatusOr<Rows> rows = Execute(
      "SELECT gateway, kind, count(*) FROM reconciliation_cases WHERE closed_at IS NULL GROUP BY gateway, kind", {});
  if (!rows.ok()) return rows.status();
  std::vector<Open> open;
  for (int row = 0; row < rows->size(); ++row) {
    open.push_back({std::string(rows->Text(row, 0)), ByName(kDifferences, rows->Text(row, 1)), rows->Int(row, 2)});
  }
  return open;
}

}  // namespace waybill::storage
