#include "storage/postgres/order_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/postgres/order_rows.h"
#include "storage/postgres/saga_rows.h"
#include "storage/postgres/server_check.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

// How far the time in an order's id may lie from its created_at: they are taken one after the other.
constexpr absl::Duration kIdSlack = absl::Minutes(1);

// The id whose first 48 bits are `time` in milliseconds (UUIDv7) and whose other bits are all `fill`.
Uuid IdAt(absl::Time time, uint8_t fill) {
  Uuid id;
  id.bytes.fill(fill);
  if (time == absl::InfiniteFuture()) {
    id.bytes.fill(0xff);
    return id;
  }
  constexpr int64_t kMillisMax = (int64_t{1} << 48) - 1;
  uint64_t millis = static_cast<uint64_t>(std::clamp<int64_t>(absl::ToUnixMillis(time), 0, kMillisMax));
  for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<uint8_t>(millis >> (40 - 8 * i));
  return id;
}

absl::Status SagaNotFound(const Uuid& id) {
  ErrorDetail detail;
  detail.metadata.emplace_back("id", id.ToString());
  return domain::ReasonError("SAGA_NOT_FOUND", fmt::format("there is no saga {}", id.ToString()), std::move(detail));
}

// These have a failure's reason: a constraint of the table.
bool IsTurnedBack(saga::State state) {
  return state == saga::State::kCompensating || state == saga::State::kCompensated || state == saga::State::kResolved;
}

absl::StatusOr<SagaView> DecodeView(const Rows& rows, int at) {
  RowReader row(rows, at);
  SagaView view;
  DecodeHeader(row, view.header);
  view.owner = row.Text(kHeaderColumnCount + 1);
  if (!row.IsNull(kHeaderColumnCount + 2)) view.lease_until = row.Time(kHeaderColumnCount + 2, "lease_until");
  view.header.kind = row.Text(kHeaderColumnCount + 3);
  view.step_name = row.Text(kHeaderColumnCount + 4);
  if (!row.status().ok()) return row.status();
  return view;
}

absl::StatusOr<std::vector<domain::DriverSlot>> DecodeSlots(const absl::StatusOr<Rows>& rows) {
  if (!rows.ok()) return rows.status();
  std::vector<domain::DriverSlot> slots;
  for (int row = 0; row < rows->size(); ++row) {
    slots.push_back({std::string(rows->Text(row, 0)), static_cast<int>(rows->Int(row, 1))});
  }
  return slots;
}

}  // namespace

absl::StatusOr<Rows> PostgresOrderStore::Execute(Pool& pool, const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

absl::StatusOr<Rows> PostgresOrderStore::ExecutePrepared(const char* name, const std::string& sql,
                                                         absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::Status prepared = (*connection)->Prepare(name, sql);
  if (!prepared.ok()) return prepared;
  return (*connection)->ExecutePrepared(name, params);
}

constexpr char kMarks[] = "SELECT sagas = 'order_sagas', mark FROM saga_marks WHERE sagas IN ('order_sagas', 'sagas')";

// Of a moment ago: then more is taken for young than is, which is looked at for nothing.
absl::StatusOr<PostgresOrderStore::Marks> PostgresOrderStore::ReadMarks() {
  absl::StatusOr<Rows> rows = Execute(scans_, kMarks);
  if (!rows.ok()) return rows.status();
  Marks marks;
  for (int row = 0; row < rows->size(); ++row) (rows->Bool(row, 0) ? marks.orders : marks.others) = rows->Id(row, 1);
  return marks;
}

constexpr char kGetWhere[] = " WHERE s.order_id = $1";

absl::StatusOr<OrderRecord> PostgresOrderStore::Get(const Uuid& order_id) {
  absl::StatusOr<Rows> rows = ExecutePrepared("order_get", SelectOrder() + kGetWhere, {Param::Id(order_id)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return OrderNotFound(order_id);
  return DecodeOrder(*rows, 0);
}

constexpr char kGetByKeyWhere[] = " WHERE s.client = $1 AND s.idempotency_key = $2";

absl::StatusOr<OrderRecord> PostgresOrderStore::GetByKey(const std::string& client,
                                                         const std::string& idempotency_key) {
  absl::StatusOr<Rows> rows = ExecutePrepared("order_get_by_key", SelectOrder() + kGetByKeyWhere,
                                              {Param::Text(client), Param::Text(idempotency_key)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return domain::ReasonError("ORDER_NOT_FOUND", "there is no order with this key");
  return DecodeOrder(*rows, 0);
}

// A filter that is not set becomes a constant true when the query is planned, so each combination gets its own plan.
// Ids bound the scan of any index; due_at and wakes_at let the small indexes of unfinished sagas serve, beside the ids
// above the mark, where the young ones are; failure_reason the one of those that were turned back.
constexpr char kListWhere[] =
    " WHERE s.order_id >= $1 AND s.order_id < $2"
    " AND s.created_at >= $3 AND s.created_at < $4"
    " AND ($5::text = '' OR s.user_id = $5::text)"
    " AND ($13::text IS NULL OR s.client = $13::text)"
    " AND (cardinality($6::text[]) = 0 OR EXISTS ("
    "      SELECT FROM unnest($6::text[]::saga_state[], $7::boolean[], $14::boolean[], $15::boolean[])"
    "           AS wanted (state, cancelled, waiting, review)"
    "      WHERE wanted.state = s.state"
    "      AND (wanted.cancelled IS NULL OR wanted.cancelled = (s.failure_reason IS NOT DISTINCT FROM $8::text))"
    "      AND (wanted.waiting IS NULL OR wanted.waiting = (s.waits_for IS NOT NULL))"
    "      AND (wanted.review IS NULL OR wanted.review = starts_with(s.waits_for, 'assess_risk/'))))"
    " AND (NOT $9::boolean OR s.due_at IS NOT NULL OR s.wakes_at IS NOT NULL OR s.order_id > $12)"
    " AND (NOT $11::boolean OR s.failure_reason IS NOT NULL)"
    " ORDER BY s.order_id DESC LIMIT $10";

absl::StatusOr<std::vector<OrderRecord>> PostgresOrderStore::List(const OrderQuery& query) {
  Uuid from = IdAt(query.created_from - kIdSlack, 0);
  Uuid below = IdAt(query.created_to + kIdSlack, 0xff);
  if (query.before) below = std::min(below, *query.before);
  ArrayParam states(kOidText), cancelled(kOidBool), waiting(kOidBool), review(kOidBool);
  bool unfinished_only = !query.statuses.empty(), turned_back_only = !query.statuses.empty();
  for (const OrderQuery::Status& status : query.statuses) {
    states.AddText(saga::Name(status.state));
    // Elsewhere than at kCompensated it says nothing.
    if (status.cancelled && status.state == saga::State::kCompensated) {
      cancelled.AddBool(*status.cancelled);
    } else {
      cancelled.AddNull();
    }
    if (status.waiting && status.state == saga::State::kRunning) {
      waiting.AddBool(*status.waiting);
    } else {
      waiting.AddNull();
    }
    if (status.review) {
      review.AddBool(*status.review);
    } else {
      review.AddNull();
    }
    unfinished_only = unfinished_only && saga::IsUnfinished(status.state);
    turned_back_only = turned_back_only && IsTurnedBack(status.state);
  }
  absl::StatusOr<Marks> marks = unfinished_only ? ReadMarks() : Marks();
  if (!marks.ok()) return TooBroadOr(marks.status(), "orders");
  absl::StatusOr<Rows> rows = Execute(
      scans_, SelectOrder() + kListWhere,
      {Param::Id(from), Param::Id(below), Param::Time(query.created_from), Param::Time(query.created_to),
       Param::Text(query.user_id), states, cancelled, Param::Text(kCancelledReason), Param::Bool(unfinished_only),
       Param::Int8(query.limit), Param::Bool(turned_back_only), Param::Id(marks->orders),
       query.owner ? Param::Text(*query.owner) : Param::Null(kOidText), waiting, review});
  if (!rows.ok()) return TooBroadOr(rows.status(), "orders");
  std::vector<OrderRecord> orders;
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<OrderRecord> order = DecodeOrder(*rows, row);
    if (!order.ok()) return order.status();
    orders.push_back(*std::move(order));
  }
  return orders;
}

constexpr char kLogFrom[] = "FROM order_saga_steps WHERE order_id = $1 AND seq >= $2 ORDER BY seq";

absl::StatusOr<std::vector<saga::LogEntry>> PostgresOrderStore::Log(const Uuid& order_id, int64_t from_seq) {
  absl::StatusOr<Rows> rows = ExecutePrepared("order_log", fmt::format("SELECT order_id, {} {}", kLogColumns, kLogFrom),
                                              {Param::Id(order_id), Param::Int8(from_seq)});
  if (!rows.ok()) return rows.status();
  return DecodeLog(*rows);
}

constexpr char kLastSequences[] = "SELECT order_id, seq FROM order_sagas WHERE order_id = ANY ($1)";
constexpr char kRefundChanges[] =
    "SELECT order_id, count(*) + count(decided_at) FROM partial_refunds WHERE order_id = ANY ($1) GROUP BY order_id";

absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> PostgresOrderStore::LastSequences(
    const std::vector<Uuid>& order_ids) {
  return NumbersOf(kLastSequences, order_ids);
}

absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> PostgresOrderStore::RefundChanges(
    const std::vector<Uuid>& order_ids) {
  return NumbersOf(kRefundChanges, order_ids);
}

absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> PostgresOrderStore::NumbersOf(
    const char* sql, const std::vector<Uuid>& order_ids) {
  ArrayParam ids(kOidUuid);
  for (const Uuid& id : order_ids) ids.AddId(id);
  absl::StatusOr<Rows> rows = Execute(pool_, sql, {ids});
  if (!rows.ok()) return rows.status();
  std::vector<std::pair<Uuid, int64_t>> found;
  for (int row = 0; row < rows->size(); ++row) found.emplace_back(rows->Id(row, 0), rows->Int(row, 1));
  return found;
}

// Nothing is older, and that far before now Postgres still has times.
constexpr absl::Duration kAgeMax = absl::Hours(24 * 365 * 1'000);

// Of sagas of any kind, as `s`; "FROM …" comes behind it.
std::string SelectViews() {
  return fmt::format(
      "SELECT s.saga_id, {}, s.owner, s.lease_until, s.kind,"
      " (SELECT d.steps[s.step + 1] FROM saga_definitions d WHERE d.kind = s.kind AND d.version = s.version)",
      kHeaderColumns);
}

// Each table is looked through by itself, so that its small indexes serve: over the view all_sagas the planner would
// read by the primary keys, past all that has ended. `which` besides what the query says.
std::string ListPart(std::string_view table, std::string_view id, std::string_view kind, std::string_view which) {
  return fmt::format(
      "(SELECT s.{id} AS saga_id, {kind} AS kind, version, state, step, attempt, seq, needs_attention, failure_reason,"
      " failure_detail, owner, epoch, lease_until, waits_for, wakes_at, traceparent, created_at, updated_at, branches "
      "FROM "
      "{table} s"
      " WHERE s.{id} > $1 AND ($9::text = '' OR {kind} = $9::text)"
      " AND s.created_at <= now() - $2::bigint * interval '1 microsecond'"
      " AND (cardinality($3::text[]) = 0 OR s.state = ANY ($3::text[]::saga_state[]))"
      " AND (NOT $4::boolean OR s.needs_attention)"
      " AND {which}"
      " AND (NOT $7::boolean OR s.failure_reason IS NOT NULL)"
      " AND (NOT $8::boolean OR (s.lease_until IS NULL AND s.wakes_at IS NOT NULL))"
      " ORDER BY s.{id} LIMIT $6)",
      fmt::arg("table", table), fmt::arg("id", id), fmt::arg("kind", kind), fmt::arg("which", which));
}

// Of unfinished ones alone ($5) the young are a part by themselves, of which the constant condition leaves nothing
// otherwise: each part is in the order of an index.
std::string ListOf(std::string_view table, std::string_view id, std::string_view kind, std::string_view mark) {
  return fmt::format(
      "{} UNION ALL {}",
      ListPart(table, id, kind, "(NOT $5::boolean OR s.due_at IS NOT NULL OR s.wakes_at IS NOT NULL)"),
      ListPart(table, id, kind,
               fmt::format("$5::boolean AND s.due_at IS NULL AND s.wakes_at IS NULL AND s.{} > {}::uuid", id, mark)));
}

absl::StatusOr<std::vector<SagaView>> PostgresOrderStore::ListSagas(const SagaQuery& query) {
  ArrayParam states(kOidText);
  bool unfinished_only = !query.states.empty(), turned_back_only = !query.states.empty();
  std::vector<saga::State> wanted = query.states;
  if (query.needs_attention && wanted.empty())
    std::copy_if(std::begin(saga::kStates), std::end(saga::kStates), std::back_inserter(wanted), saga::IsUnfinished);
  for (saga::State state : wanted) {
    states.AddText(saga::Name(state));
    unfinished_only = unfinished_only && saga::IsUnfinished(state);
    turned_back_only = turned_back_only && IsTurnedBack(state);
  }
  unfinished_only = unfinished_only && !query.needs_attention;  // those have an index of their own
  absl::StatusOr<Marks> marks = unfinished_only ? ReadMarks() : Marks();
  if (!marks.ok()) return TooBroadOr(marks.status(), "orders");
  absl::StatusOr<Rows> rows =
      Execute(scans_,
              fmt::format("{} FROM ({} UNION ALL {}) s ORDER BY s.saga_id LIMIT $6", SelectViews(),
                          ListOf("order_sagas", "order_id", fmt::format("'{}'::text", domain::Order::kKind), "$10"),
                          ListOf("sagas", "saga_id", "s.kind", "$11")),
              {Param::Id(query.after.value_or(Uuid{})),
               Param::Int8(absl::ToInt64Microseconds(std::min(query.min_age, kAgeMax))), states,
               Param::Bool(query.needs_attention), Param::Bool(unfinished_only), Param::Int8(query.limit),
               Param::Bool(turned_back_only), Param::Bool(query.waiting), Param::Text(query.kind),
               Param::Id(marks->orders), Param::Id(marks->others)});
  if (!rows.ok()) return TooBroadOr(rows.status(), "orders");
  std::vector<SagaView> views;
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<SagaView> view = DecodeView(*rows, row);
    if (!view.ok()) return view.status();
    views.push_back(*std::move(view));
  }
  return views;
}

absl::StatusOr<std::vector<Uuid>> PostgresOrderStore::InReview(const std::optional<Uuid>& before, int limit) {
  const auto part = [](std::string_view table, std::string_view id) {
    return fmt::format(
        "(SELECT {1} AS saga_id FROM {0} WHERE state = 'running' AND wakes_at IS NOT NULL"
        " AND starts_with(waits_for, '{2}/') AND ($1::uuid IS NULL OR {1} < $1) ORDER BY {1} DESC LIMIT $2)",
        table, id, domain::kAssessRisk);
  };
  absl::StatusOr<Rows> rows =
      Execute(scans_,
              fmt::format("SELECT saga_id FROM ({} UNION ALL {}) s ORDER BY saga_id DESC LIMIT $2",
                          part("order_sagas", "order_id"), part("sagas", "saga_id")),
              {before ? Param::Id(*before) : Param::Null(kOidUuid), Param::Int8(limit)});
  if (!rows.ok()) return TooBroadOr(rows.status(), "orders");
  std::vector<Uuid> found;
  for (int row = 0; row < rows->size(); ++row) found.push_back(rows->Id(row, 0));
  return found;
}

absl::StatusOr<SagaView> PostgresOrderStore::GetSaga(const Uuid& saga_id) {
  absl::StatusOr<Rows> rows =
      Execute(pool_, SelectViews() + " FROM all_sagas s WHERE s.saga_id = $1", {Param::Id(saga_id)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return SagaNotFound(saga_id);
  return DecodeView(*rows, 0);
}

absl::StatusOr<std::vector<saga::LogEntry>> PostgresOrderStore::SagaLog(const Uuid& saga_id) {
  absl::StatusOr<Rows> rows =
      Execute(pool_, fmt::format("SELECT saga_id, {} FROM all_saga_steps WHERE saga_id = $1 ORDER BY seq", kLogColumns),
              {Param::Id(saga_id)});
  if (!rows.ok()) return rows.status();
  return DecodeLog(*rows);
}

constexpr char kUnfinished[] =
    "SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'closing'),"
    " count(*) FILTER (WHERE state = 'compensating'),"
    " count(*) FILTER (WHERE (kind, version) NOT IN (SELECT * FROM unnest($1::text[], $2::smallint[])))"
    " FROM leased_sagas";
// One that has waited is as old as the entry that ended its newest wait; one that was just taken up has none yet. Of
// the oldest by their beginning: those that waited for days are few at any moment.
constexpr char kOldest[] =
    "SELECT COALESCE(extract(epoch FROM now() - min(since)), 0)::double precision FROM ("
    " SELECT CASE WHEN w.seq IS NULL THEN s.created_at ELSE COALESCE("
    "   (SELECT min(at) FROM all_saga_steps WHERE saga_id = s.saga_id AND seq > w.seq), now()) END AS since"
    " FROM (SELECT saga_id, created_at FROM leased_sagas ORDER BY created_at LIMIT 1000) s"
    " LEFT JOIN LATERAL (SELECT max(seq) AS seq FROM all_saga_steps"
    "   WHERE saga_id = s.saga_id AND outcome = 'waiting') w ON true) AS taken_up";
// Not all: there may be a million of them, and counting those takes a tenth of a second of a processor.
constexpr char kWaiting[] =
    "SELECT (SELECT count(*) FROM (SELECT FROM all_sagas WHERE lease_until IS NULL AND wakes_at IS NOT NULL LIMIT $1) "
    "w),"
    " GREATEST(COALESCE(extract(epoch FROM now() - LEAST("
    // The least in each index.
    "   (SELECT min(wakes_at) FROM order_sagas WHERE lease_until IS NULL AND wakes_at IS NOT NULL),"
    "   (SELECT min(first.wakes_at) FROM (SELECT DISTINCT kind FROM saga_definitions) d, LATERAL ("
    "      SELECT wakes_at FROM sagas WHERE kind = d.kind AND lease_until IS NULL AND wakes_at IS NOT NULL"
    "      ORDER BY wakes_at LIMIT 1) first))), 0), 0)::double precision";
// Also of those that wait.
constexpr char kNeedingAttention[] =
    "SELECT count(*) FROM all_sagas WHERE needs_attention AND state IN ('running', 'closing', 'compensating')";

// Since when the sweep has waited for others, or has not come to what is there.
constexpr char kUnswept[] =
    "SELECT GREATEST((SELECT extract(epoch FROM max(now() - noted_at)) FROM saga_marks WHERE next > mark),"
    " (SELECT extract(epoch FROM max(now() - created_at)) FROM leased_sagas WHERE due_at IS NULL), 0)::double "
    "precision";

absl::StatusOr<UnfinishedStats> PostgresOrderStore::Unfinished(const saga::Kinds& here) {
  ArrayParam kinds(kOidText), versions(kOidInt2);
  for (const saga::Definition& definition : here.all()) {
    kinds.AddText(definition.kind);
    versions.AddInt(definition.version);
  }
  absl::StatusOr<Rows> rows = Execute(scans_, kUnfinished, {kinds, versions});
  if (!rows.ok()) return rows.status();
  UnfinishedStats stats;
  stats.running = rows->Int(0, 0);
  stats.closing = rows->Int(0, 1);
  stats.compensating = rows->Int(0, 2);
  stats.not_driven_here = rows->Int(0, 3);
  absl::StatusOr<Rows> waiting = Execute(scans_, kWaiting, {Param::Int8(kWaitingCounted)});
  if (!waiting.ok()) return waiting.status();
  stats.waiting = waiting->Int(0, 0);
  stats.overdue = absl::Seconds(waiting->Double(0, 1));
  absl::StatusOr<Rows> attention = Execute(scans_, kNeedingAttention);
  if (!attention.ok()) return attention.status();
  stats.needing_attention = attention->Int(0, 0);
  absl::StatusOr<Rows> unswept = Execute(scans_, kUnswept);
  if (!unswept.ok()) return unswept.status();
  stats.unswept = std::max(absl::Seconds(unswept->Double(0, 0)), absl::ZeroDuration());
  absl::StatusOr<Rows> oldest = Execute(scans_, kOldest);
  if (!oldest.ok()) return oldest.status();
  stats.oldest_age = std::max(absl::Seconds(oldest->Double(0, 0)), absl::ZeroDuration());
  return stats;
}

constexpr char kTakenSlots[] =
    "SELECT driver_id, slot FROM order_assignments WHERE released_at IS NULL AND NOT off_duty";
constexpr char kCapacities[] = "SELECT driver_id, capacity FROM drivers WHERE capacity <> 1";

absl::StatusOr<std::vector<domain::DriverSlot>> PostgresOrderStore::TakenSlots() {
  return DecodeSlots(Execute(scans_, kTakenSlots));
}

absl::StatusOr<std::vector<domain::DriverSlot>> PostgresOrderStore::Capacities() {
  return DecodeSlots(Execute(scans_, kCapacities));
}

// Two searches of an index for each driver, whatever the planner thinks of a thousand of them: OFFSET 0 keeps it from
// joining with all assignments that there are. Most drivers have no row of either kind, and then none here.
constexpr char kLoads[] =
    "SELECT asked.at, d.capacity, a.slot FROM unnest($1::text[]) WITH ORDINALITY AS asked (driver_id, at) "
    "LEFT JOIN LATERAL (SELECT capacity FROM drivers WHERE driver_id = asked.driver_id OFFSET 0) d ON true "
    "LEFT JOIN LATERAL (SELECT slot FROM order_assignments"
    "                   WHERE driver_id = asked.driver_id AND released_at IS NULL AND NOT off_duty OFFSET 0) a ON true "
    "WHERE d.capacity IS NOT NULL OR a.slot IS NOT NULL";

absl::StatusOr<std::vector<domain::DriverLoad>> PostgresOrderStore::Loads(const std::vector<std::string>& driver_ids) {
  ArrayParam asked(kOidText);
  for (const std::string& driver_id : driver_ids) asked.AddText(driver_id);
  absl::StatusOr<Rows> rows = ExecutePrepared("driver_loads", kLoads, {asked});
  if (!rows.ok()) return rows.status();
  std::vector<domain::DriverLoad> loads(driver_ids.size());
  for (int row = 0; row < rows->size(); ++row) {
    domain::DriverLoad& load = loads[static_cast<size_t>(rows->Int(row, 0) - 1)];
    if (!rows->IsNull(row, 1)) load.capacity = static_cast<int>(rows->Int(row, 1));
    if (!rows->IsNull(row, 2)) load.taken.push_back(static_cast<int>(rows->Int(row, 2)));
  }
  return loads;
}

absl::Status PostgresOrderStore::Ping() { return CheckServing(pool_); }

}  // namespace waybill::storage
