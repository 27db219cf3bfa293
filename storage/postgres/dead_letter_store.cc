#include "storage/postgres/dead_letter_store.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "fmt/format.h"
#include "storage/postgres/audit_log.h"

namespace waybill::storage {
namespace {

// Where letters of one kind stand. Sagas stand in two tables.
struct LetterSource {
  DeadLetterKind kind;
  // Answers kLetterColumns, and key_1 and key_2. $1 and $2 are the one key that is wanted, $8 and $9 the kinds and
  // versions of sagas that are driven here.
  std::string_view select;
  std::string_view table;
  std::string_view join;   // of a row `t` of the table with a letter `p`
  std::string_view dead;   // of `t`
  std::string_view order;  // of `t`: in which they are locked, as others do
  // What `t` is set to; $11 is the pause between two in microseconds, p.n the place in the row.
  std::string_view live;
  std::string_view discard;  // $11 is the reason; "" where the table alone cannot say it
};

constexpr char kLetterColumns[] = "id, cause, detail, gateway, client, endpoint_id, order_id, since, attempts, blocked";
constexpr char kOtherLetterFilters[] =
    "($3::text = '' OR cause = $3::text) AND ($4::text = '' OR gateway = $4::text) "
    "AND ($5::text = '' OR client = $5::text) AND ($6::uuid IS NULL OR endpoint_id = $6::uuid) "
    "AND since <= $7::timestamptz";
constexpr int kFirstOwnParameter = 10;

// Why a saga does not get on is in its log, and when that became so; in its header is only why it was turned back.
constexpr char kOrderSagas[] = R"sql(
SELECT 'saga/' || s.order_id AS id, COALESCE(substring(l.detail FROM '^[A-Z][A-Z0-9_]*'), 'UNREADABLE_ROW') AS cause,
       COALESCE(l.step || ': ' || l.detail, 'see the log of the service') AS detail,
       COALESCE((SELECT g.gateway FROM payment_attempts g WHERE g.order_id = s.order_id ORDER BY g.number DESC LIMIT 1), '') AS gateway,
       s.client, NULL::uuid AS endpoint_id, s.order_id,
       CASE WHEN s.state = 'running' THEN s.updated_at ELSE COALESCE(l.since, s.updated_at) END AS since, s.attempt AS attempts,
       CASE WHEN EXISTS (SELECT FROM unnest($8::text[], $9::integer[]) AS k (kind, version) WHERE k.kind = 'place_order' AND k.version = s.version)
            THEN '' ELSE 'SAGA_NOT_DRIVEN_HERE' END AS blocked,
       s.order_id::text AS key_1, '' AS key_2
FROM order_sagas s LEFT JOIN LATERAL (
    SELECT g.step, g.detail, (SELECT max(a.at) FROM order_saga_steps a WHERE a.order_id = s.order_id AND a.outcome = 'needs_attention') AS since
    FROM order_saga_steps g WHERE g.order_id = s.order_id AND g.outcome IN ('undo_failed', 'unknown') ORDER BY g.seq DESC LIMIT 1) l ON true
WHERE s.needs_attention AND s.state IN ('running', 'closing', 'compensating') AND ($1::text IS NULL OR s.order_id = $1::text::uuid))sql";

constexpr char kSharedSagas[] = R"sql(
SELECT 'saga/' || s.saga_id AS id, COALESCE(substring(l.detail FROM '^[A-Z][A-Z0-9_]*'), 'UNREADABLE_ROW') AS cause,
       COALESCE(l.step || ': ' || l.detail, 'see the log of the service') AS detail,
       '' AS gateway, '' AS client, NULL::uuid AS endpoint_id, NULL::uuid AS order_id,
       CASE WHEN s.state = 'running' THEN s.updated_at ELSE COALESCE(l.since, s.updated_at) END AS since, s.attempt AS attempts,
       CASE WHEN EXISTS (SELECT FROM unnest($8::text[], $9::integer[]) AS k (kind, version) WHERE k.kind = s.kind AND k.version = s.version)
            THEN '' ELSE 'SAGA_NOT_DRIVEN_HERE' END AS blocked,
       s.saga_id::text AS key_1, '' AS key_2
FROM sagas s LEFT JOIN LATERAL (
    SELECT g.step, g.detail, (SELECT max(a.at) FROM saga_steps a WHERE a.saga_id = s.saga_id AND a.outcome = 'needs_attention') AS since
    FROM saga_steps g WHERE g.saga_id = s.saga_id AND g.outcome IN ('undo_failed', 'unknown') ORDER BY g.seq DESC LIMIT 1) l ON true
WHERE s.needs_attention AND s.state IN ('running', 'closing', 'compensating') AND ($1::text IS NULL OR s.saga_id = $1::text::uuid))sql";

// Its driver is fenced, and recovery takes it up when its lease is over; one that waits goes on as if its time were.
// Attempts are counted anew where they have no end, so that it fails for good after as many as before.
constexpr char kSagaLives[] =
    "needs_attention = false, epoch = t.epoch + 1, attempt = CASE WHEN t.state = 'running' THEN t.attempt ELSE 1 END, "
    "updated_at = CASE WHEN t.state = 'running' THEN now() ELSE t.updated_at END, "
    "lease_until = CASE WHEN t.lease_until IS NOT NULL THEN now() + p.n * $11::bigint * interval '1 microsecond' END, "
    "due_at = CASE WHEN t.lease_until IS NOT NULL THEN now() + p.n * $11::bigint * interval '1 microsecond' END, "
    "wakes_at = CASE WHEN t.lease_until IS NULL THEN now() + p.n * $11::bigint * interval '1 microsecond' "
    "ELSE t.wakes_at END";
constexpr char kSagaDead[] = "t.needs_attention AND t.state IN ('running', 'closing', 'compensating')";

const LetterSource kLetterSources[] = {
    {DeadLetterKind::kEvent,
     R"sql(
SELECT 'event/' || w.gateway || '/' || w.event_id AS id, split_part(COALESCE(w.reason, 'UNKNOWN'), ':', 1) AS cause,
       concat_ws(' ', NULLIF(w.event_type, ''), w.amount_minor, w.currency, NULLIF(substr(w.reason, strpos(w.reason || ':', ':') + 2), '')) AS detail,
       w.gateway, '' AS client, NULL::uuid AS endpoint_id, w.order_id, w.settled_at AS since, w.attempts, '' AS blocked,
       w.gateway AS key_1, w.event_id AS key_2
FROM webhook_inbox w
WHERE w.state = 'attention' AND ($1::text IS NULL OR (w.gateway = $1::text AND w.event_id = $2::text)))sql",
     "webhook_inbox", "t.gateway = p.key_1 AND t.event_id = p.key_2", "t.state = 'attention'", "t.gateway, t.event_id",
     "state = 'new', reason = NULL, attempts = 0, settled_at = NULL, "
     "due_at = now() + p.n * $11::bigint * interval '1 microsecond'",
     "state = 'ignored', reason = 'DISCARDED: ' || $11::text, settled_at = now()"},
    {DeadLetterKind::kDelivery,
     R"sql(
SELECT 'delivery/' || d.endpoint_id || '/' || d.event_id AS id,
       CASE WHEN d.reason LIKE 'the endpoint is disabled%' THEN 'ENDPOINT_DISABLED' WHEN d.last_code = 410 THEN 'ENDPOINT_GONE'
            WHEN d.last_code IS NULL THEN 'UNREACHABLE' ELSE 'REFUSED' END AS cause,
       concat_ws('; ', d.type, d.reason, 'HTTP ' || d.last_code, NULLIF(d.last_answer, '')) AS detail,
       '' AS gateway, e.client, d.endpoint_id, d.order_id, COALESCE(d.last_at, d.created_at) AS since, d.attempts,
       CASE WHEN e.enabled THEN '' ELSE 'ENDPOINT_DISABLED' END AS blocked,
       d.endpoint_id::text AS key_1, d.event_id AS key_2
FROM webhook_deliveries d JOIN webhook_endpoints e ON e.endpoint_id = d.endpoint_id
WHERE d.state = 'dead' AND e.deleted_at IS NULL
  AND ($1::text IS NULL OR (d.endpoint_id = $1::text::uuid AND d.event_id = $2::text)))sql",
     "webhook_deliveries", "t.endpoint_id = p.key_1::uuid AND t.event_id = p.key_2", "t.state = 'dead'",
     "t.endpoint_id, t.event_id",
     "state = 'waiting', attempts = 0, reason = '', epoch = t.epoch + 1, "
     "next_at = now() + p.n * $11::bigint * interval '1 microsecond'",
     "state = 'discarded', epoch = t.epoch + 1, reason = $11::text"},
    {DeadLetterKind::kCase,
     R"sql(
SELECT 'case/' || c.case_id AS id, upper(c.kind) AS cause,
       concat_ws(' ', c.about || ',', 'ours', COALESCE(c.ours_minor::text, 'none') || ',', 'theirs', COALESCE(c.theirs_minor::text, 'none'),
                 c.currency, NULLIF(c.reference, '')) AS detail,
       c.gateway, '' AS client, NULL::uuid AS endpoint_id, c.order_id, COALESCE(c.compared_at, c.opened_at) AS since, 0 AS attempts,
       '' AS blocked, c.case_id::text AS key_1, '' AS key_2
FROM reconciliation_cases c WHERE c.closed_at IS NULL AND ($1::text IS NULL OR c.case_id = $1::text::bigint))sql",
     "reconciliation_cases", "t.case_id = p.key_1::bigint", "t.closed_at IS NULL", "t.case_id",
     "compared_at = clock_timestamp() + 0 * $11::bigint * interval '1 microsecond'",
     "closed_at = now(), closed_by = COALESCE(NULLIF($12::text, ''), 'anybody'), reason = $11::text"},
    {DeadLetterKind::kSaga, kOrderSagas, "order_sagas", "t.order_id = p.key_1::uuid", kSagaDead, "t.order_id",
     kSagaLives, ""},
    {DeadLetterKind::kSaga, kSharedSagas, "sagas", "t.saga_id = p.key_1::uuid", kSagaDead, "t.saga_id", kSagaLives, ""},
};

bool Wanted(const DeadLetterFilter& filter, const LetterSource& source) {
  if (filter.key && filter.key->kind != source.kind) return false;
  return !filter.kind || *filter.kind == source.kind;
}

// The filter's parameters, $1 to $9. Outlives the call that they go into.
class LetterParams {
 public:
  LetterParams(const DeadLetterFilter& filter, const saga::Kinds& kinds) : filter_(filter) {
    for (const saga::Definition& definition : kinds.all()) {
      kinds_.AddText(definition.kind);
      versions_.AddInt(definition.version);
    }
  }

  std::vector<Param> ForQuery() const {
    const auto& key = filter_.key;
    return {key ? Param::Text(key->first) : Param::Null(kOidText),
            key ? Param::Text(key->second) : Param::Null(kOidText),
            Param::Text(filter_.cause),
            Param::Text(filter_.gateway),
            Param::Text(filter_.client),
            filter_.endpoint_id ? Param::Id(*filter_.endpoint_id) : Param::Null(kOidUuid),
            Param::Time(filter_.since_max),
            kinds_,
            versions_};
  }

 private:
  const DeadLetterFilter& filter_;
  ArrayParam kinds_{kOidText}, versions_{kOidInt4};
};

// Locks what is picked, in one order, and changes what is still dead; whoever does the same at the same time passes
// over it. A single one is waited for. Answers the keys of what has changed.
std::string ChangeLetters(const LetterSource& source, std::string_view set, std::string_view which, bool single,
                          int first_of_deed) {
  return fmt::format(
      "WITH picked AS MATERIALIZED (SELECT id, since, key_1, key_2 FROM ({select}) l WHERE {filters} AND {which} "
      "ORDER BY since, id COLLATE \"C\" LIMIT $10::bigint), "
      "held AS MATERIALIZED (SELECT p.* FROM picked p JOIN {table} t ON {join} WHERE {dead} ORDER BY {order} "
      "FOR UPDATE OF t{skip}), "
      "placed AS MATERIALIZED (SELECT h.*, row_number() OVER (ORDER BY h.since, h.id COLLATE \"C\") - 1 AS n "
      "FROM held h), "
      "changed AS (UPDATE {table} t SET {set} FROM placed p WHERE {join} AND {dead} RETURNING p.id, p.key_1), "
      "audited AS (INSERT INTO audit_deeds ({columns}) SELECT ${d0}::text, ${d1}::text, ${d2}::text, ${d3}::text, "
      "${d4}::text, changed.id, ${d6}::text FROM changed) SELECT key_1 FROM changed",
      fmt::arg("select", source.select), fmt::arg("filters", kOtherLetterFilters), fmt::arg("which", which),
      fmt::arg("table", source.table), fmt::arg("join", source.join), fmt::arg("dead", source.dead),
      fmt::arg("order", source.order), fmt::arg("skip", single ? "" : " SKIP LOCKED"), fmt::arg("set", set),
      fmt::arg("columns", fmt::join(kDeedColumns, ", ")), fmt::arg("d0", first_of_deed),
      fmt::arg("d1", first_of_deed + 1), fmt::arg("d2", first_of_deed + 2), fmt::arg("d3", first_of_deed + 3),
      fmt::arg("d4", first_of_deed + 4), fmt::arg("d6", first_of_deed + 6));
}

absl::StatusOr<Rows> ExecuteOn(Pool& pool, const std::string& sql, const std::vector<Param>& params) {
  absl::StatusOr<Pool::Lease> connection = pool.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

// "(SELECT …) UNION ALL (SELECT …)" of the sources that are wanted; `part` has "{select}" and "{kind}".
std::string OfEach(const DeadLetterFilter& filter, std::string_view part) {
  std::string all;
  for (const LetterSource& source : kLetterSources) {
    if (!Wanted(filter, source)) continue;
    all += fmt::format("{}({})", all.empty() ? "" : " UNION ALL ",
                       fmt::format(fmt::runtime(part), fmt::arg("select", source.select),
                                   fmt::arg("kind", static_cast<int>(source.kind))));
  }
  return all;
}

}  // namespace

absl::StatusOr<std::vector<DeadLetter>> PostgresDeadLetterStore::List(
    const DeadLetterFilter& filter, const std::optional<std::pair<absl::Time, std::string>>& after, int limit) {
  const std::string each = OfEach(
      filter, fmt::format("SELECT {{kind}} AS kind, {} FROM ({{select}}) l WHERE {} AND ($10::timestamptz IS NULL OR "
                          "(since, id COLLATE \"C\") > ($10::timestamptz, $11::text COLLATE \"C\")) "
                          "ORDER BY since, id COLLATE \"C\" LIMIT $12::bigint",
                          kLetterColumns, kOtherLetterFilters));
  std::vector<DeadLetter> letters;
  if (each.empty()) return letters;
  const LetterParams common(filter, kinds_);
  std::vector<Param> params = common.ForQuery();
  params.push_back(after ? Param::Time(after->first) : Param::Null(kOidTimestamptz));
  params.push_back(after ? Param::Text(after->second) : Param::Null(kOidText));
  params.push_back(Param::Int8(limit));
  absl::StatusOr<Rows> rows =
      ExecuteOn(reads_,
                fmt::format("SELECT kind, {} FROM ({}) a ORDER BY since, id COLLATE \"C\" LIMIT $12::bigint",
                            kLetterColumns, each),
                params);
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->size(); ++row) {
    DeadLetter& letter = letters.emplace_back();
    letter.kind = static_cast<DeadLetterKind>(rows->Int(row, 0));
    letter.id = rows->Text(row, 1);
    letter.cause = rows->Text(row, 2);
    letter.detail = rows->Text(row, 3);
    letter.gateway = rows->Text(row, 4);
    letter.client = rows->Text(row, 5);
    if (!rows->IsNull(row, 6)) letter.endpoint_id = rows->Id(row, 6);
    if (!rows->IsNull(row, 7)) letter.order_id = rows->Id(row, 7);
    letter.since = rows->Time(row, 8);
    letter.attempts = static_cast<int>(rows->Int(row, 9));
    letter.blocked = rows->Text(row, 10);
  }
  return letters;
}

absl::StatusOr<std::vector<DeadLetterCount>> PostgresDeadLetterStore::Count(const DeadLetterFilter& filter,
                                                                            int64_t most) {
  std::vector<DeadLetterCount> counts;
  const std::string each =
      OfEach(filter, fmt::format("SELECT {{kind}} AS kind, cause, since, blocked FROM ({{select}}) l WHERE {} LIMIT "
                                 "$10::bigint",
                                 kOtherLetterFilters));
  if (each.empty()) return counts;
  const LetterParams common(filter, kinds_);
  std::vector<Param> params = common.ForQuery();
  params.push_back(Param::Int8(most));
  absl::StatusOr<Rows> rows =
      ExecuteOn(reads_,
                fmt::format("SELECT kind, cause, count(*), count(*) FILTER (WHERE blocked <> ''), min(since) FROM ({}) "
                            "a GROUP BY kind, cause ORDER BY kind, cause",
                            each),
                params);
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->size(); ++row) {
    counts.push_back({static_cast<DeadLetterKind>(rows->Int(row, 0)), std::string(rows->Text(row, 1)),
                      rows->Int(row, 2), rows->Int(row, 3), rows->Time(row, 4)});
  }
  return counts;
}

absl::StatusOr<int> PostgresDeadLetterStore::Redrive(const DeadLetterFilter& filter, int limit, absl::Duration apart,
                                                     const domain::Deed& deed) {
  const LetterParams common(filter, kinds_);
  const DeedRow deed_row(deed);
  int redriven = 0;
  for (const LetterSource& source : kLetterSources) {
    if (!Wanted(filter, source) || redriven == limit) continue;
    std::vector<Param> params = common.ForQuery();
    params.push_back(Param::Int8(limit - redriven));
    params.push_back(Param::Int8(absl::ToInt64Microseconds(apart)));
    deed_row.AddTo(params);
    const std::string sql =
        ChangeLetters(source, source.live, "blocked = ''", filter.key.has_value(), kFirstOwnParameter + 2);
    absl::StatusOr<int64_t> changed = int64_t{0};
    if (source.kind == DeadLetterKind::kCase) {
      changed = reconciliation_.CompareAgain(sql, params);
    } else {
      absl::StatusOr<Rows> rows = ExecuteOn(writes_, sql, params);
      changed = rows.ok() ? absl::StatusOr<int64_t>(rows->size()) : rows.status();
    }
    if (!changed.ok()) return changed.status();
    redriven += static_cast<int>(*changed);
  }
  return redriven;
}

absl::StatusOr<int> PostgresDeadLetterStore::Discard(const DeadLetterFilter& filter, int limit,
                                                     const std::string& reason, const domain::Deed& deed) {
  const LetterParams common(filter, kinds_);
  const DeedRow deed_row(deed);
  int discarded = 0;
  for (const LetterSource& source : kLetterSources) {
    if (!Wanted(filter, source) || discarded == limit || source.discard.empty()) continue;
    std::vector<Param> params = common.ForQuery();
    params.push_back(Param::Int8(limit - discarded));
    params.push_back(Param::Text(reason));
    deed_row.AddTo(params);
    absl::StatusOr<Rows> rows = ExecuteOn(
        writes_, ChangeLetters(source, source.discard, "true", filter.key.has_value(), kFirstOwnParameter + 2), params);
    if (!rows.ok()) return rows.status();
    discarded += rows->size();
  }
  return discarded;
}

}  // namespace waybill::storage
